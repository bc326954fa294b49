//! What to run, said in code: the same settings by the same names.

use std::path::PathBuf;

use super::{
    rows::rows,
    settings::{FailOn, JsonObject, Settings},
};
use crate::{
    client::Api,
    dataset::Policy,
    engine::EngineConfig,
    load::{Arrival, FailureBudget, RequestRate},
    metrics::Metric,
    report::{CsvFormat, OutputFormat},
};

/// What to run, as code says it: over `tachometer.toml`, and under flags and environment variables.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Code {
    pub(super) settings: Settings,
    pub(super) workloads: Vec<Workload>,
}

impl Code {
    /// Measures this server.
    pub fn set_server(&mut self, server: Server) {
        self.settings = server.settings.over(&self.settings);
    }

    /// Runs this workload; one of the same name in the file gives what is left open here.
    pub fn add_workload(&mut self, workload: Workload) {
        self.workloads.push(workload);
    }

    /// What holds for all workloads that say nothing else.
    pub fn set_defaults(&mut self, defaults: Workload) {
        self.settings = defaults.settings.over(&self.settings);
    }
}

/// The server to measure, and the way to it.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Server {
    settings: Settings,
}

impl Server {
    /// A running server: `http://127.0.0.1:8000`, `https://…`, or `unix:/path/of/a/socket`; without a scheme http is meant.
    pub fn url(url: impl Into<String>) -> Self {
        Self { settings: Settings { server: Some(url.into()), ..Settings::default() } }
    }

    /// The embedded engine, which is measured where no server is named.
    pub fn embedded(engine: EngineConfig) -> Self {
        Self { settings: Settings { engine: Some(engine), ..Settings::default() } }
    }
}

/// What is sent, and how: a benchmark for each of its load points.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Workload {
    pub(super) name: String,
    pub(super) settings: Settings,
}

impl Workload {
    /// Of that name: letters, digits, `-`, `_` and `.`. What is not said of it is as in `tachometer.toml`, or else the default.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), settings: Settings::default() }
    }
}

/// What stands for a value of a setting: the value itself, a text for a path or a name, an array for a list.
pub trait Given<T> {
    /// The value.
    fn given(self) -> T;
}

impl<T> Given<T> for T {
    fn given(self) -> T {
        self
    }
}

impl Given<String> for &str {
    fn given(self) -> String {
        self.to_owned()
    }
}

impl Given<PathBuf> for &str {
    fn given(self) -> PathBuf {
        self.into()
    }
}

impl<T, const N: usize> Given<Vec<T>> for [T; N] {
    fn given(self) -> Vec<T> {
        self.into()
    }
}

macro_rules! builders {
    ($(
        $(#[doc = $doc:literal])+
        $(#[arg($($arg:tt)*)])?
        $(#[serde($($serde:tt)*)])?
        $(@$scope:ident)? $name:ident: $type:ty = $heading:ident $value:literal $kind:ident($($default:tt)*);
    )*) => {
        $(setter! { $($scope)?, $(#[doc = $doc])+ $name: $type })*
    };
}

/// A method on the builders that have the setting.
macro_rules! setter {
    (run, $($row:tt)*) => { setter! { @on Code, $($row)* } };
    (server, $($row:tt)*) => { setter! { @on Server, $($row)* } };
    (each, $($row:tt)*) => {
        setter! { @on Server, $($row)* }
        setter! { @on Workload, $($row)* }
    };
    (, $($row:tt)*) => { setter! { @on Workload, $($row)* } };
    (@on $builder:ident, $(#[$doc:meta])+ $name:ident: $type:ty) => {
        impl $builder {
            $(#[$doc])+
            pub fn $name(mut self, value: impl Given<$type>) -> Self {
                self.settings.$name = Some(value.given());
                self
            }
        }
    };
}

rows!(builders);
