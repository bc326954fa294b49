use crate::run::Host;

/// The machine that this runs on.
pub fn this_host() -> Host {
    Host {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        cpu: cpu(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
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
        let host = this_host();
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
