//! The pages of all runs so far: one of all benchmarks, one of each with its numbers run by run, and one of each commit.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{
    super::numbers::{amount, change_of_level, p_value},
    document::document,
    figure::{Axis, Figure, Point, Role, Scale, Series, Unit},
    page::{estimate, of_run, verdict},
    plot::{drawn, outline, unit_of},
};
use crate::{
    files::plain_name,
    metrics::{Better, Metric},
    run::{Commit, Report, Trend, TrendPoint, TrendSeries},
    stats::LevelChange,
    text::visible,
};

/// A file of the folder of these pages.
pub(super) struct File {
    pub name: String,
    pub text: String,
    /// Of whose numbers there are files beside it.
    pub figures: Vec<Figure>,
}

/// Runs that a figure shows, the newest ones.
const MOST_RUNS: usize = 500;

/// All pages; the one of all benchmarks is `index.html`.
pub(super) fn pages(runs: &[Report], trends: &[Trend]) -> Vec<File> {
    let mut benchmarks: Vec<(&str, String, Vec<&Trend>)> = Vec::new();
    for trend in trends {
        match benchmarks.iter_mut().find(|(id, ..)| *id == trend.benchmark) {
            Some((_, _, trends)) => trends.push(trend),
            None => {
                // Two names may come to the same file.
                let mut file = plain_name(&trend.benchmark);
                while file == "index" || benchmarks.iter().any(|(_, other, _)| *other == file) {
                    file.push('-');
                }
                benchmarks.push((&trend.benchmark, file, vec![trend]));
            }
        }
    }
    let mut files = vec![File { name: "index.html".to_owned(), text: overview(&benchmarks), figures: Vec::new() }];
    for (id, file, trends) in &benchmarks {
        let (text, figures) = of_benchmark(id, trends);
        files.push(File { name: format!("{file}.html"), text, figures });
    }
    files.extend(of_commits(runs, &benchmarks));
    files
}

/// A row a benchmark, with its first number.
fn overview(benchmarks: &[(&str, String, Vec<&Trend>)]) -> String {
    let header = html! {
        h1 { "tachometer: all runs so far" }
        p.of { a href="../index.html" { "The last run" } }
    };
    let main = html! {
        div.wide tabindex="0" role="group" aria-label="Table of benchmarks" {
            table {
                thead {
                    tr {
                        th scope="col" { "benchmark" }
                        th scope="col" { "number" }
                        th.n scope="col" { "runs" }
                        th.n scope="col" { "last" }
                        th scope="col" { "run by run" }
                        th scope="col" { "last change of level" }
                    }
                }
                tbody {
                    @for (id, file, trends) in benchmarks {
                        @let newest = trends.first().and_then(|trend| Some((trend, trend.series.last()?)));
                        tr {
                            th scope="row" { a href=(format!("{file}.html")) { (visible(id)) } }
                            @if let Some((trend, series)) = newest {
                                td { (name(trend)) }
                                td.n { (trend.series.iter().map(|series| series.points.len()).sum::<usize>()) }
                                td.n { (series.points.last().map(|point| shown(trend, point.value)).unwrap_or_default()) }
                                @let shown_from = series.points.len().saturating_sub(MOST_RUNS);
                                td { (outline(&series.points[shown_from..].iter().map(|point| point.value).collect::<Vec<_>>())) }
                                @let changes = last_changes(trends);
                                td {
                                    @for change in &changes { div { (change) } }
                                    @if changes.is_empty() { "none" }
                                }
                            } @else {
                                td colspan="5" { "no number that can be shown" }
                            }
                        }
                    }
                }
            }
        }
        (method())
    };
    document("tachometer: all runs so far", &header, &main, &[])
}

/// The last change of each number, the newest first.
fn last_changes(trends: &[&Trend]) -> Vec<String> {
    let last = |trend: &&Trend| {
        let series = trend.series.last()?;
        let change = series.changes.last()?;
        let since = &series.points[change.at];
        Some((
            since.started_at.clone(),
            format!("{} {} since {}", name(trend), change_of_level(change), of_point(since)),
        ))
    };
    let mut all: Vec<(String, String)> = trends.iter().filter_map(last).collect();
    all.sort_by(|a, b| b.0.cmp(&a.0));
    all.into_iter().map(|(_, words)| words).collect()
}

fn method() -> Markup {
    html! {
        p.of {
            "A level is the value that successive runs scatter around. Changes of level are found by E-divisive means with Student's t test \
             (p < 0.001, windows of 50 runs: Fleming et al. 2023, as in Apache Otava). The unit is the run, and changes within the benchmark's \
             noise threshold do not count. Runs on another host, of another server or server version, or of another workload are kept apart. A \
             change shows only after a few more runs, and is a pointer to a commit rather than a verdict: those are on the commits' pages."
        }
    }
}

/// The page of a benchmark, with its figures.
fn of_benchmark<'a>(id: &str, trends: &[&'a Trend]) -> (String, Vec<Figure>) {
    let figures: Vec<Figure> =
        trends.iter().map(|trend| figure(trend).shown()).filter(|figure| !figure.is_empty()).collect();
    let of_series = trends.iter().flat_map(|trend| trend.series.iter().map(move |series| (*trend, series)));
    let of_change = |(trend, series): (_, &'a TrendSeries)| {
        series.changes.iter().map(move |change| (&series.points[change.at], trend, change))
    };
    let mut all_changes: Vec<(&TrendPoint, &Trend, &LevelChange)> = of_series.flat_map(of_change).collect();
    // The newest first.
    all_changes.sort_by(|a, b| b.0.started_at.cmp(&a.0.started_at));
    let apart: Vec<&TrendSeries> =
        trends.first().map(|trend| trend.series.iter().rev().skip(1).collect()).unwrap_or_default();
    let title = format!("{id}: all runs so far");
    let header = html! {
        h1 { (visible(&title)) }
        p.of { a href="index.html" { "All benchmarks" } " · " a href="../index.html" { "The last run" } }
    };
    let main = html! {
        section {
            h2 { "Changes of level" }
            @if !all_changes.is_empty() {
                div.wide tabindex="0" role="group" aria-label="Table of changes" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "since" } th scope="col" { "number" } th.n scope="col" { "before" }
                                th.n scope="col" { "after" } th.n scope="col" { "change" } th.n scope="col" { "p" }
                            }
                        }
                        tbody {
                            @for (since, trend, change) in &all_changes {
                                tr {
                                    th scope="row" { (of_point(since)) }
                                    td { (name(trend)) }
                                    td.n { (shown(trend, change.before)) }
                                    td.n { (shown(trend, change.after)) }
                                    td.n { span class=(class(trend, change)) { (change_of_level(change)) } }
                                    td.n { (p_value(change.p_value)) }
                                }
                            }
                        }
                    }
                }
            } @else {
                p { "None was found." }
            }
            (method())
        }
        section {
            h2 { "Run by run" }
            @for (i, series) in apart.iter().enumerate() {
                p.of { "Series " (apart.len() - i) ": " (visible(&series.apart_by.join("; "))) }
            }
            div.figures { @for figure in &figures { (drawn(figure)) } }
        }
    };
    let text = document(&title, &header, &main, &figures.iter().collect::<Vec<_>>());
    (text, figures)
}

fn name(trend: &Trend) -> String {
    trend.metric.map_or_else(|| "highest load that holds".to_owned(), |metric| metric.to_string())
}

fn shown(trend: &Trend, value: f64) -> String {
    amount(value, trend.metric.map_or("", |metric| metric.unit()))
}

/// Which way it went, for its colour.
fn class(trend: &Trend, change: &LevelChange) -> &'static str {
    let is_up_better = trend.metric.is_none_or(|metric| metric.better() == Better::Higher);
    if (change.change() > 0.0) == is_up_better { "improved" } else { "regressed" }
}

/// `0123abcd, 2026-11-27`.
fn of_point(point: &TrendPoint) -> String {
    let date = point.started_at.get(..10).unwrap_or(&point.started_at);
    match &point.commit {
        Some(commit) => visible(&format!("{}, {date}", commit.short())).into_owned(),
        None => visible(date).into_owned(),
    }
}

/// The file of a commit's page.
fn file_of(commit: &Commit) -> String {
    let sha = plain_name(commit.sha.get(..12).unwrap_or(&commit.sha));
    format!("commits/{sha}{}.html", if commit.dirty { "-dirty" } else { "" })
}

/// A number run by run, with its levels.
fn figure(trend: &Trend) -> Figure {
    // All series on one scale of time: the place of a run is that among all.
    let mut order: Vec<&str> =
        trend.series.iter().flat_map(|series| &series.points).map(|point| point.started_at.as_str()).collect();
    order.sort_unstable();
    let first = order.len().saturating_sub(MOST_RUNS);
    let place = |point: &TrendPoint| order.partition_point(|other| *other < point.started_at.as_str());
    let at = |point: &TrendPoint| (place(point) + 1) as f64;
    let (mut series, mut levels, mut marks) = (Vec::new(), Vec::new(), Vec::new());
    let newest = trend.series.len();
    for (i, of) in trend.series.iter().enumerate().rev() {
        let is_shown = |point: &&TrendPoint| place(point) >= first;
        let points: Vec<Point> = of
            .points
            .iter()
            .filter(is_shown)
            .map(|point| Point {
                x: at(point),
                y: point.value,
                ends: point.ends,
                label: of_point(point),
                link: point.commit.as_ref().map(file_of).unwrap_or_default(),
            })
            .collect();
        let (name, role) = match i + 1 == newest {
            true => ("runs".to_owned(), Role::Run),
            false => (format!("series {}", i + 1), Role::Baseline),
        };
        if points.is_empty() {
            continue;
        }
        series.push(Series { name, role, points, is_marked: true, ..Series::default() });
        for change in of.changes.iter().filter(|change| is_shown(&&of.points[change.at])) {
            let point = &of.points[change.at];
            marks.push((at(point), format!("{} since {}", change_of_level(change), of_point(point))));
        }
        levels.extend(level(of, i + 1, first, &place));
    }
    series.extend(levels);
    let cut = if first > 0 { format!(", the last {MOST_RUNS} runs") } else { String::new() };
    let quantity = trend.metric.map(Metric::quantity).filter(|quantity| quantity.unit != "s");
    let words = quantity.map_or_else(String::new, |quantity| format!(", {}", quantity.unit_in_words));
    Figure {
        name: format!("{}: {}", trend.benchmark, name(trend)),
        title: format!("{}{words}{cut}", name(trend)),
        x: Axis::new("run, the oldest first", Scale::Near, Unit::Count),
        y: Axis::new(name(trend), Scale::Near, trend.metric.map_or(Unit::Number, |metric| unit_of(metric.quantity()))),
        series,
        marks,
        ..Figure::default()
    }
}

/// The levels of a series that has several, as steps.
fn level(series: &TrendSeries, number: usize, first: usize, place: &impl Fn(&TrendPoint) -> usize) -> Option<Series> {
    let before = series.changes.first()?.before;
    let ends: Vec<usize> = series.changes.iter().map(|change| change.at).chain([series.points.len()]).collect();
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let values = std::iter::once(before).chain(series.changes.iter().map(|change| change.after));
    // Of what is not shown, no level is.
    let shown = begins.zip(&ends).zip(values).filter(|((_, end), _)| place(&series.points[*end - 1]) >= first);
    let points = shown.flat_map(|((begin, end), value)| {
        let at = |i: usize| place(&series.points[i]).max(first);
        // Up to the next one's first run.
        let last = if *end < series.points.len() { at(*end) as f64 - 0.5 } else { at(end - 1) as f64 + 0.5 };
        let from = at(begin) as f64 - 0.5;
        [from, last].map(|x| Point { x: x + 1.0, y: value, ..Point::default() })
    });
    let points: Vec<Point> = points.collect();
    (!points.is_empty()).then(|| Series {
        name: format!("level of series {number}"),
        role: Role::Level,
        points,
        is_marked: false,
        ..Series::default()
    })
}

/// A page a commit: the last run of each benchmark at it.
fn of_commits<'a>(runs: &'a [Report], benchmarks: &[(&str, String, Vec<&Trend>)]) -> Vec<File> {
    let mut commits: BTreeMap<String, BTreeMap<&str, &'a Report>> = BTreeMap::new();
    for run in runs {
        let Some(commit) = &run.commit else { continue };
        let of_commit = commits.entry(file_of(commit)).or_default();
        // The other side of a later run has no verdict, and takes none away.
        if run.comparison.is_some() || of_commit.get(run.id.as_str()).is_none_or(|known| known.comparison.is_none()) {
            of_commit.insert(&run.id, run);
        }
    }
    let file = |id: &str| benchmarks.iter().find(|(other, ..)| *other == id).map(|(_, file, _)| file.as_str());
    let page = |(name, reports): (String, BTreeMap<&str, &Report>)| {
        let commit = reports.values().find_map(|report| report.commit.as_ref()).map(Commit::short).unwrap_or_default();
        let title = format!("commit {commit}");
        let header = html! {
            h1 { (visible(&title)) }
            p.of { a href="../index.html" { "All benchmarks" } }
        };
        let main = html! {
            div.wide tabindex="0" role="group" aria-label="Table of benchmarks" {
                table {
                    thead {
                        tr {
                            th scope="col" { "benchmark" } th scope="col" { "then, against its baseline" }
                            th.n scope="col" { "requests/min" } th.n scope="col" { "output tokens/s" }
                            th.n scope="col" { "ttft p50" } th.n scope="col" { "ttft p99" }
                        }
                    }
                    tbody {
                        @for report in reports.values() {
                            tr {
                                th scope="row" {
                                    @match file(&report.id) {
                                        Some(file) => a href=(format!("../{file}.html")) { (visible(&report.id)) },
                                        None => (visible(&report.id)),
                                    }
                                }
                                td { (verdict(report)) }
                                (estimate(report, "rpm")) (estimate(report, "output_tokens_per_s"))
                                (estimate(report, "ttft_p50")) (estimate(report, "ttft_p99"))
                            }
                        }
                    }
                }
            }
            @for report in reports.values() {
                h2 { (visible(&report.id)) }
                (of_run(report))
                p.of { (visible(&report.load.to_string())) }
            }
        };
        File { name, text: document(&title, &header, &main, &[]), figures: Vec::new() }
    };
    commits.into_iter().map(page).collect()
}
