//! Draws a figure as SVG.

use maud::{Markup, html};

use super::{
    super::numbers::{Time, share, significant},
    figure::{Axis, Figure, Role, Scale, Series, Unit},
};
use crate::metrics::Quantity;

/// In the units of the drawing.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 280.0;
/// Left, right, top and bottom of what is drawn in.
const FRAME: [f64; 4] = [62.0, 446.0, 12.0, 228.0];

/// An axis with its ends, and where it lies.
struct Placed<'a> {
    axis: &'a Axis,
    least: f64,
    most: f64,
    /// Where the least lies, and the most.
    ends: [f64; 2],
}

impl<'a> Placed<'a> {
    fn of(axis: &'a Axis, values: impl Iterator<Item = f64>, ends: [f64; 2]) -> Self {
        let usable = values.filter(|value| value.is_finite() && (axis.scale != Scale::Log || *value > 0.0));
        let (least, most) =
            usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
        let (least, most) = match (least <= most, axis.scale) {
            (false, Scale::Log) => (1.0, 10.0),
            (false, Scale::Linear | Scale::Near) => (0.0, 1.0),
            // Some room on both sides, and none below 0.
            (true, Scale::Log) => (least / 1.15, most * 1.15),
            (true, Scale::Linear) => (least.min(0.0), if most > 0.0 { most * 1.06 } else { 1.0 }),
            (true, Scale::Near) => {
                let room = match axis.unit {
                    Unit::Count => 0.7,
                    _ => (0.08 * (most - least)).max(0.02 * most.abs()).max(f64::MIN_POSITIVE),
                };
                (least - room, most + room)
            }
        };
        Self { axis, least, most, ends }
    }

    fn at(&self, value: f64) -> f64 {
        let part = match self.axis.scale {
            Scale::Linear | Scale::Near => (value - self.least) / (self.most - self.least),
            Scale::Log => (value.max(self.least) / self.least).ln() / (self.most / self.least).ln(),
        };
        let at = self.ends[0] + part.clamp(0.0, 1.0) * (self.ends[1] - self.ends[0]);
        (at * 10.0).round() / 10.0
    }

    /// Values that are marked: round ones, no more than seven.
    fn ticks(&self) -> Vec<f64> {
        let is_narrow = self.most < NARROW * self.least;
        match self.axis.scale {
            Scale::Log if !is_narrow => {
                let decades = (self.most / self.least).log10();
                let of: &[f64] = if decades > 3.0 {
                    &[1.0]
                } else if decades > 1.2 {
                    &[1.0, 3.0]
                } else {
                    &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
                };
                let first = self.least.log10().floor() as i32;
                let all = (first..first + 20).flat_map(|power| of.iter().map(move |of| of * 10f64.powi(power)));
                let mut ticks: Vec<f64> = all.filter(|tick| (self.least..=self.most).contains(tick)).collect();
                while ticks.len() > 7 {
                    ticks = ticks.into_iter().skip(1).step_by(2).collect();
                }
                ticks
            }
            Scale::Linear | Scale::Near | Scale::Log => {
                let rough = (self.most - self.least) / 5.0;
                let power = 10f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|of| of * power).into_iter().find(|step| *step >= rough);
                let least_step = if self.axis.unit == Unit::Count { 1.0 } else { 0.0 };
                let step = step.unwrap_or(rough).max(least_step);
                let first = (self.least / step).ceil() as i64;
                (first..).map(|i| i as f64 * step).take_while(|tick| *tick <= self.most).take(8).collect()
            }
        }
    }
}

/// The loads themselves, where there are few.
fn x_ticks(figure: &Figure, x: &Placed) -> Vec<f64> {
    let marked = figure.series.iter().filter(|series| series.is_marked && x.axis.scale == Scale::Log);
    let mut loads: Vec<f64> = marked.flat_map(|series| &series.points).map(|point| point.x).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    if (1..=8).contains(&loads.len()) { loads } else { x.ticks() }
}

/// A logarithmic axis whose ends lie no more than this factor apart is marked as a linear one is.
const NARROW: f64 = 4.0;

/// A number on an axis, as short as it may be.
fn tick(value: f64, unit: Unit) -> String {
    let short = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match unit {
        Unit::Share => format!("{} %", short(value * 100.0)),
        Unit::Seconds if value == 0.0 => "0".to_owned(),
        Unit::Seconds if value < 0.9995e-3 => format!("{} µs", short(value * 1e6)),
        Unit::Seconds if value < 0.9995 => format!("{} ms", short(value * 1e3)),
        Unit::Seconds => format!("{} s", short(value)),
        Unit::Number if value >= 1e6 => format!("{}M", short(value * 1e-6)),
        Unit::Number if value >= 1e4 => format!("{}k", short(value * 1e-3)),
        Unit::Number | Unit::Count => short(value),
    }
}

/// In what a quantity is written.
pub fn unit_of(quantity: &Quantity) -> Unit {
    match quantity.unit {
        "s" => Unit::Seconds,
        "1" => Unit::Share,
        _ => Unit::Number,
    }
}

/// Values one after the other as a line in a line of text; what it shows stands beside it.
pub fn outline(values: &[f64]) -> Markup {
    let (width, height) = (120.0, 24.0);
    let axis = Axis::new("", Scale::Near, Unit::Number);
    let x = Placed::of(&axis, (0..values.len()).map(|i| i as f64), [0.0, width]);
    let y = Placed::of(&axis, values.iter().copied(), [height, 0.0]);
    let place =
        |(i, value): (usize, &f64)| format!("{}{} {}", if i == 0 { 'M' } else { 'L' }, x.at(i as f64), y.at(*value));
    let path: String = values.iter().enumerate().map(place).collect();
    html! {
        svg.outline viewBox=(format!("0 0 {width} {height}")) aria-hidden="true" { g.run { path d=(path) {} } }
    }
}

/// A number as text.
pub fn number(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => Time(value).to_string(),
        Unit::Share => share(value),
        Unit::Number => significant(value),
        Unit::Count => format!("{value:.0}"),
    }
}

fn class(role: Role) -> &'static str {
    match role {
        Role::Run => "run",
        Role::Baseline => "base",
        Role::Bad => "bad",
        Role::Level => "level",
    }
}

/// The figure with its title, its legend, and words for whoever does not see it.
pub fn drawn(figure: &Figure) -> Markup {
    let points = || figure.series.iter().flat_map(|series| &series.points);
    let [left, right, top, bottom] = FRAME;
    let x = Placed::of(&figure.x, points().map(|point| point.x), [left, right]);
    let ends = || points().flat_map(|point| point.ends).flat_map(|(lower, upper)| [lower, upper]);
    let limits = figure.limits.iter().map(|(value, _)| *value);
    let y = Placed::of(&figure.y, points().map(|point| point.y).chain(ends()).chain(limits), [bottom, top]);
    let words = described(figure);
    html! {
        figure {
            figcaption { (figure.title) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="group" aria-label=(words) {
                @if let Some((from, to)) = figure.shaded {
                    rect.shaded x=(x.at(from)) y=(top) width=(x.at(to) - x.at(from)) height=(bottom - top) {
                        title { "steady state" }
                    }
                }
                @for value in y.ticks() {
                    line.grid x1=(left) x2=(right) y1=(y.at(value)) y2=(y.at(value)) {}
                    text.tick x=(left - 6.0) y=(y.at(value) + 4.0) text-anchor="end" { (tick(value, figure.y.unit)) }
                }
                @for value in x_ticks(figure, &x) {
                    line.grid x1=(x.at(value)) x2=(x.at(value)) y1=(top) y2=(bottom) {}
                    text.tick x=(x.at(value)) y=(bottom + 17.0) text-anchor="middle" { (tick(value, figure.x.unit)) }
                }
                @for (value, words) in &figure.limits {
                    @let class = if figure.y.unit == Unit::Share { "mark" } else { "limit" };
                    line class=(class) x1=(left) x2=(right) y1=(y.at(*value)) y2=(y.at(*value)) { title { (words) } }
                    text class=(class) x=(right - 4.0) y=(y.at(*value) - 4.0) text-anchor="end" { (words) }
                }
                @for (value, words) in &figure.marks {
                    line.step x1=(x.at(*value)) x2=(x.at(*value)) y1=(top) y2=(bottom) { title { (words) } }
                }
                @for series in figure.series.iter().rev().filter(|series| series.role != Role::Level) { (line(series, &x, &y)) }
                @for series in figure.series.iter().filter(|series| series.role == Role::Level) { (line(series, &x, &y)) }
                text.label x=((left + right) / 2.0) y=(HEIGHT - 14.0) text-anchor="middle" { (figure.x.label) }
            }
            @if (1..=MOST_SAID).contains(&figure.marks.len()) {
                @for (value, words) in &figure.marks { p.of { "Dashed, at " (tick(*value, figure.x.unit)) ": " (words) } }
            }
            @if figure.series.len() > 1 {
                p.legend {
                    @for series in &figure.series {
                        button type="button" class=(class(series.role)) aria-pressed="true" data-series=(series.name) { (series.name) }
                    }
                }
            }
        }
    }
}

/// More marks than this are in a list elsewhere.
const MOST_SAID: usize = 3;

fn line(series: &Series, x: &Placed, y: &Placed) -> Markup {
    let place = |(i, point): (usize, &super::figure::Point)| {
        let letter = if i == 0 { 'M' } else { 'L' };
        format!("{letter}{} {}", x.at(point.x), y.at(point.y))
    };
    let path: String = series.points.iter().enumerate().map(place).collect();
    let is_many = series.is_marked && series.points.len() > MANY;
    let class = format!("{}{}", class(series.role), if is_many { " many" } else { "" });
    let radius = if is_many { "2.2" } else { "4" };
    html! {
        g class=(class) data-series=(series.name) {
            @if !series.is_scattered { path d=(path) {} }
            @if series.is_marked {
                @for point in &series.points {
                    @if let Some((lower, upper)) = point.ends {
                        line.interval x1=(x.at(point.x)) x2=(x.at(point.x)) y1=(y.at(lower)) y2=(y.at(upper)) {}
                    }
                    @let words = said(series, point, x.axis, y.axis);
                    @if point.link.is_empty() {
                        circle cx=(x.at(point.x)) cy=(y.at(point.y)) r=(radius) tabindex="0" role="img" aria-label=(words) {
                            title { (words) }
                        }
                    } @else {
                        a href=(point.link) {
                            title { (words) }
                            circle cx=(x.at(point.x)) cy=(y.at(point.y)) r=(radius) {}
                        }
                    }
                }
            }
        }
    }
}

/// More points than this are small ones.
const MANY: usize = 60;

/// A point in words.
fn said(series: &Series, point: &super::figure::Point, x: &Axis, y: &Axis) -> String {
    let value = number(point.y, y.unit);
    let interval = point.ends.map_or_else(String::new, |(lower, upper)| {
        format!(" [{} to {}]", number(lower, y.unit), number(upper, y.unit))
    });
    let at =
        if point.label.is_empty() { format!("{} {}", x.label, tick(point.x, x.unit)) } else { point.label.clone() };
    format!("{}, {at}: {value}{interval}", series.name)
}

/// The figure in a sentence or two.
fn described(figure: &Figure) -> String {
    let mut words = format!("{}; {} against {}.", figure.title, figure.y.label, figure.x.label);
    for series in &figure.series {
        let (Some(first), Some(last)) = (series.points.first(), series.points.last()) else { continue };
        words += &match series.is_marked && series.points.len() <= 12 {
            true => {
                let all: Vec<String> = series
                    .points
                    .iter()
                    .map(|point| format!("{} at {}", number(point.y, figure.y.unit), tick(point.x, figure.x.unit)))
                    .collect();
                format!(" {}: {}.", series.name, all.join(", "))
            }
            // A cumulative distribution: what its percentiles are.
            false if figure.y.unit == Unit::Share => {
                let at = |share: f64| {
                    let place = series.points.iter().find(|point| point.y >= share).unwrap_or(last);
                    format!("p{} {}", share * 100.0, number(place.x, figure.x.unit))
                };
                format!(" {}: {}.", series.name, [0.5, 0.9, 0.99].map(at).join(", "))
            }
            false => format!(
                " {}: from {} at {} to {} at {}.",
                series.name,
                number(first.y, figure.y.unit),
                tick(first.x, figure.x.unit),
                number(last.y, figure.y.unit),
                tick(last.x, figure.x.unit)
            ),
        };
    }
    for (_, words_of) in &figure.marks {
        words += &format!(" {words_of}.");
    }
    for (_, limit) in figure.limits.iter().filter(|_| figure.y.unit != Unit::Share) {
        words += &format!(" Objective: {limit}.");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{super::figure::Point, *};

    fn figure(scale: Scale, values: &[(f64, f64)]) -> Figure {
        let axis = |label: &str| Axis::new(label, scale, Unit::Seconds);
        let points =
            values.iter().map(|(x, y)| Point { x: *x, y: *y, ends: Some((y * 0.5, y * 2.0)), ..Point::default() });
        let series = |name: &str, role| Series {
            name: name.to_owned(),
            role,
            points: points.clone().collect(),
            is_marked: true,
            ..Series::default()
        };
        Figure {
            name: "a".to_owned(),
            title: "A <title>".to_owned(),
            x: axis("x"),
            y: axis("y"),
            series: vec![series("this run", Role::Run), series("<b>", Role::Baseline)],
            limits: vec![(0.3, "y < 300 ms".to_owned())],
            shaded: Some((0.1, 0.2)),
            marks: vec![(0.15, "from <here> on".to_owned())],
        }
    }

    #[test]
    fn points_lie_where_their_numbers_are() {
        for scale in [Scale::Linear, Scale::Near, Scale::Log] {
            let svg = drawn(&figure(scale, &[(0.1, 0.2), (0.2, 0.4)])).into_string();
            assert!(!svg.contains("<b>") && !svg.contains("A <title>") && svg.contains("A &lt;title&gt;"), "{svg}");
            assert!(svg.contains("this run: 200.00 ms at 100 ms, 400.00 ms at 200 ms."), "{svg}");
            assert_eq!(svg.matches("<circle").count(), 4);
            let axis = Axis::new("x", scale, Unit::Number);
            let placed = Placed::of(&axis, [1.0, 100.0].into_iter(), [0.0, 100.0]);
            let ticks = placed.ticks();
            assert!((3..=8).contains(&ticks.len()) && ticks.is_sorted(), "{ticks:?}");
            assert!(placed.at(1.0) < placed.at(10.0) && placed.at(10.0) < placed.at(100.0));
        }
    }

    #[test]
    fn nothing_breaks_the_picture() {
        for values in [&[][..], &[(0.0, 0.0)], &[(1.0, f64::NAN)], &[(1e-9, 1e9), (1e12, 1e-9)]] {
            for scale in [Scale::Linear, Scale::Near, Scale::Log] {
                let svg = drawn(&figure(scale, values).shown()).into_string();
                assert!(!svg.contains("inf") && !svg.contains("NaN\""), "{values:?}: {svg}");
            }
        }
        let ticks = [
            (0.0, Unit::Seconds, "0"),
            (0.25, Unit::Seconds, "250 ms"),
            (2e-5, Unit::Seconds, "20 µs"),
            (0.5, Unit::Share, "50 %"),
            (1.5e4, Unit::Number, "15k"),
        ];
        for (value, unit, expected) in ticks {
            assert_eq!(tick(value, unit), expected);
        }
    }
}
