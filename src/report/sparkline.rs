//! A distribution in one line of text.

use super::numbers::Time;
use crate::{
    metrics::{Histogram, Histograms, Quantity},
    run::Report,
};

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// So many characters at most.
const WIDTH: usize = 24;

/// That of a latency of which people look at the shape, all passes together; `None` for other quantities, or where nothing is known.
pub(super) fn sparkline_of(report: &Report, quantity: &Quantity) -> Option<String> {
    let of: fn(&Histograms) -> Option<&Histogram> = match quantity.name {
        "ttft" => |all| all.ttft_s.as_ref(),
        "itl" => |all| all.itl_s.as_ref(),
        _ => return None,
    };
    let all = report.passes.iter().filter_map(|pass| of(pass.histograms.as_ref()?));
    sparkline(&Histogram::pooled(all)?)
}

/// How many values lie where, from the least to the greatest on a logarithmic scale; the ends stand behind it.
fn sparkline(of: &Histogram) -> Option<String> {
    let (ends, bins) = of.in_bins(WIDTH)?;
    let most = bins.iter().copied().max().filter(|most| *most > 0)?;
    let level = |n: &u64| match (*n as f64 / most as f64 * LEVELS.len() as f64).ceil() as usize {
        0 => ' ',
        level => LEVELS[level.min(LEVELS.len()) - 1],
    };
    let line: String = bins.iter().map(level).collect();
    Some(format!("{line}  {} to {}", Time(ends.0), Time(ends.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_in_a_line() {
        let of = |values: &[f64]| sparkline(&Histogram::of(values.iter().copied()).unwrap());
        assert_eq!(of(&[0.0]), None);
        let one = of(&[0.1; 3]).unwrap();
        assert!(one.starts_with("█  ") && one.contains(" ms to "), "{one}");
        let values: Vec<f64> = [vec![0.001; 100], vec![0.01; 50], vec![0.1; 1]].concat();
        let line = of(&values).unwrap();
        let drawn: String = line.chars().take_while(|c| *c == ' ' || LEVELS.contains(c)).collect();
        let (drawn, ends) = (drawn.trim_end(), line[drawn.len()..].to_owned());
        assert!(drawn.starts_with('█') && drawn.contains('▄') && drawn.ends_with('▁'), "{line}");
        // To the 2 % of a bucket.
        assert!(drawn.chars().count() <= WIDTH && ends.contains("µs to 1") && ends.ends_with("ms"), "{line}");
    }
}
