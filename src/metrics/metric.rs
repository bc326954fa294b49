//! The metrics that have estimates, comparisons and verdicts. [`QUANTITIES`] has a line for each quantity; the console, the CSV,
//! the history and the files of other programs go over it.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fmt, ops,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{Better, Distribution, PassMetrics, Scrape};

/// What is measured in a pass; docs/design.md has the definitions.
pub struct Quantity {
    /// As metrics are named: `rpm`, and `ttft` in `ttft_p50`.
    pub name: &'static str,
    /// What stands before it on the console.
    pub label: &'static str,
    /// `s`, `1/s`, `1/min`, `J`, `1` for a share, or nothing.
    pub unit: &'static str,
    /// The unit in words.
    pub unit_in_words: &'static str,
    /// Which direction is the good one.
    pub better: Better,
    /// Whether 0 is a value, and the worst or best there is; all others are above it, and change by factors.
    pub can_be_zero: bool,
    value: Value,
}

/// How a quantity comes from a pass.
enum Value {
    Number(fn(&PassMetrics) -> f64),
    /// Measured in some runs alone.
    Known(fn(&PassMetrics) -> Option<f64>),
    /// What somebody asked for by its name on a page.
    Scraped(&'static str),
    /// One a request, or one a gap: each point of it is a metric.
    Distribution(fn(&PassMetrics) -> Option<Distribution>),
}

/// What the name of such begins with.
const SCRAPE: &str = "scrape:";

/// All of them, in the order of reports.
static QUANTITIES: &[Quantity] = &[
    rate("rpm", "rpm:", "1/min", "requests/min", |pass| pass.rpm),
    rate("output_tokens_per_s", "output:", "1/s", "tokens/s", |pass| pass.output_tokens_per_s),
    rate("total_tokens_per_s", "total:", "1/s", "tokens/s", |pass| pass.total_tokens_per_s),
    Quantity {
        name: "cpu_s_per_output_token",
        label: "cpu:",
        unit: "s",
        unit_in_words: "per output token",
        better: Better::Lower,
        can_be_zero: false,
        value: Value::Known(PassMetrics::cpu_s_per_output_token),
    },
    Quantity {
        name: "joules_per_output_token",
        label: "energy:",
        unit: "J",
        unit_in_words: "J per output token",
        better: Better::Lower,
        can_be_zero: false,
        value: Value::Known(PassMetrics::joules_per_output_token),
    },
    good("goodput_rps", "good:", "1/s", "good requests/s", PassMetrics::goodput_rps),
    good("good_share", "", "1", "of the requests", PassMetrics::good_share),
    latency("ttft", "ttft:", |pass| pass.ttft_s),
    latency("ttfo", "ttfo:", |pass| pass.ttfo_s),
    latency("tpot", "tpot:", |pass| pass.tpot_s),
    latency("itl", "itl:", |pass| pass.itl_s),
    latency("e2e", "e2e:", |pass| pass.e2e_s),
];

const fn rate(
    name: &'static str,
    label: &'static str,
    unit: &'static str,
    unit_in_words: &'static str,
    of: fn(&PassMetrics) -> f64,
) -> Quantity {
    let value = Value::Number(of);
    Quantity { name, label, unit, unit_in_words, better: Better::Higher, can_be_zero: false, value }
}

/// Of the requests within the limits of `goodput`.
const fn good(
    name: &'static str,
    label: &'static str,
    unit: &'static str,
    unit_in_words: &'static str,
    of: fn(&PassMetrics) -> Option<f64>,
) -> Quantity {
    let value = Value::Known(of);
    Quantity { name, label, unit, unit_in_words, better: Better::Higher, can_be_zero: true, value }
}

const fn latency(name: &'static str, label: &'static str, of: fn(&PassMetrics) -> Option<Distribution>) -> Quantity {
    let value = Value::Distribution(of);
    Quantity { name, label, unit: "s", unit_in_words: "time", better: Better::Lower, can_be_zero: false, value }
}

/// What is asked for by name, beside the table: each once, as it was asked for first.
static SCRAPED: Mutex<Vec<&'static Quantity>> = Mutex::new(Vec::new());

/// A point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// Arithmetic mean.
    Mean,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
}

impl Point {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 5] = [Self::Mean, Self::P50, Self::P90, Self::P95, Self::P99];

    /// As in metric names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// The share of values below it; `None` for the mean.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Self::Mean => None,
            Self::P50 => Some(0.50),
            Self::P90 => Some(0.90),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
        }
    }

    fn of(self, distribution: &Distribution) -> f64 {
        match self {
            Self::Mean => distribution.mean,
            Self::P50 => distribution.p50,
            Self::P90 => distribution.p90,
            Self::P95 => distribution.p95,
            Self::P99 => distribution.p99,
        }
    }
}

impl Quantity {
    /// All of them, in the order of reports: last those of pages, as far as anybody has asked for them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let scraped = SCRAPED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        QUANTITIES.iter().chain(scraped)
    }

    /// What somebody asks for by its name on a page. It stays for as long as the program runs.
    pub fn scraped(scrape: &Scrape) -> &'static Self {
        let mut known = SCRAPED.lock().unwrap_or_else(PoisonError::into_inner);
        let key = scrape.to_string();
        let is_it = |quantity: &&&'static Self| matches!(quantity.value, Value::Scraped(other) if other == key);
        if let Some(quantity) = known.iter().find(is_it) {
            return quantity;
        }
        let leaked = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let quantity: &'static Self = Box::leak(Box::new(Self {
            name: leaked(format!("{SCRAPE}{key}")),
            label: SCRAPE,
            unit: scrape.unit(),
            unit_in_words: leaked(if scrape.is_rate {
                format!("{} a second", scrape.name)
            } else {
                scrape.name.clone()
            }),
            better: scrape.better,
            can_be_zero: true,
            value: Value::Scraped(leaked(key)),
        }));
        known.push(quantity);
        quantity
    }

    /// Its distribution in a pass; `None` where it has none, or was not measured.
    pub fn distribution(&self, pass: &PassMetrics) -> Option<Distribution> {
        match self.value {
            Value::Number(_) | Value::Known(_) | Value::Scraped(_) => None,
            Value::Distribution(of) => of(pass),
        }
    }

    /// Whether only some runs measure it, by what they are.
    pub fn is_rare(&self) -> bool {
        matches!(self.value, Value::Known(_) | Value::Scraped(_))
    }

    /// Whether it is of the requests within the limits of `goodput`.
    pub fn is_of_goodput(&self) -> bool {
        matches!(self.name, "goodput_rps" | "good_share")
    }

    /// Its metrics: itself, or the points of its distribution.
    pub fn metrics(&'static self) -> impl Iterator<Item = Metric> {
        let (alone, points) = match self.value {
            Value::Number(_) | Value::Known(_) | Value::Scraped(_) => (Some(None), None),
            Value::Distribution(_) => (None, Some(Point::ALL)),
        };
        let points = alone.into_iter().chain(points.into_iter().flatten().map(Some));
        points.map(move |point| Metric { quantity: self, point })
    }

    /// A point of its distribution; `None` where it has none.
    pub fn at(&'static self, point: Point) -> Option<Metric> {
        self.metrics().find(|metric| metric.point == Some(point))
    }
}

/// One number of a pass: a quantity, or a point of its distribution. As text it is `rpm`, `output_tokens_per_s`, `ttft_p50`,
/// `tpot_mean`, …
#[derive(Clone, Copy)]
pub struct Metric {
    quantity: &'static Quantity,
    point: Option<Point>,
}

impl Metric {
    /// All of them, in the order of reports.
    pub fn all() -> impl Iterator<Item = Self> {
        Quantity::all().flat_map(Quantity::metrics)
    }

    /// What it is a number of.
    pub fn quantity(self) -> &'static Quantity {
        self.quantity
    }

    /// Which point of the quantity's distribution, where it has one.
    pub fn point(self) -> Option<Point> {
        self.point
    }

    /// Its value in a pass; `None` where it was not measured.
    pub fn of(self, pass: &PassMetrics) -> Option<f64> {
        match (&self.quantity.value, self.point) {
            (Value::Number(of), _) => Some(of(pass)),
            (Value::Known(of), _) => of(pass),
            (Value::Scraped(name), _) => pass.scraped.get(*name).copied(),
            (Value::Distribution(of), Some(point)) => of(pass).map(|distribution| point.of(&distribution)),
            (Value::Distribution(_), None) => None,
        }
    }

    /// Which direction is the good one.
    pub fn better(self) -> Better {
        self.quantity.better
    }

    /// `s`, `1/s`, `1/min`, or `1` for a share.
    pub fn unit(self) -> &'static str {
        self.quantity.unit
    }

    fn names(self) -> (&'static str, Option<&'static str>) {
        (self.quantity.name, self.point.map(Point::name))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.names() {
            (name, None) => f.pad(name),
            (name, Some(point)) => f.pad(&format!("{name}_{point}")),
        }
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(scrape) = text.strip_prefix(SCRAPE) {
            let quantity = Quantity::scraped(&scrape.parse()?);
            return Ok(Self { quantity, point: None });
        }
        Self::all().find(|metric| metric.to_string() == text).ok_or_else(|| {
            let names = |distributed: bool| {
                let with = QUANTITIES.iter().filter(|quantity| quantity.at(Point::P50).is_some() == distributed);
                with.map(|quantity| quantity.name).collect::<Vec<_>>()
            };
            let (last, others) = names(true).split_last().map_or((String::new(), String::new()), |(last, others)| {
                ((*last).to_owned(), others.join(", "))
            });
            format!(
                "no metric has that name: there are {}, and mean, p50, p90, p95 and p99 of {others} and {last}, as in ttft_p50",
                names(false).join(", ")
            )
        })
    }
}

/// By name.
impl Ord for Metric {
    fn cmp(&self, other: &Self) -> Ordering {
        self.names().cmp(&other.names())
    }
}

impl PartialOrd for Metric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Metric {}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Something of each of several metrics. In a file, what stands under a name that this version does not know is passed over.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ByMetric<T>(BTreeMap<Metric, T>);

impl<T> Default for ByMetric<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> ops::Deref for ByMetric<T> {
    type Target = BTreeMap<Metric, T>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> ops::DerefMut for ByMetric<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> FromIterator<(Metric, T)> for ByMetric<T> {
    fn from_iter<I: IntoIterator<Item = (Metric, T)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByMetric<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetricsVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for MetricsVisitor<T> {
            type Value = ByMetric<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("metrics by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByMetric<T>, A::Error> {
                let mut metrics = ByMetric::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.parse::<Metric>() {
                        Ok(metric) => _ = metrics.insert(metric, map.next_value()?),
                        Err(_) => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(metrics)
            }
        }
        deserializer.deserialize_map(MetricsVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        assert_eq!(Metric::all().count(), 32);
        for metric in Metric::all() {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        let why = "no metric has that name: there are rpm, output_tokens_per_s, total_tokens_per_s, cpu_s_per_output_token, \
                   joules_per_output_token, goodput_rps, good_share, and mean, p50, p90, p95 and p99 of ttft, ttfo, tpot, itl and e2e, as in ttft_p50";
        assert_eq!("ttft_p51".parse::<Metric>(), Err(why.to_owned()));
        let mut names: Vec<String> = Metric::all().map(|metric| metric.to_string()).collect();
        names.sort_unstable();
        let mut metrics: Vec<Metric> = Metric::all().collect();
        metrics.sort_unstable();
        assert_eq!(metrics.iter().map(Metric::to_string).collect::<Vec<_>>(), names);
    }

    #[test]
    fn what_only_some_runs_measure() {
        let which = |is: fn(&Quantity) -> bool| {
            let mut names: Vec<&str> = Metric::all().map(Metric::quantity).filter(|q| is(q)).map(|q| q.name).collect();
            names.dedup();
            names
        };
        assert_eq!(which(Quantity::is_of_goodput), ["goodput_rps", "good_share"]);
        let rare = ["cpu_s_per_output_token", "joules_per_output_token", "goodput_rps", "good_share"];
        assert_eq!(which(Quantity::is_rare), rare);
    }

    #[test]
    fn names_that_are_not_known_are_passed_over() {
        let read: ByMetric<f64> = serde_json::from_str(r#"{"rpm": 1.0, "joules": {"a": 2}, "e2e_p99": 3.0}"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"e2e_p99":3.0,"rpm":1.0}"#);
        assert!(serde_json::from_str::<ByMetric<f64>>(r#"{"rpm": "x"}"#).is_err());
    }
}
