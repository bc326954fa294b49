//! Which shard a process is, by what started it.

use crate::load::Share;

/// Variables that hold a rank and the number of ranks, and who sets them.
const LAUNCHERS: [(&str, &str, &str); 3] = [
    ("SLURM_PROCID", "SLURM_NTASKS", "Slurm"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "Open MPI"),
    ("PMI_RANK", "PMI_SIZE", "MPICH"),
];
/// Set by Kubernetes in the pods of an indexed job, which does not say how many there are.
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";

/// Reads `auto`, or a rank and a number of shards, `1/4`. `of` is how many there are where the launcher does not say it.
///
/// # Errors
/// Where it is neither, or `auto` finds no launcher; in words.
pub fn of_launcher(text: &str, of: Option<usize>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Share, String> {
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let share = match text {
        "auto" => auto(of, variable)?,
        _ => {
            let parts = text.split_once('/').and_then(|(rank, of)| number(rank).zip(number(of)));
            let (rank, of) = parts.ok_or_else(|| format!("`{text}` is neither auto nor RANK/SHARDS, such as 0/4"))?;
            Share { rank, of }
        }
    };
    match share {
        Share { of: 0, .. } => Err("0 shards would send nothing".to_owned()),
        Share { rank, of } if rank >= of => {
            Err(format!("there is no shard {rank} of {of}: ranks go from 0 to {}", of - 1))
        }
        share => Ok(share),
    }
}

fn auto(of: Option<usize>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Share, String> {
    let read = |name: &str| -> Result<Option<usize>, String> {
        let Some(text) = variable(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| format!("{name} is `{text}`, which is no number"))
    };
    for (rank, size, _) in LAUNCHERS {
        if let (Some(rank), Some(of)) = (read(rank)?, read(size)?) {
            return Ok(Share { rank, of });
        }
    }
    match (read(KUBERNETES)?, of) {
        (Some(rank), Some(of)) => Ok(Share { rank, of }),
        (Some(_), None) => Err(format!("{KUBERNETES} says which shard this is, but not of how many: add --shards N")),
        (None, _) => {
            let names: Vec<String> = LAUNCHERS.iter().map(|(rank, _, who)| format!("{rank} ({who})")).collect();
            Err(format!(
                "nothing says which shard this is: neither {} nor {KUBERNETES} (Kubernetes) is set; give --shard RANK/SHARDS",
                names.join(" nor ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_say_which_shard_it_is() {
        let set = |pairs: &'static [(&str, &str)]| {
            move |name: &str| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        let slurm = set(&[("SLURM_PROCID", "3"), ("SLURM_NTASKS", "4"), ("JOB_COMPLETION_INDEX", "1")]);
        assert_eq!(of_launcher("auto", None, &slurm), Ok(Share { rank: 3, of: 4 }));
        let mpi = set(&[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "2")]);
        assert_eq!(of_launcher("auto", None, &mpi), Ok(Share { rank: 0, of: 2 }));
        let kubernetes = set(&[("JOB_COMPLETION_INDEX", "1")]);
        assert_eq!(of_launcher("auto", Some(2), &kubernetes), Ok(Share { rank: 1, of: 2 }));
        assert!(of_launcher("auto", None, &kubernetes).unwrap_err().ends_with("add --shards N"));
        assert!(of_launcher("auto", Some(1), &kubernetes).unwrap_err().starts_with("there is no shard 1 of 1"));
        assert!(of_launcher("auto", None, &set(&[])).unwrap_err().contains("SLURM_PROCID (Slurm)"));
        assert!(of_launcher("auto", None, &set(&[("SLURM_PROCID", "x")])).unwrap_err().contains("`x`"));
        // What is said counts before what is found.
        assert_eq!(of_launcher("1/3", None, &slurm), Ok(Share { rank: 1, of: 3 }));
        for text in ["3/3", "0/0", "1", "a/b", ""] {
            assert!(of_launcher(text, None, &slurm).is_err(), "{text}");
        }
    }
}
