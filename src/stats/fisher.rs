use statrs::function::gamma::ln_gamma;

/// Fisher's exact test (1922), one-sided: the chance of at least so many failures in the new run if both runs failed with the
/// same probability, given how many there were in all. The unit is the request.
pub fn more_failures(new: (u64, u64), base: (u64, u64)) -> f64 {
    let ((new_failed, new_requests), (base_failed, base_requests)) = (new, base);
    let (failed, requests) = (new_failed + base_failed, new_requests + base_requests);
    let ln_choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let whole = ln_choose(requests, new_requests);
    let chance = |k: u64| (ln_choose(failed, k) + ln_choose(requests - failed, new_requests - k) - whole).exp();
    let least = (failed + new_requests).saturating_sub(requests);
    // From the far end, the smallest terms first.
    (new_failed.max(least)..=failed.min(new_requests)).rev().map(chance).sum::<f64>().min(1.0)
}

fn ln_factorial(n: u64) -> f64 {
    ln_gamma(n as f64 + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected by scipy.stats.fisher_exact(table, alternative="greater").
    #[test]
    fn is_scipys() {
        let table = [
            ((0, 100), (0, 100), 1.0),
            ((5, 100), (0, 100), 0.029_691_605_234_293_3),
            ((5, 100), (5, 100), 0.626_235_124_935_476),
            ((0, 100), (5, 100), 1.0),
            ((300, 6000), (0, 6000), 1.061_928_049_564e-92),
            ((3, 4), (1, 4), 0.242_857_142_857_143),
            ((4, 4), (4, 4), 1.0),
            ((2, 36), (0, 36), 0.246_478_873_239_437),
        ];
        for (new, base, expected) in table {
            let p = more_failures(new, base);
            assert!((p / expected - 1.0).abs() < 1e-7, "{new:?} {base:?}: {p} is not {expected}");
        }
    }
}
