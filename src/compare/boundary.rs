//! Whether the most load that holds has moved.

use serde_json::Value;

use super::comparable::{cache_reason, why_not};
use crate::run::{Baseline, Boundary, BoundaryChange, Moved, Report};

/// Compares the boundary of a run with that of its baseline; `None` where the run has none.
pub fn compare_boundaries(new: &Report, baseline: &Baseline) -> Option<BoundaryChange> {
    let base = &baseline.report;
    let boundary = new.boundary.as_ref()?;
    let reasons = match &base.boundary {
        None => vec!["the baseline searched for none".to_owned()],
        Some(other) => reasons(new, base, boundary, other),
    };
    let mut reasons = reasons;
    let verdict = match &base.boundary {
        Some(_) if reasons.is_empty() && cache_reason(new, base).is_some() => {
            reasons.extend(cache_reason(new, base));
            Moved::Undecided
        }
        Some(other) if reasons.is_empty() => moved(boundary, other),
        _ => Moved::NotComparable,
    };
    Some(BoundaryChange {
        baseline: baseline.name.clone(),
        baseline_commit: base.commit.clone(),
        highest_met: base.boundary.as_ref().and_then(|other| other.highest_met),
        lowest_missed: base.boundary.as_ref().and_then(|other| other.lowest_missed),
        verdict,
        why_not: reasons,
    })
}

/// Why two searches asked different questions; empty where they asked the same.
pub(super) fn boundaries_apart(new: &Report, base: &Report) -> Vec<String> {
    match new.boundary.as_ref().zip(base.boundary.as_ref()) {
        Some((boundary, other)) => reasons(new, base, boundary, other),
        None => vec!["one of them is no search".to_owned()],
    }
}

fn reasons(new: &Report, base: &Report, boundary: &Boundary, other: &Boundary) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut differs = |what: &str, new: String, base: String| {
        if new != base {
            reasons.push(format!("{what}: {new}, the baseline has {base}"));
        }
    };
    differs("different load", boundary.searched.to_string(), other.searched.to_string());
    differs("different objectives", boundary.objectives.join(", "), other.objectives.join(", "));
    let goodput = |report: &Report| report.workload.goodput.clone().unwrap_or_else(|| "none".to_owned());
    differs("different goodput limits", goodput(new), goodput(base));
    differs("different pacing", pacing(new).to_string(), pacing(base).to_string());
    // Each load has prompts of its own, and the two winners are hardly the same load.
    let mut as_new = base.clone();
    as_new.load = new.load.clone();
    as_new.passes.clear();
    let mut alone = new.clone();
    alone.passes.clear();
    if settings(new) == settings(base) {
        as_new.workload.digest.clone_from(&alone.workload.digest);
    }
    reasons.extend(why_not(&alone, &as_new).another_question);
    reasons
}

/// The load without its number.
fn pacing(report: &Report) -> Value {
    let mut load = report.load.shape().to_json();
    if let Value::Object(load) = &mut load {
        load.remove("request_rate");
        load.remove("concurrency");
    }
    load
}

/// What decides the prompts, whatever the load.
fn settings(report: &Report) -> impl PartialEq {
    let w = &report.workload;
    let sampling = (w.ignore_eos, w.temperature, w.top_p, w.max_tokens, w.batch, w.max_tokens_field.clone());
    let rest = (
        w.include_usage,
        w.extra_body.clone(),
        w.nonce_seed.is_some(),
        w.history_from,
        w.think_time.clone(),
        w.trace_window.clone(),
    );
    (w.dataset.clone(), w.sampler, w.seed, w.num_prompts, w.duration_s, sampling, rest)
}

/// By the brackets: what lies below another one's lowest miss has moved where its own highest hit lies above that.
fn moved(new: &Boundary, base: &Boundary) -> Moved {
    let ends = |boundary: &Boundary| (boundary.highest_met, boundary.lowest_missed);
    if ends(new) == ends(base) && new.highest_met.is_some() {
        return Moved::Same;
    }
    let at_least = |low: Option<f64>, high: Option<f64>| low.zip(high).is_some_and(|(low, high)| low >= high);
    if at_least(base.highest_met, new.lowest_missed) {
        return Moved::Down;
    }
    if at_least(new.highest_met, base.lowest_missed) {
        return Moved::Up;
    }
    let all = [new.highest_met, base.highest_met].into_iter().zip([new.lowest_missed, base.lowest_missed]);
    let bounds: Option<Vec<(f64, f64)>> = all.map(|(low, high)| low.zip(high)).collect();
    let Some(bounds) = bounds else { return Moved::Undecided };
    let low = bounds.iter().map(|bound| bound.0).fold(f64::INFINITY, f64::min);
    let high = bounds.iter().map(|bound| bound.1).fold(0.0, f64::max);
    let precision = new.precision.max(base.precision);
    match high / low <= (1.0 + precision).powi(2) * (1.0 + 1e-9) {
        true => Moved::Same,
        false => Moved::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::{Design, samples::report};

    fn searched(ends: (Option<f64>, Option<f64>), edit: impl FnOnce(&mut Value)) -> Report {
        report(|r| {
            r["boundary"] = json!({
                "searched": "rate", "objectives": ["ttft_p50 < 1 s"], "precision": 0.05, "highest_met": ends.0,
                "lowest_missed": ends.1, "undecided": [], "not_monotonic": [], "verified": true, "broken": [], "points": [],
                "comparison": null
            });
            edit(r);
        })
    }

    fn compared(new: Report, base: Report) -> BoundaryChange {
        let baseline = Baseline { name: "b".to_owned(), report: base, note: None, design: Design::Apart };
        compare_boundaries(&new, &baseline).unwrap()
    }

    #[test]
    fn brackets_that_do_not_meet_have_moved() {
        let base = || searched((Some(100.0), Some(104.0)), |_| ());
        for (low, high, expected) in [
            (Some(95.0), Some(100.0), Moved::Down),
            (Some(50.0), Some(52.0), Moved::Down),
            (None, Some(90.0), Moved::Down),
            (Some(104.0), Some(108.0), Moved::Up),
            (Some(200.0), None, Moved::Up),
            (Some(100.0), Some(104.0), Moved::Same),
            (Some(98.0), Some(102.0), Moved::Same),
            // As far apart, together, as two brackets of 5 % may be.
            (Some(101.0), Some(110.25), Moved::Same),
            (Some(101.0), Some(110.26), Moved::Undecided),
            (Some(80.0), Some(110.0), Moved::Undecided),
            (Some(90.0), None, Moved::Undecided),
            (None, None, Moved::Undecided),
        ] {
            let change = compared(searched((low, high), |_| ()), base());
            assert_eq!((change.verdict, change.why_not.len()), (expected, 0), "{low:?} {high:?}");
            assert_eq!((change.highest_met, change.lowest_missed), (Some(100.0), Some(104.0)));
        }
    }

    #[test]
    fn the_same_bracket_is_the_same_however_wide() {
        let of = |ends| compared(searched(ends, |_| ()), searched(ends, |_| ())).verdict;
        assert_eq!([(Some(3.0), Some(4.0)), (Some(64.0), None)].map(of), [Moved::Same, Moved::Same]);
        assert_eq!(of((None, Some(1.0))), Moved::Undecided);
    }

    #[test]
    fn a_search_is_compared_with_searches() {
        let search = || searched((Some(100.0), Some(104.0)), |_| ());
        assert_eq!(boundaries_apart(&search(), &search()), [""; 0]);
        assert_eq!(boundaries_apart(&search(), &report(|_| ())), ["one of them is no search"]);
    }

    #[test]
    fn other_pacing_limits_and_caches_are_no_move() {
        let ends = (Some(100.0), Some(104.0));
        let open = |arrival: &str| json!({"kind": "open", "request_rate": 100.0, "arrival": arrival, "burstiness": 1.0, "max_in_flight": null});
        let of = |edit: &dyn Fn(&mut Value)| {
            let base = searched(ends, |r| r["load"] = open("poisson"));
            let new = searched((Some(50.0), Some(52.0)), |r| {
                r["load"] = open("poisson");
                edit(r);
            });
            let found = compared(new, base);
            (found.verdict, found.why_not.join("; "))
        };
        assert_eq!(of(&|r| r["load"]["request_rate"] = 50.0.into()), (Moved::Down, String::new()));
        for (edit, verdict, why) in [
            (
                (&|r: &mut Value| r["load"] = open("constant")) as &dyn Fn(&mut Value),
                Moved::NotComparable,
                "different pacing: ",
            ),
            (
                &|r| r["workload"]["goodput"] = "ttft < 1 s".into(),
                Moved::NotComparable,
                "different goodput limits: ttft < 1 s",
            ),
            (
                &|r| r["passes"].as_array_mut().unwrap().iter_mut().for_each(|pass| pass["cached_tokens"] = 900.into()),
                Moved::Undecided,
                "of the prompt tokens came from the server's cache",
            ),
        ] {
            let found = of(edit);
            assert!(found.0 == verdict && found.1.contains(why), "{why}: {found:?}");
        }
    }

    #[test]
    fn what_was_searched_must_be_alike() {
        let ends = (Some(100.0), Some(104.0));
        let of = |edit: fn(&mut Value)| {
            let change = compared(searched(ends, edit), searched(ends, |_| ()));
            (change.verdict, change.why_not.join("; "))
        };
        assert_eq!(of(|r| r["load"]["concurrency"] = 7.into()), (Moved::Same, String::new()));
        assert_eq!(of(|r| r["workload"]["digest"] = "sha256:x".into()), (Moved::Same, String::new()));
        for (edit, expected) in [
            (
                (|r| r["boundary"]["objectives"] = json!(["rps > 2"])) as fn(&mut Value),
                "different objectives: rps > 2, the baseline has ttft_p50 < 1 s",
            ),
            (
                |r| r["boundary"]["searched"] = "concurrency".into(),
                "different load: concurrency, the baseline has rate",
            ),
            (|r| r["server"]["model"] = "n".into(), "different model: n, the baseline has m"),
        ] {
            assert_eq!(of(edit), (Moved::NotComparable, expected.to_owned()));
        }
        let (verdict, why) = of(|r| {
            r["workload"]["num_prompts"] = 7.into();
            r["workload"]["digest"] = "sha256:x".into();
        });
        assert!(verdict == Moved::NotComparable && why.contains("num_prompts 7, was 100"), "{why}");
        let none = compared(searched(ends, |_| ()), report(|_| ()));
        assert_eq!(
            (none.verdict, none.why_not),
            (Moved::NotComparable, vec!["the baseline searched for none".to_owned()])
        );
    }
}
