//! A scratch package to run the bench target in.

use std::{
    ffi::OsString,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, LazyLock},
};

use libtest_mimic::Failed;
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::Value;
use tachometer::{
    engine::{Engine, EngineConfig},
    fixtures,
};

/// Set for the process that is to be the bench target.
pub const RUN_AS_BENCH: &str = "RUN_AS_BENCH";

/// A package of its own: a folder, its tachometer.toml, its target directory.
pub struct Package(tempfile::TempDir);

pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The index of the default dataset, by its name: to make it would be most of what a short run does.
static INDEX: LazyLock<(OsString, Vec<u8>)> = LazyLock::new(|| {
    let package = Package::empty("");
    package.run(&["--bench", "--dump-workload", "workload.jsonl"], &[]).expect(0).unwrap();
    let entry = std::fs::read_dir(package.path(INDEXES)).unwrap().next().unwrap().unwrap();
    (entry.file_name(), std::fs::read(entry.path()).unwrap())
});

const INDEXES: &str = "target/tachometer/index";

impl Package {
    /// One in which the default dataset has been scanned.
    pub fn new(config: &str) -> Self {
        let package = Self::empty(config);
        std::fs::create_dir_all(package.path(INDEXES)).unwrap();
        std::fs::write(package.path(INDEXES).join(&INDEX.0), &INDEX.1).unwrap();
        package
    }

    /// One in which nothing has run.
    pub fn empty(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if !config.is_empty() {
            std::fs::write(folder.path().join("tachometer.toml"), config).unwrap();
        }
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn run(&self, flags: &[&str], variables: &[(&str, &str)]) -> Outcome {
        Outcome::of(self.command(flags, variables).output().unwrap())
    }

    /// Runs it with its results going there.
    pub fn run_onto(&self, stdout: Stdio, flags: &[&str]) -> Outcome {
        let mut command = self.command(flags, &[]);
        let child = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
        // With the command, this side's handle of the screen is gone.
        drop(command);
        Outcome::of(child.wait_with_output().unwrap())
    }

    /// Starts it, to be looked at or killed while it runs.
    pub fn spawn(&self, flags: &[&str]) -> Running {
        self.spawn_with(flags, &[])
    }

    /// The same with variables of its own.
    pub fn spawn_with(&self, flags: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut command = self.command(flags, variables);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Runs it where no more files than that may be open.
    pub fn run_with_open_files(&self, most: usize, flags: &[&str]) -> Outcome {
        let bench = self.command(flags, &[]);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {most} && exec \"$0\" \"$@\""));
        shell.arg(bench.get_program()).args(bench.get_args()).current_dir(self.0.path());
        for (name, value) in bench.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Outcome::of(shell.output().unwrap())
    }

    /// Runs another executable of the bench target, from another folder.
    pub fn run_as(&self, executable: &Path, folder: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let bench = self.command(flags, variables);
        let mut command = Command::new(executable);
        command.args(flags).current_dir(folder);
        for (name, value) in bench.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Outcome::of(command.output().unwrap())
    }

    pub fn command(&self, flags: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        // What is configured for real runs must not reach the tests, a live server least of all.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TACHOMETER_")) {
            command.env_remove(name);
        }
        command
            .args(flags)
            .current_dir(self.0.path())
            .env(RUN_AS_BENCH, "1")
            // The default takes half of the time of an unoptimised run, and says nothing here.
            .env("TACHOMETER_NRESAMPLES", "100")
            .env("CARGO_MANIFEST_DIR", self.0.path())
            .env("CARGO_TARGET_DIR", self.path("target"))
            .envs(variables.iter().copied());
        command
    }

    pub fn report(&self, benchmark: &str) -> Value {
        let path = self.path("target/tachometer").join(benchmark).join("new/report.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }
}

/// A run under way.
pub struct Running(Child);

impl Running {
    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(id, signal).unwrap();
    }

    /// Reads stderr up to a line that holds this.
    pub fn read_until(&mut self, part: &str) -> Result<(), Failed> {
        let stderr = self.0.stderr.as_mut().unwrap();
        let mut said = Vec::new();
        let mut byte = [0];
        // Byte by byte, so that nothing of what follows is taken away.
        while stderr.read(&mut byte)? == 1 {
            said.push(byte[0]);
            if byte[0] == b'\n' && String::from_utf8_lossy(&said).contains(part) {
                return Ok(());
            }
        }
        Err(format!("it ended without {part:?}: {}", String::from_utf8_lossy(&said)).into())
    }

    pub fn wait(self) -> Outcome {
        Outcome::of(self.0.wait_with_output().unwrap())
    }
}

impl Outcome {
    fn of(output: Output) -> Self {
        Self {
            // What a signal ended has none.
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn expect(&self, code: i32) -> Result<(), Failed> {
        if self.code == code {
            return Ok(());
        }
        Err(format!("exit code {}, expected {code}\n{}\n{}", self.code, self.stdout, self.stderr).into())
    }
}

pub fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).display().to_string()
}

pub fn engine() -> Engine {
    engine_with("decode_step_ms=0.2")
}

pub fn engine_with(config: &str) -> Engine {
    let config: EngineConfig = config.parse().unwrap();
    Engine::start(config, Arc::new(fixtures::tokenizer().unwrap()), 0).unwrap()
}

/// Flags that measure a small workload on that server.
pub fn live<'a>(url: &'a str, dataset: &'a str, tokenizer: &'a str) -> Vec<&'a str> {
    vec![
        "--bench",
        "--server",
        url,
        "--dataset",
        dataset,
        "--tokenizer",
        tokenizer,
        "--num-prompts",
        "12",
        "--sample-size",
        "2",
        "--max-tokens",
        "9",
    ]
}

/// A server that answers every request with this; `KEY` stands for the authorization header that came.
pub fn refusing(status: &'static str, body: &'static str) -> Result<String, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || refuse(stream.unwrap(), status, body));
        }
    });
    Ok(url)
}

/// Answers one request, once its head has come, and whatever of its body came with that. Of a connection without one, nothing is said.
fn refuse(mut stream: TcpStream, status: &str, body: &str) {
    let (mut request, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => request.extend(&chunk[..n]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request);
    let key = request.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or("none");
    let body = body.replace("KEY", key);
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    _ = stream.write_all((head + &body).as_bytes());
}
