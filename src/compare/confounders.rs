//! What two runs differ by that is not the server's doing: the client's share of the time, and the speed of the machine.

use crate::{
    client::ServerUrl,
    run::{Design, Report},
    stats::Stopping,
};

/// By how much the client's own share of the time differs between two runs of a closed loop: so much of a change of rates may be the
/// client's doing. `None` where either is not known.
pub fn client_difference(new: &Report, base: &Report) -> Option<f64> {
    new.load.shape().concurrency()?;
    let share = |report: &Report| {
        let shares: Vec<f64> = report.passes.iter().map(|pass| pass.client.share).collect::<Option<_>>()?;
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    };
    Some((share(new)? - share(base)?).abs())
}

/// By how much longer the machine took for the same work than for the baseline, as a share, where the server is on it and the runs were
/// made apart. `None` where that is not known, or no more than what it wavered by between passes (Student's t, 95 %).
pub fn host_difference(new: &Report, base: &Report, design: Design) -> Option<f64> {
    let is_here = |report: &Report| {
        let url = ServerUrl::parse(&report.server.url);
        report.server.embedded || url.is_ok_and(|url| url.is_loopback())
    };
    if design == Design::Interleaved || !is_here(new) || !is_here(base) {
        return None;
    }
    let passes = new.passes.len().min(base.passes.len());
    let [(new, new_variance), (base, base_variance)] = [mean_log_probe(new)?, mean_log_probe(base)?];
    let difference = new - base;
    let reach = Stopping::Planned.reach(passes, 0.95) * (new_variance + base_variance).sqrt();
    Some(difference.exp_m1()).filter(|_| difference.abs() > reach)
}

/// The mean of the logarithms of the probes before passes, and its variance.
fn mean_log_probe(report: &Report) -> Option<(f64, f64)> {
    let logs: Vec<f64> = report.passes.iter().map(|pass| Some(pass.host?.probe_s.ln())).collect::<Option<_>>()?;
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let squares = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
    Some((mean, squares / (n - 1.0) / n)).filter(|(mean, variance)| mean.is_finite() && variance.is_finite())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run::samples::report;

    /// A run of one pass for each of these probes, on a server at a URL.
    fn probed(url: &str, embedded: bool, probes: &[f64]) -> Report {
        report(|r| {
            (r["server"]["url"], r["server"]["embedded"]) = (url.into(), embedded.into());
            let pass = r["passes"][0].clone();
            let with = |probe: &f64| {
                let mut pass = pass.clone();
                pass["host"] = json!({"probe_s": probe});
                pass
            };
            r["passes"] = probes.iter().map(with).collect();
        })
    }

    #[test]
    fn the_machine_differs_by_more_than_it_wavers() {
        let here = "http://127.0.0.1:1";
        let (base, slower, wavering) = ([1.0, 1.01, 0.99], [1.1, 1.11, 1.09], [0.9, 1.0, 1.2]);
        let of = |(url, embedded): (&str, bool), probes: &[f64], design| {
            host_difference(&probed(url, embedded, probes), &probed(url, embedded, &base), design)
        };
        let apart = |probes: &[f64]| of((here, false), probes, Design::Apart);
        assert!(apart(&slower).is_some_and(|share| (share - 0.1).abs() < 1e-3), "{:?}", apart(&slower));
        assert_eq!([apart(&wavering), apart(&base), apart(&[1.1])], [None; 3]);
        assert!(of(("http://h:1", true), &slower, Design::Apart).is_some(), "the embedded engine is here");
        assert_eq!(of(("http://h:1", false), &slower, Design::Apart), None);
        assert_eq!(of((here, false), &slower, Design::Interleaved), None);
        // One of two servers is elsewhere.
        for (url, base_url) in [(here, "http://h:1"), ("http://h:1", here)] {
            let (new, base) = (probed(url, false, &slower), probed(base_url, false, &base));
            assert_eq!(host_difference(&new, &base, Design::Apart), None);
        }
        // A machine that never wavers, and does not differ.
        assert_eq!(
            host_difference(&probed(here, false, &[1.0; 3]), &probed(here, false, &[1.0; 3]), Design::Apart),
            None
        );
        // ln 1.2 = 0.182322, twice in four, so that the mean's variance is (4 · 0.091161²) / 3 / 4.
        let (mean, variance) = mean_log_probe(&probed(here, false, &[1.0, 1.2, 1.0, 1.2])).unwrap();
        assert!((mean - 0.091161).abs() < 1e-6 && (variance - 0.002770).abs() < 1e-6, "{mean} {variance}");
        assert_eq!(mean_log_probe(&probed(here, false, &[1.0])), None);
    }
}
