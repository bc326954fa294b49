//! Every setting, once: the same name as flag, environment variable and key of the file.

use std::{any::Any, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{rows::rows, sweep::Loads, warmup::Warmup};
use crate::{
    client::Api,
    dataset::{Distribution, HistoryFrom, Policy, SystemTurns, TraceWindow},
    engine::EngineConfig,
    load::{Arrival, FailureBudget, LoadPoint, RequestRate, Searched},
    metrics::{Goodput, Metric, Point, Quantity},
    report::{CsvFormat, OutputFormat},
};

/// A JSON object given as text on the command line, or as a table or text in the file.
pub type JsonObject = Map<String, Value>;

/// What makes a run that ended well exit with 3, or 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailOn {
    /// Nothing.
    Never,
    /// A gated metric that regressed or that could not be compared, or more failed requests.
    Regression,
    /// A run that asked another question than its baseline.
    NotComparable,
    /// A gated metric of which nothing could be said, or an objective that is undecided.
    Inconclusive,
    /// An objective that is missed, or that these passes can't be judged by.
    Objective,
}

/// How two servers take turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Turns {
    /// Both are up all the time.
    #[default]
    Shared,
    /// Each is started for its pass, and stopped after it.
    Exclusive,
}

impl std::fmt::Display for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        })
    }
}

/// A setting, as help and documentation list it; the words that explain it are those of the command line.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// As the key of the file; the flag and the variable are made of it.
    pub name: &'static str,
    /// Whether it is one for the whole run, and has no place in a workload.
    pub of_run: bool,
    default: fn() -> String,
}

impl Setting {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("TACHOMETER_{}", self.name.to_ascii_uppercase())
    }

    /// What happens without it.
    pub fn default(&self) -> String {
        (self.default)()
    }
}

/// What the rows below become: a layer, the values with their defaults, the table, and the methods of the builders.
macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $(#[arg($($arg:tt)*)])?
        $(#[serde($($serde:tt)*)])?
        $(@$scope:ident)? $name:ident: $type:ty = $heading:ident $value:literal $kind:ident($($default:tt)*);
    )*) => {
        /// The settings of one layer (flags and environment, code, a workload of the file, the file): what is `None` is left to
        /// the layer below.
        #[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct Settings {
            $(
                $(#[doc = $doc])+
                #[arg(long, value_name = $value, help_heading = stringify!($heading) $(, $($arg)*)?)]
                $(#[serde($($serde)*)])?
                pub $name: Option<$type>,
            )*
        }

        impl Settings {
            /// This layer over another one. A load that it names stands in place of those of the other, of either kind.
            #[must_use]
            pub fn over(self, below: &Self) -> Self {
                let mut below = below.clone();
                if self.concurrency.is_some() || self.request_rate.is_some() || self.load.is_some() {
                    (below.concurrency, below.request_rate, below.load) = (None, None, None);
                }
                Self { $($name: self.$name.or_else(|| below.$name.clone()),)* }
            }

            /// Whether it says anything of a setting.
            pub(super) fn has(&self, setting: &str) -> bool {
                match setting {
                    $(stringify!($name) => self.$name.is_some(),)*
                    _ => false,
                }
            }

            /// With the defaults, for a live server or the embedded engine.
            pub(super) fn values(&self, live: bool) -> Values {
                Values { $($name: values!(@value $kind, self.$name.clone(), live, $($default)*),)* }
            }

            /// All settings that are paths.
            pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
                let all: Vec<&mut dyn Any> = vec![$(&mut self.$name),*];
                all.into_iter().filter_map(|setting| setting.downcast_mut::<Option<PathBuf>>()).flatten()
            }
        }

        /// The settings of a run or a workload, with defaults. What has none, or one that hangs on others, may be open.
        pub(super) struct Values {
            $(pub $name: values!(@type $kind, $type),)*
        }

        /// All settings, in the order of help and documentation.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            name: stringify!($name),
            of_run: values!(@of_run $($scope)?),
            default: || values!(@text $kind, $($default)*),
        }),*];
    };
}

/// By whose a setting is, and whether its default is a value, or a text that says what happens without it.
macro_rules! values {
    (@of_run) => { false };
    (@of_run each) => { false };
    (@of_run $scope:ident) => { true };
    (@type value, $type:ty) => { $type };
    (@type text, $type:ty) => { Option<$type> };
    (@value value, $given:expr, $live:expr, $default:expr) => { $given.unwrap_or_else(|| $default) };
    (@value value, $given:expr, $live:expr, $of_live:expr, $embedded:expr) => {
        $given.unwrap_or_else(|| if $live { $of_live } else { $embedded })
    };
    (@value text, $given:expr, $live:expr, $default:expr) => { $given };
    (@text value, $default:expr) => { $default.to_string() };
    (@text value, $of_live:expr, $embedded:expr) => { format!("{}; embedded engine: {}", $of_live, $embedded) };
    (@text text, $default:expr) => { $default.to_owned() };
}

rows!(settings);

fn api_help() -> String {
    let names: Vec<String> = Api::all().map(|api| format!("{api} ({})", api.help())).collect();
    format!("API to use: {}", names.join(", "))
}

fn load_help() -> String {
    let spellings = LoadPoint::spellings();
    format!("Load points by name, as at the end of benchmark names: {spellings}; a list makes one benchmark for each")
}

fn gate_help() -> String {
    let names = |with_points: bool| {
        let all = Quantity::all().filter(|quantity| quantity.at(Point::P50).is_some() == with_points);
        all.map(|quantity| quantity.name).collect::<Vec<_>>().join(", ")
    };
    let points = Point::ALL.map(Point::name).join(", ");
    format!("Metrics that decide: {}, or {points} of {}, as in ttft_p50", names(false), names(true))
}

fn output_format_help() -> String {
    let formats: Vec<String> = OutputFormat::all().map(|format| format!("{format}, {}", format.help())).collect();
    format!("What goes to stdout: {}", formats.join("; "))
}

fn json_object(text: &str) -> Result<JsonObject, String> {
    serde_json::from_str(text).map_err(|e| format!("not a JSON object: {e}"))
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "neither a value of this setting nor a list of such: write them as in concurrency = [1, 8], gate = [\"rpm\"]"
)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

fn one_or_many<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    Ok(Some(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    }))
}

fn metrics<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Metric>>, D::Error> {
    let names: Option<Vec<String>> = one_or_many(deserializer)?;
    let parse = |name: String| name.parse().map_err(|why| serde::de::Error::custom(format!("`{name}`: {why}")));
    names.map(|names| names.into_iter().map(parse).collect()).transpose()
}

fn from_text<'de, T: std::str::FromStr<Err = String>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(serde::de::Error::custom)
}

/// `3%`, or 0.03.
fn share(text: &str) -> Result<f64, String> {
    let error = || format!("`{text}` is not a share: write 3% or 0.03");
    let (number, of) = text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |percent| (percent.trim(), 100.0));
    let number: f64 = number.parse().map_err(|_| error())?;
    Some(number / of).filter(|share| (0.0..1.0).contains(share)).ok_or_else(error)
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "neither a share such as 0.03 nor a string such as \"3%\"")]
enum ShareOrText {
    Share(f64),
    Text(String),
}

fn share_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = match ShareOrText::deserialize(deserializer)? {
        ShareOrText::Share(share) => share.to_string(),
        ShareOrText::Text(text) => text,
    };
    share(&text).map(Some).map_err(serde::de::Error::custom)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(|why| serde::de::Error::custom(format!("`{text}`: {why}")))
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "neither a number nor a string")]
enum NumberOrText {
    Number(f64),
    Text(String),
}

fn number_or_text<'de, T: std::str::FromStr<Err = String>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(number) => number.to_string(),
        NumberOrText::Text(text) => text,
    };
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "neither a table nor a string with a JSON object")]
enum ObjectOrText {
    Object(JsonObject),
    Text(String),
}

fn object_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<JsonObject>, D::Error> {
    match ObjectOrText::deserialize(deserializer)? {
        ObjectOrText::Object(object) => Ok(Some(object)),
        ObjectOrText::Text(text) => json_object(&text).map(Some).map_err(serde::de::Error::custom),
    }
}
