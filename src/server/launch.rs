use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

/// How a server is started, told ready, and stopped.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Launch {
    /// What it is called.
    pub name: String,
    /// Program and arguments; `{port}`, `{url}` and `{dir}` stand for the port that was chosen, its URL, and the folder.
    pub command: Vec<String>,
    /// Program and arguments that build it, before it is started the first time; empty for nothing.
    pub build: Vec<String>,
    /// The git revision that it is built from and started in, instead of the folder as it is.
    pub revision: Option<String>,
    /// Set for it, beside what this process has.
    pub environment: Vec<(String, String)>,
    /// Where it is built and started.
    pub folder: PathBuf,
    /// How it is known that it is ready.
    pub ready: Readiness,
    /// How long that may take.
    pub ready_timeout: Duration,
    /// How long it may take to end once it is told to; then it is killed.
    pub stop_timeout: Duration,
    /// When it is started anew, where that was said.
    pub restart: Option<Restart>,
}

/// Commands around what is measured, as program and arguments; empty for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before the warm-up of each benchmark.
    pub before_benchmark: Vec<String>,
    /// After the last pass of each benchmark.
    pub after_benchmark: Vec<String>,
    /// Before each pass.
    pub before_pass: Vec<String>,
    /// After each pass.
    pub after_pass: Vec<String>,
}

/// Where the commands of a server run, and what their placeholders stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The server.
    pub name: String,
    /// The folder, and what `{dir}` stands for.
    pub folder: PathBuf,
    /// What `{port}` stands for.
    pub port: u16,
    /// What `{url}` stands for.
    pub url: String,
    /// Set for it, beside what this process has.
    pub environment: Vec<(String, String)>,
    /// Whether it is built apart from what this process was built with.
    pub builds_apart: bool,
}

impl Launch {
    /// Where it runs, on a port of loopback.
    pub fn place(&self, port: u16) -> Place {
        Place {
            name: self.name.clone(),
            folder: self.folder.clone(),
            port,
            url: format!("http://127.0.0.1:{port}"),
            environment: self.environment.clone(),
            builds_apart: self.revision.is_some(),
        }
    }
}

/// How it is known that a server is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// `/health` answers with 2xx, or where there is no such path, `/v1/models`.
    #[default]
    Health,
    /// This path answers with 2xx.
    Path(String),
    /// It has printed a line that holds this.
    Line(String),
    /// Its port takes connections.
    Port,
}

impl std::str::FromStr for Readiness {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "port" => Ok(Self::Port),
            Some(("http", path)) if path.starts_with('/') => Ok(Self::Path(path.to_owned())),
            Some(("line", line)) if !line.is_empty() => Ok(Self::Line(line.to_owned())),
            _ => Err(format!("`{text}` is neither `http:/path`, nor `line:what it prints`, nor `port`")),
        }
    }
}

/// When a server is started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Restart {
    /// Once a run.
    Never,
    /// Before each benchmark but the first.
    Benchmark,
    /// Before each pass but the first, with new warm-up requests.
    Pass,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_told_in_three_ways() {
        let of = |text: &str| text.parse::<Readiness>();
        assert_eq!(of("http:/health"), Ok(Readiness::Path("/health".to_owned())));
        assert_eq!(of("line:Listening on: "), Ok(Readiness::Line("Listening on: ".to_owned())));
        assert_eq!(of("port"), Ok(Readiness::Port));
        for wrong in ["http:health", "line:", "ports", "", "port:8000"] {
            assert!(of(wrong).unwrap_err().contains("is neither `http:/path`"), "{wrong}");
        }
    }
}
