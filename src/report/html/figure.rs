//! What a figure shows: plain data, which the page draws, and which stands beside it as JSON and CSV.

use serde::Serialize;

use crate::text::visible;

/// A figure: series of points over two axes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// What it is called in files, `sharegpt/c64: ttft`.
    pub name: String,
    /// What stands over it.
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// Values of y that mean something: objectives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<(f64, String)>,
    /// A part of x that means something: the steady state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shaded: Option<(f64, f64)>,
    /// Values of x that mean something: the first run of another level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<(f64, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Axis {
    pub label: String,
    pub scale: Scale,
    pub unit: Unit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// From 0.
    #[default]
    Linear,
    /// From a little below the least.
    Near,
    Log,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Seconds,
    Share,
    #[default]
    Number,
    /// A whole number.
    Count,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    pub name: String,
    pub role: Role,
    pub points: Vec<Point>,
    /// Whether points are marked, with their intervals, or only joined.
    pub is_marked: bool,
    /// Whether nothing joins them.
    #[serde(skip)]
    pub is_scattered: bool,
}

/// What a series is, for its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Run,
    Baseline,
    Bad,
    /// What is computed from another series.
    Level,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    /// Ends of its interval, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<(f64, f64)>,
    /// What it is, where that is not plain from the axes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The page behind it, where there is one.
    #[serde(skip)]
    pub link: String,
}

impl Axis {
    pub fn new(label: impl Into<String>, scale: Scale, unit: Unit) -> Self {
        Self { label: label.into(), scale, unit }
    }
}

impl Figure {
    /// As it may be shown: no numbers that are none, and no characters that act without being seen.
    pub fn shown(mut self) -> Self {
        let clean = |text: &mut String| *text = visible(text).into_owned();
        [&mut self.name, &mut self.title, &mut self.x.label, &mut self.y.label].into_iter().for_each(clean);
        self.limits.retain(|(value, _)| value.is_finite());
        self.marks.retain(|(value, _)| value.is_finite());
        self.limits.iter_mut().chain(&mut self.marks).for_each(|(_, words)| clean(words));
        for series in &mut self.series {
            clean(&mut series.name);
            series.points.retain(|point| point.x.is_finite() && point.y.is_finite());
            for point in &mut series.points {
                clean(&mut point.label);
                point.ends = point.ends.filter(|(lower, upper)| lower.is_finite() && upper.is_finite());
            }
        }
        self
    }

    /// Whether there is anything to see.
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    /// Rows `figure,series,x,y,lower,upper,label`.
    pub fn rows(&self) -> impl Iterator<Item = [String; 7]> {
        let number = |value: f64| value.to_string();
        self.series.iter().flat_map(move |series| {
            series.points.iter().map(move |point| {
                let end = |of: fn((f64, f64)) -> f64| point.ends.map_or_else(String::new, |ends| number(of(ends)));
                [
                    self.name.clone(),
                    series.name.clone(),
                    number(point.x),
                    number(point.y),
                    end(|ends| ends.0),
                    end(|ends| ends.1),
                    point.label.clone(),
                ]
            })
        })
    }
}
