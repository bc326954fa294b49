use std::path::PathBuf;

/// A setting that can't be used. The message names the setting, where it was set, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The configuration file could not be read.
    #[error("cannot read {path}: {why}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The configuration file is not TOML, or a value in it is of the wrong type.
    #[error("{path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        why: String,
    },
    /// A key of the file, or a variable of the environment, that no setting has.
    #[error("{place}: unknown {kind} `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// The file and line, or the environment.
        place: String,
        /// `key`, `table` or `variable`.
        kind: &'static str,
        /// What was found.
        name: String,
        /// The nearest one that there is.
        nearest: Option<String>,
    },
    /// A value that makes no sense.
    #[error("{setting}: {why}")]
    Value {
        /// The setting, with its workload where it has one.
        setting: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ConfigError {
    /// A value that makes no sense, of a setting given by its flag's name.
    pub(crate) fn value(setting: &str, why: impl Into<String>) -> Self {
        Self::Value { setting: setting.to_owned(), why: why.into() }
    }
}

/// The candidate that `name` was most likely meant to be.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::jaro_winkler(name, candidate), strsim::damerau_levenshtein(name, candidate), candidate)
        })
        .filter(|(likeness, ..)| *likeness > 0.75)
        // The fewest slips of the hand; of as many, the one that looks most alike.
        .min_by(|a, b| a.1.cmp(&b.1).then(b.0.total_cmp(&a.0)))
        .map(|(.., candidate)| candidate.to_owned())
}
