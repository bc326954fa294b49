//! What is replicated: pairs of passes, or pairs of processes of the servers, whose passes share their luck.

use std::collections::{BTreeMap, BTreeSet};

use crate::metrics::PassMetrics;

/// A pass of a run, and the one that it is compared with.
pub(super) type Pair<'a> = (&'a PassMetrics, &'a PassMetrics);

/// Pairs of passes by the unit of replication: pairs that share a process, on either side, are one. A side of a single process
/// tells nothing of how processes differ, and where neither has several, each pair is a unit.
pub(super) fn units<'a>(pairs: &[Pair<'a>]) -> Vec<Vec<Pair<'a>>> {
    let sides: [fn(&Pair) -> Option<usize>; 2] = [|pair| pair.0.instance, |pair| pair.1.instance];
    let several = sides.map(|side| pairs.iter().map(side).collect::<BTreeSet<_>>().len() > 1);
    // The unit that a process is in, on each side.
    let mut unit_of: Vec<usize> = (0..pairs.len()).collect();
    for (side, _) in sides.iter().zip(several).filter(|(_, several)| *several) {
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        for (i, pair) in pairs.iter().enumerate() {
            let Some(process) = side(pair) else { continue };
            let (here, there) = (unit_of[i], unit_of[*first.entry(process).or_insert(i)]);
            let (kept, merged) = (here.min(there), here.max(there));
            unit_of.iter_mut().filter(|unit| **unit == merged).for_each(|unit| *unit = kept);
        }
    }
    let mut units: BTreeMap<usize, Vec<Pair>> = BTreeMap::new();
    unit_of.iter().zip(pairs).for_each(|(unit, pair)| units.entry(*unit).or_default().push(*pair));
    match units.len() {
        // All hang together: no spread between processes can be told from that of passes.
        1 => pairs.iter().map(|pair| vec![*pair]).collect(),
        _ => units.into_values().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::samples::report;

    fn sizes(new: [Option<usize>; 3], base: [Option<usize>; 3]) -> Vec<usize> {
        let of = |instances: [Option<usize>; 3]| {
            report(move |r| {
                for (i, instance) in instances.into_iter().enumerate() {
                    r["passes"][i]["instance"] = instance.into();
                }
            })
        };
        let (new, base) = (of(new), of(base));
        let pairs: Vec<Pair> = new.passes.iter().zip(&base.passes).collect();
        units(&pairs).iter().map(Vec::len).collect()
    }

    #[test]
    fn pairs_that_share_a_process_are_one_unit() {
        let (one, none) = ([Some(1); 3], [None; 3]);
        for (new, base, expected) in [
            (none, none, &[1, 1, 1][..]),
            (one, one, &[1, 1, 1]),
            ([Some(1), Some(2), Some(3)], [Some(1), Some(2), Some(3)], &[1, 1, 1]),
            ([Some(1), Some(1), Some(2)], [Some(1), Some(1), Some(2)], &[2, 1]),
            ([Some(1), Some(2), Some(2)], none, &[1, 2]),
            (one, [Some(1), Some(2), Some(2)], &[1, 2]),
            ([Some(1), Some(2), Some(1)], [Some(1), Some(2), Some(3)], &[2, 1]),
            // Runs apart whose processes changed at other passes: all hang together.
            ([Some(1), Some(1), Some(2)], [Some(1), Some(2), Some(2)], &[1, 1, 1]),
        ] {
            assert_eq!(sizes(new, base), expected, "{new:?} {base:?}");
        }
        assert!(units(&[]).is_empty());
    }
}
