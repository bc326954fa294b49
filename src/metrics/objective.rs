//! Service-level objectives: `ttft_p99 < 300 ms`.

use std::fmt;

use super::{Better, Metric, PassMetrics, limit::Limit, mlperf::MLPERF};

/// A number of a pass, and the limit that it is to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// What is to keep it.
    pub subject: Subject,
    /// What it is to keep.
    pub limit: Limit,
}

/// What an objective can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A metric.
    Metric(Metric),
    /// Completed requests per second.
    Rps,
    /// Share of the requests that failed.
    Failed,
}

/// How often something was so, and of how many times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often it was.
    pub k: u64,
    /// Of how many.
    pub n: u64,
}

impl Subject {
    fn named(name: &str) -> Result<Self, String> {
        match name {
            "rps" => Ok(Self::Rps),
            "failed" => Ok(Self::Failed),
            name => {
                name.parse().map(Self::Metric).map_err(|why: String| format!("{why}; there are also rps and failed"))
            }
        }
    }

    /// Which direction is the good one.
    pub fn better(self) -> Better {
        match self {
            Self::Metric(metric) => metric.better(),
            Self::Rps => Better::Higher,
            Self::Failed => Better::Lower,
        }
    }

    /// Whether it is a rate, of which more load gives more.
    #[cfg(feature = "harness")]
    pub(crate) fn is_throughput(self) -> bool {
        self.better() == Better::Higher && self.unit() != "1"
    }

    /// `s`, `1/s`, `1/min`, or `1` for a share.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.unit(),
            Self::Rps => "1/s",
            Self::Failed => "1",
        }
    }

    /// Its value in a pass; `None` where it was not measured.
    pub fn of(self, pass: &PassMetrics) -> Option<f64> {
        match self {
            Self::Metric(metric) => metric.of(pass),
            Self::Rps => Some(pass.rps),
            Self::Failed => Some(pass.failed_share()),
        }
    }

    /// Of a share of the requests, the requests.
    pub fn count(self, pass: &PassMetrics) -> Option<Count> {
        let n = (pass.completed + pass.failed) as u64;
        match self {
            Self::Failed => Some(Count { k: pass.failed as u64, n }),
            Self::Metric(metric) if metric.quantity().name == "good_share" => Some(Count { k: pass.good? as u64, n }),
            Self::Metric(_) | Self::Rps => None,
        }
    }

    /// Whether 0 is one of its values.
    pub fn can_be_zero(self) -> bool {
        match self {
            Self::Metric(metric) => metric.quantity().can_be_zero,
            Self::Rps => false,
            Self::Failed => true,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Metric(metric) => fmt::Display::fmt(metric, f),
            Self::Rps => f.pad("rps"),
            Self::Failed => f.pad("failed"),
        }
    }
}

impl Objective {
    /// `ttft_p99 < 300 ms`, `failed < 1 %`, `rps > 20`; or the name of a preset, which stands for several.
    ///
    /// # Errors
    /// Where it is none, and why.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        let text = text.trim();
        let Some(at) = text.find(['<', '>']) else {
            if let Some(preset) = MLPERF.iter().find(|preset| preset.name == text) {
                let objectives: Result<Vec<Vec<Self>>, String> =
                    preset.objectives.iter().map(|text| Self::parse(text)).collect();
                return objectives.map(|objectives| objectives.concat());
            }
            let names: Vec<&str> = MLPERF.iter().map(|preset| preset.name).collect();
            return Err(format!(
                "`{text}` is not an objective: write one like ttft_p99 < 300 ms, or one of {}",
                names.join(", ")
            ));
        };
        let (name, rest) = text.split_at(at);
        let subject = Subject::named(name.trim()).map_err(|why| format!("`{text}`: {why}"))?;
        let (sign, limit) = rest.split_at(1);
        let limit = Limit::parse(limit.strip_prefix('=').unwrap_or(limit), subject.unit());
        let limit = limit.map_err(|why| format!("`{text}`: {why}"))?;
        let wanted = match subject.better() {
            Better::Lower => "<",
            Better::Higher => ">",
        };
        if sign != wanted {
            let which = if wanted == "<" { "less" } else { "more" };
            return Err(format!("`{text}`: {which} {subject} is better, so write {subject} {wanted} {limit}"));
        }
        if subject.unit() == "1" && limit.value() >= 1.0 {
            return Err(format!("`{text}`: the limit of a share must be less than 100 %"));
        }
        Ok(vec![Self { subject, limit }])
    }

    /// Whether a value keeps it.
    pub fn holds(&self, value: f64) -> bool {
        match self.subject.better() {
            Better::Lower => value < self.limit.value(),
            Better::Higher => value > self.limit.value(),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let sign = match self.subject.better() {
            Better::Lower => '<',
            Better::Higher => '>',
        };
        write!(f, "{} {sign} {}", self.subject, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::samples::{report, set};

    #[test]
    fn rates_grow_with_the_load_and_some_values_may_be_nothing() {
        let of = |text: &str| Objective::parse(text).unwrap()[0].subject;
        let [rate, share, latency, failed] = ["rps > 1", "good_share > 50 %", "ttft_p50 < 1 s", "failed < 1 %"].map(of);
        assert_eq!([rate, share, latency, failed].map(Subject::is_throughput), [true, false, false, false]);
        assert!(of("rpm > 1").is_throughput());
        assert_eq!([rate, share, latency, failed].map(Subject::can_be_zero), [false, true, false, true]);
        let limit = |text: &str, value: f64| Objective::parse(text).unwrap()[0].holds(value);
        assert!(
            limit("rps > 20", 20.1) && !limit("rps > 20", 20.0),
            "a limit that is met to the last digit is not kept"
        );
        assert!(limit("ttft_p50 < 1 s", 0.9) && !limit("ttft_p50 < 1 s", 1.0));
    }

    #[test]
    fn shares_are_counted_by_request() {
        let report = report(|r| {
            set(r, "failed", 20.into());
            set(r, "good", 70.into());
        });
        let count = |text: &str| {
            let count = Objective::parse(text).unwrap()[0].subject.count(&report.passes[0]);
            count.map(|count| (count.k, count.n))
        };
        assert_eq!((count("failed < 1 %"), count("good_share > 50 %")), (Some((20, 120)), Some((70, 120))));
        assert_eq!((count("ttft_p50 < 1 s"), count("rps > 1")), (None, None));
    }

    #[test]
    fn objectives_are_read_and_shown() {
        for (text, shown) in [
            ("ttft_p99 < 300 ms", "ttft_p99 < 300 ms"),
            ("tpot_p95<50ms", "tpot_p95 < 50 ms"),
            ("e2e_p50 <= 5 s", "e2e_p50 < 5 s"),
            ("failed < 1%", "failed < 1 %"),
            ("output_tokens_per_s > 2000", "output_tokens_per_s > 2000"),
            ("rps >= 20", "rps > 20"),
            ("good_share > 99.5 %", "good_share > 99.5 %"),
            ("cpu_s_per_output_token < 2 ms", "cpu_s_per_output_token < 2 ms"),
        ] {
            let objectives = Objective::parse(text).unwrap();
            assert_eq!(objectives.iter().map(ToString::to_string).collect::<Vec<_>>(), [shown]);
            assert_eq!(Objective::parse(shown).unwrap(), objectives);
        }
    }

    #[test]
    fn what_is_no_objective_says_why() {
        for (text, expected) in [
            (
                "fast",
                "`fast` is not an objective: write one like ttft_p99 < 300 ms, or one of mlperf-llama2-70b-server,",
            ),
            ("ttft < 300 ms", "no metric has that name"),
            ("ttft < 300 ms", "; there are also rps and failed"),
            ("ttft_p99 < 300", "`ttft_p99 < 300`: `300` has no unit: write it as in 300 ms or 2 s"),
            ("ttft_p99 > 300 ms", "less ttft_p99 is better, so write ttft_p99 < 300 ms"),
            ("rps < 20", "more rps is better, so write rps > 20"),
            ("failed < 100 %", "the limit of a share must be less than 100 %"),
            ("failed < 0.01", "`0.01` has no unit: write it as in 1 %"),
        ] {
            let why = Objective::parse(text).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }

    #[test]
    fn presets_stand_for_two_objectives_each() {
        let shown = |name| Objective::parse(name).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown("mlperf-llama2-70b-server"), ["ttft_p99 < 2000 ms", "tpot_p99 < 200 ms"]);
        assert_eq!(shown("mlperf-gpt-oss-120b-interactive"), ["ttft_p99 < 2000 ms", "tpot_p99 < 20 ms"]);
        for preset in MLPERF {
            assert_eq!(shown(preset.name).len(), 2, "{}", preset.name);
        }
    }

    #[test]
    fn a_limit_is_kept_on_its_better_side() {
        let of = |text, value| Objective::parse(text).unwrap()[0].holds(value);
        assert!(of("ttft_p99 < 300 ms", 0.29) && !of("ttft_p99 < 300 ms", 0.31) && !of("ttft_p99 < 300 ms", 0.3));
        assert!(of("rps > 20", 21.0) && !of("rps > 20", 19.0));
    }
}
