//! The figures of a run: from reports to what is drawn.

use super::{
    super::numbers::is_meaningless,
    figure::{Axis, Figure, Point, Role, Scale, Series, Unit},
    plot::unit_of,
    view::View,
};
use crate::{
    metrics::{GaugeReading, Histogram, Histograms, Metric, PassMetrics, Quantity},
    run::{Boundary, Report},
    stats::{AtLoad, State, knee},
};

/// A benchmark of the run, with what it is compared with.
pub(super) struct Shown<'a> {
    pub report: &'a Report,
    pub baseline: Option<&'a Report>,
    pub view: Option<&'a View>,
}

const THIS_RUN: &str = "this run";

/// Those of the loads of one workload side by side; none where there is only one.
pub(super) fn of_loads(workload: &str, shown: &[&Shown]) -> Vec<Figure> {
    let number = |report: &Report| {
        let shape = report.load.shape();
        match (shape.concurrency(), shape.request_rate()) {
            (Some(clients), _) => Some((clients as f64, "concurrency")),
            (None, Some(rate)) if rate.0.is_finite() => Some((rate.0, "requests per second asked for")),
            _ => None,
        }
    };
    let mut figures = Vec::new();
    for label in ["concurrency", "requests per second asked for"] {
        let mut loads: Vec<(f64, &Shown)> = shown
            .iter()
            .filter_map(|shown| Some((number(shown.report).filter(|(_, of)| *of == label)?.0, *shown)))
            .collect();
        loads.sort_by(|a, b| a.0.total_cmp(&b.0));
        if loads.len() < 2 {
            continue;
        }
        let (at, points): (Vec<f64>, Vec<AtLoad>) =
            loads.iter().filter_map(|(load, shown)| Some((*load, AtLoad::of(*load, &shown.report.estimates)?))).unzip();
        let knee = knee(&points).map(|i| (at[i], "the knee: the most throughput for its latency".to_owned()));
        for name in
            ["output_tokens_per_s", "rpm", "ttft_p50", "ttft_p99", "tpot_p50", "itl_p99", "e2e_p50", "goodput_rps"]
        {
            let Ok(metric) = name.parse::<Metric>() else { continue };
            let mut figure = against_load(workload, label, metric, &loads);
            figure.marks.extend(knee.clone());
            figures.push(figure);
        }
        if label == "concurrency" {
            figures.push(per_user(workload, &loads));
        }
    }
    seen(figures)
}

/// Those in which there is anything to see.
fn seen(figures: Vec<Figure>) -> Vec<Figure> {
    figures.into_iter().map(Figure::shown).filter(|figure| !figure.is_empty()).collect()
}

/// A metric at each load, with its interval.
fn against_load(workload: &str, label: &str, metric: Metric, loads: &[(f64, &Shown)]) -> Figure {
    let point = |load: f64, report: &Report| {
        let estimate = report.estimates.get(&metric)?;
        let ends = estimate.lower.zip(estimate.upper).filter(|_| !is_meaningless(estimate));
        Some(Point { x: load, y: estimate.point, ends, label: report.id.clone(), ..Point::default() })
    };
    let quantity = metric.quantity();
    let unit = unit_of(quantity);
    let limits = loads.iter().flat_map(|(_, shown)| &shown.report.objectives).filter_map(|judged| {
        let is_of_it = judged.objective.split_whitespace().next() == Some(&metric.to_string());
        is_of_it.then(|| (judged.limit, judged.objective.clone()))
    });
    let mut limits: Vec<(f64, String)> = limits.collect();
    limits.sort_by(|a, b| a.1.cmp(&b.1));
    limits.dedup_by(|a, b| a.1 == b.1);
    // One that is far off would press all else flat.
    let most =
        loads.iter().filter_map(|(load, shown)| point(*load, shown.report)).map(|point| point.y).fold(0.0, f64::max);
    let far: Vec<(f64, String)> = limits.extract_if(.., |(value, _)| *value > FAR * most).collect();
    let far: String = far.into_iter().map(|(_, objective)| format!("; {objective} lies far above")).collect();
    Figure {
        name: format!("{workload}: {metric}"),
        title: format!("{metric}{}{far}", in_words(quantity)),
        x: Axis::new(label, Scale::Log, Unit::Number),
        y: Axis::new(metric.to_string(), Scale::Linear, unit),
        series: both(
            loads.iter().filter_map(|(load, shown)| point(*load, shown.report)).collect(),
            loads.iter().filter_map(|(load, shown)| point(*load, shown.baseline?)).collect(),
            true,
        ),
        limits,
        ..Figure::default()
    }
}

/// A limit that is so many times what was measured.
const FAR: f64 = 4.0;

/// What each user gets, against what all of them get.
fn per_user(workload: &str, loads: &[(f64, &Shown)]) -> Figure {
    // Whose number of GPUs is not known can't stand beside one of which it is.
    let is_per_gpu = loads.iter().all(|(_, shown)| shown.report.server.gpus.is_some());
    let point = |load: f64, report: &Report| {
        let of = |name: &str| report.estimate(name).map(|estimate| estimate.point);
        Some(Point {
            x: 1.0 / of("tpot_p50")?,
            y: of("output_tokens_per_s")? / if is_per_gpu { report.server.gpus? as f64 } else { 1.0 },
            label: format!("{load} clients"),
            ..Point::default()
        })
    };
    let run: Vec<Point> = loads.iter().filter_map(|(load, shown)| point(*load, shown.report)).collect();
    let baseline = loads.iter().filter_map(|(load, shown)| point(*load, shown.baseline?)).collect();
    let frontier = Series {
        name: "frontier".to_owned(),
        role: Role::Level,
        points: frontier(&run),
        is_marked: false,
        ..Series::default()
    };
    let mut series = both(run, baseline, true);
    series.push(frontier);
    let of_all = if is_per_gpu { "per GPU" } else { "in total" };
    Figure {
        name: format!("{workload}: tokens per second {of_all} against each user"),
        title: format!(
            "output tokens per second {of_all}, against those of each user (1 / median TPOT); up and to the right is better, and no load \
             beats one on the frontier in both"
        ),
        x: Axis::new("tokens per second per user", Scale::Linear, Unit::Number),
        y: Axis::new(format!("tokens per second {of_all}"), Scale::Linear, Unit::Number),
        series,
        ..Figure::default()
    }
}

/// The points that no other one is better than in both, from the right to the left.
fn frontier(points: &[Point]) -> Vec<Point> {
    let mut points = points.to_vec();
    points.sort_by(|a, b| b.x.total_cmp(&a.x).then(b.y.total_cmp(&a.y)));
    let mut most = f64::NEG_INFINITY;
    points.retain(|point| {
        point.y > most && {
            most = point.y;
            true
        }
    });
    points
}

fn in_words(quantity: &Quantity) -> String {
    if quantity.unit == "s" { String::new() } else { format!(", {}", quantity.unit_in_words) }
}

fn both(run: Vec<Point>, baseline: Vec<Point>, is_marked: bool) -> Vec<Series> {
    let mut series =
        vec![Series { name: THIS_RUN.to_owned(), role: Role::Run, points: run, is_marked, ..Series::default() }];
    if !baseline.is_empty() {
        series.push(Series {
            name: "the baseline".to_owned(),
            role: Role::Baseline,
            points: baseline,
            is_marked,
            ..Series::default()
        });
    }
    series
}

/// Those of one benchmark.
pub(super) fn of_benchmark(shown: &Shown) -> Vec<Figure> {
    let mut figures: Vec<Figure> =
        shown.report.boundary.iter().flat_map(|found| of_search(&shown.report.id, found)).collect();
    figures.extend(cumulative(shown));
    figures.extend(by_turn(shown));
    figures.extend(shown.view.map(|view| over_time(shown.report, view)).into_iter().flatten());
    seen(figures)
}

/// What a search has tried: each objective's number at each load, the last time that it was measured.
fn of_search(id: &str, found: &Boundary) -> Vec<Figure> {
    let objective = |(i, objective): (usize, &String)| {
        let mut points: Vec<(State, Point)> = Vec::new();
        for tried in &found.points {
            let Some(judged) = tried.objectives.get(i) else { continue };
            let Some(y) = judged.point else { continue };
            points.retain(|(_, point)| point.x != tried.load);
            let label = format!("{} {}, {}, {} passes", tried.load, found.searched.unit(), judged.state, tried.passes);
            points.push((
                judged.state,
                Point { x: tried.load, y, ends: judged.lower.zip(judged.upper), label, ..Point::default() },
            ));
        }
        points.sort_by(|a, b| a.1.x.total_cmp(&b.1.x));
        let of = |name: &str, role, state: State| Series {
            name: name.to_owned(),
            role,
            points: points.iter().filter(|(of, _)| *of == state).map(|(_, point)| point.clone()).collect(),
            is_marked: true,
            is_scattered: true,
        };
        let judged = found.points.iter().find_map(|tried| tried.objectives.get(i));
        let unit = match judged.map(|judged| judged.unit.as_str()) {
            Some("s") => Unit::Seconds,
            Some("1") => Unit::Share,
            _ => Unit::Number,
        };
        let ends =
            [(found.highest_met, "the highest load that holds"), (found.lowest_missed, "the lowest that does not")];
        let mut series = vec![
            of("met", Role::Run, State::Met),
            of("missed", Role::Bad, State::Missed),
            of("undecided", Role::Baseline, State::Undecided),
        ];
        series.retain(|series| !series.points.is_empty());
        Figure {
            name: format!("{id}: {objective}"),
            title: format!("the search: {objective}, at each load"),
            x: Axis::new(found.searched.unit(), Scale::Log, Unit::Number),
            y: Axis::new(objective.split_whitespace().next().unwrap_or_default(), Scale::Linear, unit),
            series,
            limits: judged.map(|judged| (judged.limit, objective.clone())).into_iter().collect(),
            marks: ends.into_iter().filter_map(|(load, words)| Some((load?, words.to_owned()))).collect(),
            ..Figure::default()
        }
    };
    found.objectives.iter().enumerate().map(objective).collect()
}

/// The share of a latency's values below each value, of all passes together.
fn cumulative(shown: &Shown) -> Vec<Figure> {
    let kinds: [(&str, &str, fn(&Histograms) -> Option<&Histogram>); 4] = [
        ("ttft", "time to first token", |all| all.ttft_s.as_ref()),
        ("tpot", "time per output token", |all| all.tpot_s.as_ref()),
        ("itl", "gaps between tokens", |all| all.itl_s.as_ref()),
        ("e2e", "end-to-end latency", |all| all.e2e_s.as_ref()),
    ];
    // No more digits than are known.
    let short = |value: f64, digits: i32| match value > 0.0 && value.is_finite() {
        true => {
            let unit = 10f64.powi(digits - 1 - value.log10().floor() as i32);
            (value * unit).round() / unit
        }
        false => value,
    };
    let points = |report: &Report, of: fn(&Histograms) -> Option<&Histogram>| -> Vec<Point> {
        let pooled = Histogram::pooled(report.passes.iter().filter_map(|pass| of(pass.histograms.as_ref()?)));
        let points = thinned(&pooled.as_ref().map(Histogram::cumulative).unwrap_or_default()).into_iter();
        points.map(|(x, y)| Point { x: short(x, 4), y: short(y, 5), ..Point::default() }).collect()
    };
    let figure = |(name, words, of): (&str, &str, fn(&Histograms) -> Option<&Histogram>)| Figure {
        name: format!("{}: {name}", shown.report.id),
        title: format!("{name}: the share of {words} below a time, all passes together, to 1 %"),
        x: Axis::new(name, Scale::Log, Unit::Seconds),
        y: Axis::new("share below", Scale::Linear, Unit::Share),
        series: both(
            points(shown.report, of),
            shown.baseline.map(|baseline| points(baseline, of)).unwrap_or_default(),
            false,
        ),
        limits: [0.5, 0.9, 0.99].map(|share| (share, format!("p{}", share * 100.0))).into(),
        ..Figure::default()
    };
    kinds.into_iter().map(figure).collect()
}

/// No more points than can be told apart, by their distance on a logarithmic axis; and both ends of each gap that is seen.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (Some(&(first, _)), Some(&(last, _))) = (points.first(), points.last()) else { return Vec::new() };
    let step = (last / first).powf(1.0 / MOST_POINTS);
    let is_gap = |from: usize| points.get(from + 1).is_some_and(|(x, _)| *x > points[from].0 * step * step);
    let mut next = 0.0;
    let mut thin = Vec::new();
    for (i, point) in points.iter().enumerate() {
        if point.0 >= next || i + 1 == points.len() || is_gap(i) || i.checked_sub(1).is_some_and(is_gap) {
            next = point.0 * step;
            thin.push(*point);
        }
    }
    thin
}

/// Of a cumulative distribution.
const MOST_POINTS: f64 = 160.0;

/// The median time to first token of each turn of conversations.
fn by_turn(shown: &Shown) -> Option<Figure> {
    let points = |report: &Report| -> Vec<Point> {
        let turns = |pass: &PassMetrics| pass.conversations.as_ref().map_or(0, |of| of.by_turn.len());
        let most = report.passes.iter().map(turns).max().unwrap_or(0);
        let point = |turn: usize| {
            let of = |pass: &PassMetrics| Some(pass.conversations.as_ref()?.by_turn.get(turn)?.ttft_s?.p50);
            let all: Vec<f64> = report.passes.iter().filter_map(of).collect();
            let y = all.iter().sum::<f64>() / all.len() as f64;
            (!all.is_empty()).then(|| Point { x: (turn + 1) as f64, y, ..Point::default() })
        };
        (0..most).filter_map(point).collect()
    };
    let run = points(shown.report);
    (run.len() > 1).then(|| Figure {
        name: format!("{}: ttft by turn", shown.report.id),
        title: "median ttft by turn, mean over passes".to_owned(),
        x: Axis::new("turn", Scale::Linear, Unit::Number),
        y: Axis::new("ttft p50", Scale::Linear, Unit::Seconds),
        series: both(run, shown.baseline.map(points).unwrap_or_default(), true),
        ..Figure::default()
    })
}

/// The last pass over time.
fn over_time(report: &Report, view: &View) -> Vec<Figure> {
    let points = |values: &[f64]| -> Vec<Point> {
        let at = |(i, y): (usize, &f64)| Point { x: (i as f64 + 0.5) * view.bin_s, y: *y, ..Point::default() };
        values.iter().enumerate().map(at).collect()
    };
    let steady = report.passes.last().and_then(|pass| pass.steady.as_ref());
    let shaded = steady.map(|steady| (steady.started_s, steady.started_s + steady.duration_s));
    let figure = |name: &str, series: Vec<Series>| Figure {
        name: format!("{}: {name}", report.id),
        title: format!("the last pass: {name}"),
        x: Axis::new("time", Scale::Linear, Unit::Seconds),
        y: Axis::new(name, Scale::Linear, Unit::Number),
        series,
        shaded,
        ..Figure::default()
    };
    let series = |name: &str, role, values: &[f64]| Series {
        name: name.to_owned(),
        role,
        points: points(values),
        is_marked: false,
        ..Series::default()
    };
    let failed: Vec<f64> = view.failed.iter().map(|n| f64::from(*n)).collect();
    let mut in_flight = vec![series("in flight", Role::Run, &view.in_flight)];
    if failed.iter().any(|n| *n > 0.0) {
        in_flight.push(series("failed", Role::Bad, &failed));
    }
    let gauge = |name: &str, role, of: fn(&GaugeReading) -> Option<f64>| Series {
        name: name.to_owned(),
        role,
        points: view
            .gauges
            .iter()
            .filter_map(|(x, reading)| Some(Point { x: *x, y: of(reading)?, ..Point::default() }))
            .collect(),
        is_marked: false,
        ..Series::default()
    };
    let queue = vec![
        gauge("running", Role::Run, |reading| reading.running),
        gauge("waiting", Role::Bad, |reading| reading.waiting),
    ];
    let mut kv_use = figure("the server's key-value cache", vec![gauge("in use", Role::Run, |reading| reading.kv_use)]);
    kv_use.y.unit = Unit::Share;
    vec![
        figure("requests in flight", in_flight),
        figure("output tokens per second", vec![series("tokens", Role::Run, &view.tokens_per_s)]),
        figure("requests on the server, by its own count", queue),
        kv_use,
    ]
}
