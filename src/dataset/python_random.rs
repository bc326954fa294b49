//! CPython's `random.Random`, as far as the samplers use it.
//!
//! The generator itself is MT19937 of the `rand_mt` crate; what is CPython's own is how an integer seeds it and how
//! `sample` and `shuffle` draw from it (Lib/random.py and Modules/_randommodule.c, unchanged from Python 3.2 to 3.14).

use std::collections::HashSet;

use rand_mt::Mt;

/// A generator with the stream of CPython's `random.Random(seed)`.
///
/// ```
/// use tachometer::dataset::PythonRandom;
/// // >>> random.Random(0).sample(range(100), 3)
/// assert_eq!(PythonRandom::new(0).sample(100, 3), [49, 97, 53]);
/// ```
pub struct PythonRandom(Mt);

impl PythonRandom {
    /// `random.Random(seed)` for a seed that is not negative.
    pub fn new(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        Self(match high {
            0 => Mt::new_with_key([low]),
            _ => Mt::new_with_key([low, high]),
        })
    }

    /// `getrandbits(bits)`, for up to 64 bits.
    pub fn getrandbits(&mut self, bits: u32) -> u64 {
        match bits {
            0 => 0,
            1..=32 => u64::from(self.0.next_u32() >> (32 - bits)),
            _ => {
                let low = u64::from(self.0.next_u32());
                low | u64::from(self.0.next_u32() >> (64 - bits)) << 32
            }
        }
    }

    /// `random()`: from 0 to less than 1, with 53 bits.
    pub fn random(&mut self) -> f64 {
        let (high, low) = (self.0.next_u32() >> 5, self.0.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// `_randbelow(n)`: a number from 0 to n − 1, n at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let r = self.getrandbits(bits) as usize;
            if r < n {
                return r;
            }
        }
    }

    /// `sample(range(n), k)`: k different positions below n, in the order of their selection.
    ///
    /// # Panics
    /// Where k exceeds n, as Python raises a ValueError.
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        assert!(k <= n, "a sample of {k} is larger than its population of {n}");
        let mut set_size = 21;
        if k > 5 {
            set_size += 4usize.pow(((k as f64 * 3.0).ln() / 4f64.ln()).ceil() as u32);
        }
        if n <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            return (0..k)
                .map(|i| {
                    let j = self.below(n - i);
                    let chosen = pool[j];
                    pool[j] = pool[n - i - 1];
                    chosen
                })
                .collect();
        }
        let mut selected = HashSet::with_capacity(k);
        (0..k)
            .map(|_| {
                loop {
                    let j = self.below(n);
                    if selected.insert(j) {
                        return j;
                    }
                }
            })
            .collect()
    }

    /// `shuffle(items)`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i + 1);
            items.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        seed: u64,
        getrandbits32: Vec<u64>,
        randbelow: Vec<usize>,
        sample: Vec<(usize, usize, Vec<usize>)>,
        shuffle: Vec<usize>,
    }

    #[test]
    fn draws_what_cpython_draws() {
        for line in include_str!("../../fixtures/golden/random.jsonl").lines() {
            let golden: Golden = serde_json::from_str(line).unwrap();
            let new = || PythonRandom::new(golden.seed);
            let mut rng = new();
            assert_eq!((0..8).map(|_| rng.getrandbits(32)).collect::<Vec<_>>(), golden.getrandbits32);
            let mut rng = new();
            let bounds = [1, 2, 3, 10, 1000, 1 << 31, (1 << 32) - 1];
            let drawn: Vec<_> = bounds.iter().flat_map(|&n| [n; 4]).map(|n| rng.below(n)).collect();
            assert_eq!(drawn, golden.randbelow);
            for (n, k, expected) in &golden.sample {
                assert_eq!(&new().sample(*n, *k), expected, "seed {} sample({n}, {k})", golden.seed);
            }
            let mut order: Vec<usize> = (0..50).collect();
            new().shuffle(&mut order);
            assert_eq!(order, golden.shuffle);
        }
    }
}
