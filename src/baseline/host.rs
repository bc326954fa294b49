use serde::{Deserialize, Serialize};

/// The machine that the client ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// E.g. `linux`.
    pub os: String,
    /// E.g. `x86_64`.
    pub arch: String,
    /// The processor's name, where the system tells it.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
}

impl Host {
    /// This machine.
    pub fn this() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let cpu = self.cpu.as_deref().unwrap_or(&self.arch);
        write!(f, "{} with {} cores of {cpu}", self.os, self.cores)
    }
}

fn cpu() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine() {
        let host = Host::this();
        assert_eq!((&*host.os, &*host.arch), (std::env::consts::OS, std::env::consts::ARCH));
        assert!(host.cores >= 1);
        if let Ok(info) = std::fs::read_to_string("/proc/cpuinfo") {
            assert_eq!(host.cpu.is_some(), info.contains("model name"));
            assert!(host.cpu.iter().all(|name| !name.is_empty() && info.contains(&format!(": {name}"))), "{host:?}");
        }
        let named = Host { os: "linux".to_owned(), arch: "x86_64".to_owned(), cpu: Some("X".to_owned()), cores: 3 };
        assert_eq!(named.to_string(), "linux with 3 cores of X");
        assert_eq!(Host { cpu: None, ..named }.to_string(), "linux with 3 cores of x86_64");
    }
}
