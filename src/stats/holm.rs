/// Holm's correction (1979): p-values adjusted so that, compared with one level each, the chance of any wrong rejection
/// among them all stays below that level, whatever ties them together. In the order in which they came.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        least = least.max(p_values[i] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[i] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R's `p.adjust(c(0.04, 0.01, 0.03), "holm")`.
    #[test]
    fn the_smallest_is_corrected_for_all_and_the_largest_for_none_below() {
        let adjusted = holm(&[0.04, 0.01, 0.03]);
        for (got, expected) in adjusted.iter().zip([0.06, 0.03, 0.06]) {
            assert!((got - expected).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.5, 0.6]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
