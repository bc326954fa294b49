//! The page: verdicts first, then figures, then what they rest on.

use maud::{Markup, html};

use super::{
    super::{
        block::Style,
        boundary::boundary_lines,
        console::remarks,
        numbers::{Time, change_of, is_meaningless, share, significant},
        verdicts::{basis, verdict_words},
    },
    document::document,
    figure::Figure,
    figures::Shown,
    plot::drawn,
    view::Strip,
};
use crate::{
    files::plain_name,
    metrics::{HostUse, Metric, PassMetrics},
    run::{Comparison, Moved, Report},
    stats::Verdict,
    text::visible,
};

/// The benchmarks of one workload, with the figures of its loads.
pub(super) struct Workload<'a> {
    pub name: &'a str,
    pub figures: Vec<Figure>,
    /// Each with its own figures.
    pub benchmarks: Vec<(&'a Shown<'a>, Vec<Figure>)>,
}

/// More benchmarks than this have their figures on pages of their own alone.
pub(super) const MOST_WHOLE: usize = 16;

/// The page of a run, or of one benchmark of it; `history` is the way to the page of all runs.
pub(super) fn page(title: &str, workloads: &[Workload], history: Option<&str>) -> String {
    let reports = || workloads.iter().flat_map(|workload| &workload.benchmarks).map(|(shown, _)| shown.report);
    let figures: Vec<&Figure> = workloads
        .iter()
        .flat_map(|workload| workload.figures.iter().chain(workload.benchmarks.iter().flat_map(|(_, figures)| figures)))
        .collect();
    let is_whole = reports().count() <= MOST_WHOLE;
    // Drawn once more, they may be of several runs.
    let is_one_run = reports().all(|report| reports().next().is_some_and(|first| first.run_id == report.run_id));
    let header = html! {
        h1 { (visible(title)) }
        @if let Some(report) = reports().next().filter(|_| is_one_run) { (of_run(report)) }
        @if !is_one_run { p.of { "The last run of each benchmark, made at different times." } }
        @if let Some(history) = history { p.of { a href=(history) { "All runs so far" } } }
    };
    let main = html! {
        section aria-label="Verdicts" { (summary(workloads)) }
        @for workload in workloads {
            @if !workload.figures.is_empty() {
                section {
                    h2 { (visible(workload.name)) ": its loads side by side" }
                    div.figures { @for figure in &workload.figures { (drawn(figure)) } }
                }
            }
            @for (shown, figures) in &workload.benchmarks {
                @if is_whole { (benchmark(shown, figures, is_one_run)) } @else { (elsewhere(shown)) }
            }
        }
    };
    document(title, &header, &main, &figures)
}

/// When, where, what.
pub(super) fn of_run(report: &Report) -> Markup {
    let server = match &report.server.name {
        Some(name) => format!("{name}, {}", report.server.url),
        None => report.server.url.clone(),
    };
    let server = if report.server.embedded { "the embedded engine, a simulation".to_owned() } else { server };
    html! {
        p.of { (visible(&report.started_at)) " · " (visible(&server)) " · model " (visible(&report.server.model)) }
        p.of {
            @if let Some(commit) = &report.commit {
                "commit " (commit.sha.get(..12).unwrap_or(&commit.sha))
                @if commit.dirty { " with changes" }
                @if let Some(branch) = &commit.branch { ", " (visible(branch)) }
                " · "
            }
            "on " (visible(&report.host.to_string()))
        }
    }
}

pub(super) fn estimate(report: &Report, name: &str) -> Markup {
    let Some(estimate) = report.estimate(name) else {
        return html! { td.n { "–" } };
    };
    let amount = |value: f64| if estimate.unit == "s" { Time(value).to_string() } else { significant(value) };
    html! {
        td.n {
            (amount(estimate.point))
            @if let Some((lower, upper)) = estimate.lower.zip(estimate.upper).filter(|_| !is_meaningless(estimate)) {
                br; small { (amount(lower)) " to " (amount(upper)) }
            }
        }
    }
}

/// A row a benchmark, verdict last.
fn summary(workloads: &[Workload]) -> Markup {
    let all = || workloads.iter().flat_map(|workload| &workload.benchmarks).map(|(shown, _)| shown.report);
    let has_objectives = all().any(|report| !report.objectives.is_empty());
    html! {
        div.wide tabindex="0" role="group" aria-label="Table of verdicts" {
            table {
                thead {
                    tr {
                        th scope="col" { "benchmark" }
                        th scope="col" { "against the baseline" }
                        th.n scope="col" { "requests/min" }
                        th.n scope="col" { "output tokens/s" }
                        th.n scope="col" { "ttft p50" }
                        th.n scope="col" { "ttft p99" }
                        @if has_objectives { th scope="col" { "objectives" } }
                    }
                }
                tbody {
                    @for report in all() {
                        tr {
                            th scope="row" { a href=(format!("#{}", plain_name(&report.id))) { (visible(&report.id)) } }
                            td { (verdict(report)) }
                            (estimate(report, "rpm"))
                            (estimate(report, "output_tokens_per_s"))
                            (estimate(report, "ttft_p50"))
                            (estimate(report, "ttft_p99"))
                            @if has_objectives {
                                td {
                                    @for judged in &report.objectives {
                                        div { (visible(&judged.objective)) ": " span class=(judged.state.to_string()) { (judged.state.to_string()) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn verdict(report: &Report) -> Markup {
    if report.partial.is_some() {
        return html! { "ended early: no verdict" };
    }
    if let Some(moved) = report.boundary.as_ref().and_then(|boundary| boundary.comparison.as_ref()) {
        let class = match moved.verdict {
            Moved::Down => "regressed",
            Moved::Up => "improved",
            Moved::Same | Moved::Undecided | Moved::NotComparable => "same",
        };
        let why = if moved.why_not.is_empty() { String::new() } else { format!(": {}", moved.why_not.join("; ")) };
        return html! { "highest load that holds: " span class=(class) { (moved.verdict.to_string()) } (visible(&why)) };
    }
    let Some(comparison) = &report.comparison else { return html! { "nothing to compare with" } };
    html! {
        @if comparison.comparable { (changes(comparison)) } @else {
            div { "not comparable: " (visible(&comparison.why_not.join("; "))) }
        }
        @if comparison.failures.as_ref().is_some_and(|failures| failures.regressed) { div.regressed { "more requests failed" } }
        @if !comparison.unmeasured.is_empty() {
            div.regressed { "gated, but could not be compared: " (visible(&comparison.unmeasured.join(", "))) }
        }
    }
}

fn changes(comparison: &Comparison) -> Markup {
    let gated = Metric::all().filter_map(|metric| {
        comparison.metrics.get(&metric).filter(|change| change.gated).map(|change| (metric, change))
    });
    html! {
        @for (metric, change) in gated {
            div {
                (metric.to_string()) " " span class=(class(change.verdict)) { (verdict_words(change.verdict, comparison)) }
                " " small { (change_of(change.change, change.lower.zip(change.upper))) }
            }
        }
        @if let Some(why) = &comparison.held_back { div { "no verdict, because of the cache: " (visible(why)) } }
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regressed => "regressed",
        Verdict::Improved => "improved",
        Verdict::NoChange | Verdict::Inconclusive => "same",
    }
}

fn benchmark(shown: &Shown, figures: &[Figure], is_one_run: bool) -> Markup {
    let report = shown.report;
    let strips: &[Strip] = shown.view.map_or(&[], |view| &view.strips);
    html! {
        section {
            h2 id=(plain_name(&report.id)) { (visible(&report.id)) }
            @if !is_one_run { (of_run(report)) }
            p.of { (visible(&report.load.to_string())) }
            @if let Some(boundary) = &report.boundary {
                ul { @for line in boundary_lines(boundary, Style::default()) { li { (visible(&line)) } } }
            }
            div.figures { @for figure in figures { (drawn(figure)) } }
            @if !strips.is_empty() { (of_requests(strips)) }
            (failures(report))
            details {
                summary { "What these numbers rest on" }
                ul { @for remark in remarks(report, true) { li { (visible(&remark)) } } }
                @if let Some(comparison) = &report.comparison {
                    p { "Compared with " (visible(&comparison.baseline)) ", " (visible(&comparison.baseline_started_at)) "." }
                    @if comparison.comparable { p { (basis(comparison)) } }
                    ul { @for warning in &comparison.warnings { li { (visible(warning)) } } }
                }
            }
            details { summary { "Each pass, and what the machine did" } (passes(report)) }
            details {
                summary { "Settings" }
                @if !report.command.is_empty() { p { "Run it again: " code { (visible(&report.command)) } } }
                (settings(report))
            }
        }
    }
}

/// Failed requests by their class, each with what one of them met.
fn failures(report: &Report) -> Markup {
    let classes = report.failures();
    html! {
        @if !classes.is_empty() {
            h3 { "Failed requests" }
            ul { @for (class, (n, example)) in classes { li { (n) " " (visible(class)) ": " (visible(example)) } } }
        }
    }
}

/// A row a pass.
fn passes(report: &Report) -> Markup {
    let of_host = |pass: &PassMetrics, of: fn(&HostUse) -> Option<f64>| pass.host.as_ref().and_then(of);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let percent = |value: Option<f64>| or_dash(value.map(share));
    html! {
        div.wide tabindex="0" role="group" aria-label="Table of passes" {
            table {
                thead {
                    tr {
                        th.n scope="col" { "pass" } th scope="col" { "began" } th.n scope="col" { "took" }
                        th.n scope="col" { "requests/min" } th.n scope="col" { "output tokens/s" } th.n scope="col" { "ttft p50" }
                        th.n scope="col" { "failed" } th.n scope="col" { "client's share" } th.n scope="col" { "cores used by others" }
                        th.n scope="col" { "time stolen" } th.n scope="col" { "speed test" }
                    }
                }
                tbody {
                    @for (i, pass) in report.passes.iter().enumerate() {
                        tr {
                            th.n scope="row" { (i + 1) }
                            td { (visible(&pass.started_at)) }
                            td.n { (Time(pass.duration_s)) }
                            td.n { (significant(pass.rpm)) }
                            td.n { (significant(pass.output_tokens_per_s)) }
                            td.n { (or_dash(pass.ttft_s.map(|ttft| Time(ttft.p50).to_string()))) }
                            td.n { (pass.failed) }
                            td.n { (percent(pass.client.share)) }
                            td.n { (or_dash(of_host(pass, |host| host.others_cores).map(|cores| format!("{cores:.2}")))) }
                            td.n { (percent(of_host(pass, |host| host.stolen_share))) }
                            td.n { (or_dash(of_host(pass, |host| Some(host.probe_s)).map(|time| Time(time).to_string()))) }
                        }
                    }
                }
            }
        }
    }
}

/// A benchmark whose figures are on a page of its own.
fn elsewhere(shown: &Shown) -> Markup {
    let id = &shown.report.id;
    html! { p id=(plain_name(id)) { a href=(format!("../{id}/report/index.html")) { (visible(id)) } " has a page of its own" } }
}

/// The lives of a few requests, on one scale.
fn of_requests(strips: &[Strip]) -> Markup {
    let most_s = strips.iter().map(|strip| strip.end_s).fold(0.0, f64::max).max(1e-9);
    let part = |from: f64, to: f64| format!("width:{:.2}%", 100.0 * (to - from).max(0.0) / most_s);
    html! {
        h3 { "Requests of the last pass" }
        p.of {
            span.key.first {} " until the first token  "
            span.key.rest {} " from then to the end  "
            span.key.wait {} " before the send"
        }
        @for strip in strips {
            @let first_s = strip.first_s.unwrap_or(strip.end_s).max(strip.sent_s);
            div {
                (visible(&strip.name)) ", number " (strip.index) ": "
                @if strip.sent_s > 0.0 { "sent " (Time(strip.sent_s)) " late, " }
                @if let Some(first_s) = strip.first_s { "first token after " (Time(first_s)) ", " }
                "end after " (Time(strip.end_s))
                @if let Some(tokens) = strip.tokens { ", " (tokens) " tokens" }
                @if let Some(failure) = &strip.failure { "; " (visible(failure)) }
            }
            div.strip aria-hidden="true" {
                i.wait style=(part(0.0, strip.sent_s)) {}
                @if strip.failure.is_some() {
                    i.none style=(part(strip.sent_s, strip.end_s)) {}
                } @else {
                    i.first style=(part(strip.sent_s, first_s)) {}
                    i.rest style=(part(first_s, strip.end_s)) {}
                }
            }
        }
    }
}

/// What was asked, as report.json has it.
fn settings(report: &Report) -> Markup {
    let of = |of: Result<serde_json::Value, serde_json::Error>| match of {
        Ok(serde_json::Value::Object(fields)) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Vec::new(),
    };
    let (workload, load) = (of(serde_json::to_value(&report.workload)), of(serde_json::to_value(&report.load)));
    html! {
        dl {
            @for (name, value) in workload.into_iter().chain(load) {
                dt { (name) }
                dd { @match value.as_str() { Some(text) => (visible(text)), None => (visible(&value.to_string())) } }
            }
        }
    }
}
