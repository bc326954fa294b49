//! A page of metrics in Prometheus' text format.

use std::collections::HashMap;

/// The samples of a page, by name.
pub struct Page(HashMap<String, Samples>);

/// Those of one name, whatever their labels.
#[derive(Clone, Copy)]
struct Samples {
    sum: f64,
    most: f64,
    number: usize,
}

impl Page {
    /// Reads a page; `None` where it is none: no sample in it, or a line that is neither a sample nor a comment. Of a server's tensor-parallel
    /// ranks, which all count the same, the first one counts.
    pub fn parse(text: &str) -> Option<Self> {
        let mut samples: HashMap<String, Samples> = HashMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, labels, value) = sample(line)?;
            if labels.contains("tp_rank=\"") && !labels.contains("tp_rank=\"0\"") || value.is_nan() {
                continue;
            }
            let all =
                samples.entry(name.to_owned()).or_insert(Samples { sum: 0.0, most: f64::NEG_INFINITY, number: 0 });
            all.sum += value;
            all.most = all.most.max(value);
            all.number += 1;
        }
        (!samples.is_empty()).then_some(Self(samples))
    }

    /// The sum of all samples of a name.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|samples| samples.sum)
    }

    /// How many there are.
    pub fn number(&self, name: &str) -> usize {
        self.0.get(name).map_or(0, |samples| samples.number)
    }

    /// The greatest of them.
    pub fn most(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|samples| samples.most)
    }
}

/// Name, labels and value of a line; a time stamp may follow.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let end = line.find(|c: char| c == '{' || c.is_ascii_whitespace())?;
    let (name, rest) = line.split_at(end);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_at(labels_end(rest)?),
        None => ("", rest),
    };
    let mut words = rest.trim_start_matches('}').split_ascii_whitespace();
    let value = words.next()?;
    let value = value.parse().ok()?;
    // Nothing but the time may follow.
    (words.all(|word| word.parse::<f64>().is_ok())).then_some((name, labels, value))
}

/// Where the labels end, whose values may hold anything between quotes.
fn labels_end(labels: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (place, byte) in labels.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return Some(place),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_by_name() {
        let page = Page::parse(
            "# HELP a Something.\n# TYPE a counter\na_total{engine=\"0\",model=\"x}\\\"y\"} 3.5\na_total{engine=\"1\"} 1e2 1700000000\n\n\
             b 7\nnone NaN\nmost +Inf\nr{tp_rank=\"0\"} 4\nr{tp_rank=\"1\"} 4\n",
        )
        .unwrap();
        assert_eq!((page.sum("a_total"), page.most("a_total")), (Some(103.5), Some(100.0)));
        assert_eq!((page.sum("b"), page.sum("none"), page.sum("r"), page.sum("c")), (Some(7.0), None, Some(4.0), None));
        assert_eq!(page.sum("most"), Some(f64::INFINITY));
    }

    #[test]
    fn what_is_no_page_is_none() {
        for text in
            ["", "# only a comment\n", "<html>", "{\"a\": 1}", "a b\n", "a{x=\"1 3\n", "a\n", "ä 1\n", "a 1 x\n"]
        {
            assert!(Page::parse(text).is_none(), "{text}");
        }
    }
}
