//! What keeps two runs from being compared, and what must be known beside the verdict.

use std::collections::BTreeSet;

use serde_json::Value;

use super::units::Pair;
use crate::{
    client::TokenSource,
    metrics::{Distribution, HostUse, PassMetrics},
    run::{Cache, Design, Report, WorkloadReport},
};

/// The share of failed requests above which a run's numbers are those of another load.
pub const FAILURE_BUDGET: f64 = 0.01;
/// How far output lengths may lie apart without a word, as a share.
const LENGTH_TOLERANCE: f64 = 0.02;
/// How far the shares of cached prompt tokens may lie apart without a word.
const CACHE_TOLERANCE: f64 = 0.05;
/// How many cores more others may have used without a word, and what share of the time may have been stolen.
const OTHERS_CORES: f64 = 0.2;
const STOLEN_SHARE: f64 = 0.02;
/// A baseline that is older than this gets a word.
const OLD_DAYS: u64 = 30;

/// What keeps two runs from being compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WhyNot {
    /// They asked different questions: another workload, model, API, stream mode or load. Mostly on purpose.
    pub another_question: Vec<String>,
    /// They asked the same, and the answers can't be compared: too many failed, or their tokens were counted in different ways.
    pub no_answer: Vec<String>,
}

impl WhyNot {
    /// All of it.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.another_question.iter().chain(&self.no_answer)
    }
}

/// Why there can be no verdict; empty where there can.
pub fn why_not(new: &Report, base: &Report) -> WhyNot {
    let mut reasons = Vec::new();
    let mut workload = None;
    let mut differs = |what: &str, new: &str, base: &str| {
        if new != base {
            reasons.push(format!("different {what}: {new}, the baseline has {base}"));
        }
    };
    differs("api", &name(&new.workload.api), &name(&base.workload.api));
    differs("stream mode", &new.workload.stream.to_string(), &base.workload.stream.to_string());
    // The digest holds both of these too, and would only say the same again with less to read.
    if new.workload.api == base.workload.api && new.workload.stream == base.workload.stream {
        workload = differs_in_words(&new.workload, &base.workload);
    }
    differs("model", &new.server.model, &base.server.model);
    differs("load", &new.load.to_string(), &base.load.to_string());
    reasons.extend(workload);
    for (new_pass, base_pass) in
        pairs(&new.passes, &base.passes).filter(|(a, b)| !a.digest.is_empty() && !b.digest.is_empty())
    {
        if new_pass.digest != base_pass.digest && new.workload.digest == base.workload.digest {
            reasons.push(format!("different prompts in the pass with seed {}", new_pass.seed));
        }
    }
    let another_question = std::mem::take(&mut reasons);
    let (new_source, base_source) = (token_source(&new.passes), token_source(&base.passes));
    if new_source != base_source {
        reasons.push(format!("different token source: {new_source}, the baseline has {base_source}"));
    } else if new_source == MIXED {
        reasons.push("the tokens of both runs were counted partly by the server and partly by the client".to_owned());
    }
    for (whose, report) in [("this run", new), ("the baseline", base)] {
        let share = failed_share(&report.passes);
        if share > FAILURE_BUDGET {
            let budget = FAILURE_BUDGET * 100.0;
            reasons.push(format!("{:.1} % of the requests of {whose} failed; at most {budget} % may", share * 100.0));
        }
    }
    reasons.extend(
        [("this run", new), ("the baseline", base)].into_iter().filter_map(|(whose, report)| not_alone(whose, report)),
    );
    WhyNot { another_question, no_answer: reasons }
}

/// What the server's own counters say against the passes of a run.
fn not_alone(whose: &str, report: &Report) -> Option<String> {
    let all = || report.passes.iter().filter_map(|pass| pass.server_metrics.as_ref());
    let others: u64 = all().filter_map(|metrics| metrics.tokens_of_others).sum();
    if others > 0 {
        return Some(format!(
            "somebody else used the server during the passes of {whose}: it generated {others} more tokens than were asked for"
        ));
    }
    all()
        .any(|metrics| metrics.restarted)
        .then(|| format!("the server was restarted in the middle of a pass of {whose}"))
}

/// What of two workloads is another thing: the settings, or where those are alike, the texts themselves.
fn differs_in_words(new: &WorkloadReport, base: &WorkloadReport) -> Option<String> {
    if new.digest == base.digest {
        return None;
    }
    // What an older report does not say is taken to be the same.
    let settings: [(&str, fn(&WorkloadReport) -> Option<Value>); 18] = [
        ("dataset", |w| Some(w.dataset.as_str().into())),
        ("sampler", |w| Some(w.sampler.to_string().into())),
        ("seed", |w| Some(w.seed.into())),
        ("num_prompts", |w| Some(w.num_prompts.into())),
        ("duration_s", |w| Some(w.duration_s.map_or_else(|| "none".into(), Value::from))),
        ("ignore_eos", |w| Some(w.ignore_eos.into())),
        ("temperature", |w| Some(w.temperature.into())),
        ("top_p", |w| Some(w.top_p.into())),
        ("max_tokens", |w| Some(w.max_tokens.into())),
        ("max_tokens_field", |w| w.max_tokens_field.as_deref().map(Value::from)),
        ("include_usage", |w| w.include_usage.map(Value::from)),
        ("extra_body", |w| w.extra_body.clone().map(Value::Object)),
        ("batch", |w| Some(w.batch.unwrap_or(1).into())),
        ("fresh_prompts", |w| Some(w.fresh_prompts.into())),
        ("history_from", |w| w.history_from.map(|from| from.to_string().into())),
        ("think_time", |w| Some(w.think_time.as_deref().unwrap_or("none").into())),
        ("trace_window", |w| Some(w.trace_window.as_deref().unwrap_or("all").into())),
        ("cache_bust", |w| Some(w.nonce_seed.is_some().into())),
    ];
    let differences = settings.iter().filter_map(|(name, of)| {
        let (new, base) = (of(new)?, of(base)?);
        (new != base).then(|| format!("{name} {}, was {}", plain(&new), plain(&base)))
    });
    let differences: Vec<String> = differences.collect();
    Some(match differences.as_slice() {
        [] => format!("different workload: different texts (digest {}, the baseline has {})", new.digest, base.digest),
        some => format!("different workload: {}", some.join("; ")),
    })
}

/// What does not forbid a verdict but may explain it.
pub fn warnings(new: &Report, base: &Report, design: Design) -> Vec<String> {
    let mut warnings = Vec::new();
    if new.host != base.host {
        warnings.push(format!("different host: {}, the baseline ran on {}", new.host, base.host));
    }
    if design == Design::Interleaved {
        // That they are two servers is what was asked.
    } else if new.server.embedded != base.server.embedded {
        let which = |embedded| if embedded { "the embedded engine" } else { "a live server" };
        let (new, base) = (which(new.server.embedded), which(base.server.embedded));
        warnings.push(format!("different server: {new}, the baseline measured {base}"));
    } else if new.server.identity() != base.server.identity() {
        let (new, base) = (new.server.identity(), base.server.identity());
        warnings.push(format!("different server: {new}, the baseline measured {base}"));
    }
    if let Some((new, base)) = new.server.gpus.zip(base.server.gpus).filter(|(new, base)| new != base) {
        warnings.push(format!("the server has {new} GPUs, the baseline's had {base}"));
    }
    if new.shards != base.shards {
        let [new, base] = [new.shards, base.shards]
            .map(|shards| shards.map_or_else(|| "one process".to_owned(), |of| format!("{of} shards")));
        warnings.push(format!("sent by {new}, the baseline by {base}"));
    }
    let keys: BTreeSet<&String> = new.server.facts.keys().chain(base.server.facts.keys()).collect();
    for key in keys {
        let fact = |report: &Report| report.server.facts.get(key).map_or_else(|| "nothing".to_owned(), plain);
        if fact(new) != fact(base) {
            let (new, base) = (fact(new), fact(base));
            warnings.push(format!("the server's {key} is {new}, the baseline's server had {base}"));
        }
    }
    if design == Design::Apart {
        let mean = |report: &Report, of: fn(&HostUse) -> Option<f64>| {
            let all: Option<Vec<f64>> = report.passes.iter().map(|pass| of(&pass.host?)).collect();
            all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
        };
        let both = |of| mean(new, of).zip(mean(base, of));
        if let Some((new, base)) = both(|host| host.others_cores).filter(|(a, b)| (a - b).abs() > OTHERS_CORES) {
            warnings.push(format!("other processes used {new:.1} cores of the machine, {base:.1} for the baseline"));
        }
        if let Some((new, base)) = both(|host| host.stolen_share).filter(|(a, b)| (a - b).abs() > STOLEN_SHARE) {
            let [new, base] = [new, base].map(|share| share * 100.0);
            warnings.push(format!("{new:.0} % of the machine's time was stolen, {base:.0} % for the baseline"));
        }
    }
    let lengths: [(&str, fn(&Distribution) -> f64); 2] = [("mean", |l| l.mean), ("90th percentile", |l| l.p90)];
    for (which, of) in lengths {
        let length = |pass: &PassMetrics| pass.output_length.as_ref().map(of);
        let both: Vec<(f64, f64)> =
            pairs(&new.passes, &base.passes).filter_map(|(n, b)| length(n).zip(length(b))).collect();
        let (new, base): (f64, f64) = both.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
        if base > 0.0 && (new / base - 1.0).abs() > LENGTH_TOLERANCE {
            let change = (new / base - 1.0) * 100.0;
            warnings.push(format!(
                "answers differ in length by {change:+.1} % at the {which}, and so does token throughput"
            ));
            break;
        }
    }
    let started = |report: &Report| humantime::parse_rfc3339(&report.started_at).ok();
    if let (Some(new), Some(base)) = (started(new), started(base)) {
        let days = new.duration_since(base).unwrap_or_default().as_secs() / (24 * 3600);
        if days > OLD_DAYS {
            warnings.push(format!("the baseline is {days} days old"));
        }
    }
    warnings
}

/// Why the server's prompt cache forbids a verdict: what it served from there differs, or may differ.
pub fn cache_reason(new: &Report, base: &Report) -> Option<String> {
    let share = |report: &Report| {
        let shares: Option<Vec<f64>> = report.passes.iter().map(PassMetrics::cached_share).collect();
        shares.filter(|shares| !shares.is_empty()).map(|shares| shares.iter().sum::<f64>() / shares.len() as f64)
    };
    let shares = (share(new), share(base));
    let (new_share, base_share) = (shares.0.unwrap_or(0.0) * 100.0, shares.1.unwrap_or(0.0) * 100.0);
    if (new_share - base_share).abs() > CACHE_TOLERANCE * 100.0 {
        return Some(format!(
            "{new_share:.0} % of the prompt tokens came from the server's cache, {base_share:.0} % in the baseline"
        ));
    }
    if shares.0.is_some() && shares.1.is_some() {
        return None;
    }
    let whose = [("these prompts", new), ("the baseline's prompts", base)];
    let cached = whose.into_iter().find(|(_, report)| report.cache.as_ref().is_some_and(Cache::may_have_served))?;
    let before = cached.1.cache.as_ref().and_then(|cache| cache.sent_before.as_deref()).unwrap_or_default();
    Some(format!(
        "the server caches prompts without saying how many, and {} were sent to it before ({before})",
        cached.0
    ))
}

/// The passes of both runs that had the same seed, and so the same prompts.
pub(super) fn pairs<'a>(new: &'a [PassMetrics], base: &'a [PassMetrics]) -> impl Iterator<Item = Pair<'a>> {
    new.iter().filter_map(|pass| Some((pass, base.iter().find(|other| other.seed == pass.seed)?)))
}

const MIXED: &str = "mixed";

fn token_source(passes: &[PassMetrics]) -> String {
    let mut sources = passes.iter().filter_map(|pass| pass.token_source);
    let Some(first) = sources.next() else { return "none".to_owned() };
    name(&if sources.all(|source| source == first) { first } else { TokenSource::Mixed })
}

pub(super) fn failed_share(passes: &[PassMetrics]) -> f64 {
    passes.iter().map(PassMetrics::failed_share).sum::<f64>() / passes.len().max(1) as f64
}

/// The name that a value has in files.
fn name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).map_or_else(|_| String::new(), |value| plain(&value))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::samples::{report, scale, set};

    type Edit = fn(&mut Value);

    #[test]
    fn what_the_servers_counters_say() {
        let of = |edit: Edit| {
            not_alone(
                "this run",
                &report(|r| {
                    set(r, "server_metrics", json!({"server": "vllm", "readings": 3, "restarted": false}));
                    edit(r);
                }),
            )
        };
        assert_eq!(of(|_| ()), None);
        assert_eq!(of(|r| r["passes"][0]["server_metrics"]["tokens_of_others"] = 0.into()), None);
        let others = "somebody else used the server during the passes of this run: it generated 7 more tokens than were asked for";
        let two = |r: &mut Value| {
            (0..2).for_each(|i| r["passes"][i]["server_metrics"]["tokens_of_others"] = (3 + i).into());
        };
        assert_eq!(of(two).as_deref(), Some(others));
        let restarted = of(|r| r["passes"][2]["server_metrics"]["restarted"] = true.into());
        assert_eq!(restarted.as_deref(), Some("the server was restarted in the middle of a pass of this run"));
    }

    #[test]
    fn reasons() {
        let same = report(|_| ());
        let table: &[(Edit, &[&str], &[&str])] = &[
            (|_| (), &[], &[]),
            (
                |r| r["workload"]["api"] = "completions".into(),
                &["different api: completions, the baseline has chat"],
                &[],
            ),
            (|r| r["workload"]["stream"] = false.into(), &["different stream mode: false, the baseline has true"], &[]),
            (
                |r| {
                    r["workload"]["api"] = "completions".into();
                    r["workload"]["digest"] = "sha256:e".into();
                },
                &["different api: completions, the baseline has chat"],
                &[],
            ),
            (
                |r| {
                    r["workload"]["stream"] = false.into();
                    r["workload"]["digest"] = "sha256:e".into();
                },
                &["different stream mode: false, the baseline has true"],
                &[],
            ),
            (
                |r| {
                    r["workload"]["digest"] = "sha256:e".into();
                    set(r, "digest", json!("sha256:f"));
                },
                &["different workload: different texts (digest sha256:e, the baseline has sha256:d)"],
                &[],
            ),
            (|r| r["server"]["model"] = "n".into(), &["different model: n, the baseline has m"], &[]),
            (
                |r| r["load"]["concurrency"] = 2.into(),
                &["different load: closed loop with 2 clients, the baseline has closed loop with 1 client"],
                &[],
            ),
            (|r| r["passes"][1]["digest"] = "sha256:x".into(), &["different prompts in the pass with seed 1"], &[]),
            (|r| r["passes"][1]["digest"] = "".into(), &[], &[]),
            (
                |r| {
                    r["passes"][1]["digest"] = "sha256:x".into();
                    r["passes"][1]["seed"] = 9.into();
                },
                &[],
                &[],
            ),
            (
                |r| set(r, "token_source", json!("client")),
                &[],
                &["different token source: client, the baseline has usage"],
            ),
            (
                |r| r["passes"][2]["token_source"] = "client".into(),
                &[],
                &["different token source: mixed, the baseline has usage"],
            ),
            (|r| set(r, "token_source", json!(null)), &[], &["different token source: none, the baseline has usage"]),
            // 1 % may fail, on average over the passes.
            (
                |r| {
                    set(r, "failed", json!(1));
                    set(r, "completed", json!(99));
                },
                &[],
                &[],
            ),
            (
                |r| {
                    set(r, "failed", json!(2));
                    set(r, "completed", json!(98));
                },
                &[],
                &["2.0 % of the requests of this run failed; at most 1 % may"],
            ),
        ];
        for (edit, another_question, no_answer) in table {
            let found = why_not(&report(*edit), &same);
            assert_eq!(found.another_question, *another_question);
            assert_eq!(found.no_answer, *no_answer);
            assert_eq!(found.all().count(), another_question.len() + no_answer.len());
        }
        let mixed = report(|r| r["passes"][2]["token_source"] = "client".into());
        let both = "the tokens of both runs were counted partly by the server and partly by the client";
        assert_eq!(why_not(&mixed, &mixed).no_answer, [both]);
        let failing = report(|r| set(r, "failed", json!(3)));
        let why = why_not(&same, &failing).no_answer;
        assert_eq!(why, ["2.9 % of the requests of the baseline failed; at most 1 % may"]);
    }

    #[test]
    fn who_else_used_the_machine_or_the_server() {
        let with = |others: f64, stolen: f64| {
            report(|r| set(r, "host", json!({"probe_s": 1.0, "others_cores": others, "stolen_share": stolen})))
        };
        let said =
            |new: (f64, f64), base: (f64, f64)| warnings(&with(new.0, new.1), &with(base.0, base.1), Design::Apart);
        assert_eq!(said((1.5, 0.1), (1.4, 0.09)), [""; 0]);
        assert_eq!(
            said((1.5, 0.1), (1.2, 0.1)),
            ["other processes used 1.5 cores of the machine, 1.2 for the baseline"]
        );
        assert_eq!(
            said((1.2, 0.1), (1.5, 0.1)),
            ["other processes used 1.2 cores of the machine, 1.5 for the baseline"]
        );
        assert_eq!(said((1.5, 0.01), (1.5, 0.06)), ["1 % of the machine's time was stolen, 6 % for the baseline"]);
        assert_eq!(warnings(&with(1.5, 0.1), &with(0.0, 0.0), Design::Interleaved), [""; 0]);
        let gpus = |n: Option<u32>| report(|r| r["server"]["gpus"] = n.into());
        let said = |new, base| warnings(&gpus(new), &gpus(base), Design::Apart);
        assert_eq!(said(Some(4), Some(2)), ["the server has 4 GPUs, the baseline's had 2"]);
        assert_eq!([said(Some(4), Some(4)), said(Some(4), None), said(None, None)], [[""; 0]; 3]);
    }

    #[test]
    fn remarks() {
        let same = report(|_| ());
        let table: &[(Edit, &[&str])] = &[
            (|_| (), &[]),
            (
                |r| r["host"]["cores"] = 3.into(),
                &["different host: linux with 3 cores of x, the baseline ran on linux with 2 cores of x"],
            ),
            (
                |r| r["server"]["embedded"] = true.into(),
                &["different server: the embedded engine, the baseline measured a live server"],
            ),
            (
                |r| r["server"]["url"] = "http://h:2".into(),
                &["different server: http://h:2, the baseline measured http://h:1"],
            ),
            (|r| r["server"]["version"] = "2".into(), &["the server's version is 2, the baseline's server had 1"]),
            (|r| r["server"]["x"] = 3.into(), &["the server's x is 3, the baseline's server had nothing"]),
            (
                |r| scale(r, &["output_length", "mean"], [1.03; 3]),
                &["answers differ in length by +3.0 % at the mean, and so does token throughput"],
            ),
            (
                |r| scale(r, &["output_length", "p90"], [0.97; 3]),
                &["answers differ in length by -3.0 % at the 90th percentile, and so does token throughput"],
            ),
            (|r| scale(r, &["output_length", "mean"], [1.02, 1.02, 1.01]), &[]),
            // What one pass has more the other has less.
            (|r| scale(r, &["output_length", "mean"], [1.1, 0.9, 1.0]), &[]),
            (|r| set(r, "output_length", json!(null)), &[]),
            (|r| r["started_at"] = "2026-01-31T23:00:00Z".into(), &[]),
            (|r| r["started_at"] = "2026-02-01T00:00:00Z".into(), &["the baseline is 31 days old"]),
        ];
        for (edit, expected) in table {
            assert_eq!(warnings(&report(*edit), &same, Design::Apart), *expected);
        }
        // Lengths that were nothing before are no multiple of it.
        let nothing = report(|r| {
            scale(r, &["output_length", "mean"], [0.0; 3]);
            scale(r, &["output_length", "p90"], [0.0; 3]);
        });
        assert_eq!(warnings(&same, &nothing, Design::Apart), [""; 0]);
        let live = "different server: a live server, the baseline measured the embedded engine";
        assert_eq!(warnings(&same, &report(|r| r["server"]["embedded"] = true.into()), Design::Apart), [live]);
        // Of embedded engines the port is another each time.
        let embedded = |url: &str| {
            let url = url.to_owned();
            report(move |r| {
                r["server"]["embedded"] = true.into();
                r["server"]["url"] = url.into();
            })
        };
        assert_eq!(warnings(&embedded("a"), &embedded("b"), Design::Apart), [""; 0]);
    }

    #[test]
    fn caches() {
        let with = |cached: Option<u64>| report(move |r| set(r, "cached_tokens", json!(cached)));
        let reason = |new: Option<u64>, base: Option<u64>| cache_reason(&with(new), &with(base));
        // Of 1,000 prompt tokens, not more than 50 more or fewer.
        for (new, base) in
            [(None, None), (Some(0), Some(0)), (Some(399), Some(350)), (Some(350), Some(399)), (Some(49), None)]
        {
            assert_eq!(reason(new, base), None, "{new:?} {base:?}");
        }
        for (new, base, expected) in [
            (Some(460), Some(400), "46 % of the prompt tokens came from the server's cache, 40 % in the baseline"),
            (Some(0), Some(60), "0 % of the prompt tokens came from the server's cache, 6 % in the baseline"),
            (Some(510), None, "51 % of the prompt tokens came from the server's cache, 0 % in the baseline"),
            (None, Some(510), "0 % of the prompt tokens came from the server's cache, 51 % in the baseline"),
        ] {
            assert_eq!(reason(new, base).as_deref(), Some(expected));
        }
        let known = |sent_before: Option<&str>, caches: Option<bool>, cached: Option<u64>| {
            let cache = json!({"sent_before": sent_before, "caches": caches, "probe_factor": null, "repeated": 0});
            report(move |r| {
                r["cache"] = cache;
                set(r, "cached_tokens", json!(cached));
            })
        };
        let plain = with(None);
        for (sent_before, caches, cached, held) in [
            (Some("x"), Some(true), None, true),
            (Some("x"), None, None, true),
            (Some("x"), Some(false), None, false),
            (None, Some(true), None, false),
        ] {
            let new = known(sent_before, caches, cached);
            assert_eq!(cache_reason(&new, &plain).is_some(), held, "{sent_before:?} {caches:?}");
            assert_eq!(cache_reason(&plain, &new).is_some(), held, "{sent_before:?} {caches:?}");
        }
        let new = known(Some("x"), Some(true), None);
        let said = "the server caches prompts without saying how many, and these prompts were sent to it before (x)";
        assert_eq!(cache_reason(&new, &plain).as_deref(), Some(said));
        let said =
            "the server caches prompts without saying how many, and the baseline's prompts were sent to it before (x)";
        assert_eq!(cache_reason(&plain, &new).as_deref(), Some(said));
        // Where both say what came from there, that is what counts.
        let reporting = known(Some("x"), Some(true), Some(500));
        assert_eq!(cache_reason(&reporting, &with(Some(500))), None);
        assert!(cache_reason(&known(Some("x"), Some(true), Some(0)), &plain).is_some());
    }
}
