//! Servers that the run starts: they are measured, one or two in turn, and none outlives the run.

use std::{
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use nix::{
    sys::signal::{SigHandler, Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tachometer::{Harness, Server, engine::Engine, fixtures};

use crate::package::{Package, engine};

/// Set for the process that is to be a server, to how it behaves.
pub const RUN_AS_SERVER: &str = "RUN_AS_SERVER";

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("started/a_server_is_started_measured_and_stopped", started),
        Trial::test("started/none_outlives_an_interrupted_or_killed_run", killed_run),
        Trial::test("started/one_that_dies_in_a_pass_is_named", dies),
        Trial::test("started/no_message_shows_a_key", hidden_key),
        Trial::test("started/one_that_ignores_sigterm_is_killed", ignores_term),
        Trial::test("started/restarts_and_hooks_come_when_they_should", restarts),
        Trial::test("started/what_was_measured_outlives_a_failing_hook", failing_hooks),
        Trial::test("started/nothing_is_built_in_vain", not_in_vain),
        Trial::test("started/in_process", in_process),
    ];
    let wrong = WRONG.iter().map(|wrong| Trial::test(format!("started/wrong/{}", wrong.name), || wrong.check()));
    trials.extend(wrong);
    trials
}

/// What the process does that a run starts: `serve`, or something that servers should not do. The arguments are the port, the engine's
/// configuration, and a file that gets a line with the process's number.
pub fn serve(how: &str) -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, port, config, pids, ..] = arguments.as_slice() else { return ExitCode::from(9) };
    let line = format!("{}\n", std::process::id());
    let file = std::fs::File::options().create(true).append(true).open(pids);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes())).unwrap();
    let lock = std::fs::File::create(Path::new(pids).with_extension("lock")).unwrap();
    match how {
        "tells" => {
            println!("serving with the key {}", std::env::var("KEY_OF_TEST").unwrap());
            return ExitCode::from(7);
        }
        "exit" => {
            println!("loading the model");
            eprintln!("no such model");
            return ExitCode::from(7);
        }
        "silent" => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        "talks" => {
            for i in 0..200_000 {
                println!("a line of a server that says a lot: {i}");
            }
        }
        // SAFETY: the handler is the system's own.
        "ignores-term" => _ = unsafe { nix::sys::signal::signal(Signal::SIGTERM, SigHandler::SigIgn) }.unwrap(),
        "alone" => lock.try_lock().expect("another server is up"),
        _ => {}
    }
    let engine =
        Engine::start(config.parse().unwrap(), Arc::new(fixtures::tokenizer().unwrap()), port.parse().unwrap());
    let engine = engine.unwrap();
    println!("Listening on {}", engine.url());
    if how == "dies" {
        let mut answered = 0;
        while answered < 8 {
            answered += engine.take_truths().len();
            std::thread::sleep(Duration::from_millis(2));
        }
        eprintln!("CUDA error: an illegal memory access was encountered");
        return ExitCode::from(6);
    }
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// `[server.NAME]` that starts this executable so.
pub fn table(name: &str, how: &str, engine: &str, more: &str) -> String {
    let executable = std::env::current_exe().unwrap().display().to_string();
    format!(
        "[server.{name}]\ncommand = [\"{executable}\", \"{{port}}\", \"{engine}\", \"{{dir}}/pids\"]\n\
         environment = {{ {RUN_AS_SERVER} = \"{how}\" }}\n{more}\n"
    )
}

const WORKLOAD: &str = "concurrency = 2\nstream = true\nnum_prompts = 12\nsample_size = 2\nmax_tokens = 9\n";

/// A run on the servers of these tables.
pub fn package(tables: &str) -> Package {
    let (dataset, tokenizer) = (crate::package::fixture("sharegpt.json"), crate::package::fixture("tokenizer.json"));
    Package::new(&format!("dataset = \"{dataset}\"\ntokenizer = \"{tokenizer}\"\n{WORKLOAD}{tables}"))
}

/// The processes that were started.
pub fn pids(package: &Package) -> Vec<Pid> {
    let text = std::fs::read_to_string(package.path("pids")).unwrap_or_default();
    text.lines().map(|line| Pid::from_raw(line.parse().unwrap())).collect()
}

pub fn is_gone(pid: Pid) -> bool {
    // Whoever has ended and whom nobody has waited for is gone, too.
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(pid, None).is_err() || state.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

pub fn none_is_left(package: &Package) -> Result<(), Failed> {
    let left: Vec<Pid> = pids(package).into_iter().filter(|pid| !is_gone(*pid)).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("servers are left: {left:?}").into()) }
}

fn started() -> Result<(), Failed> {
    // What it prints goes to a file, which never fills up.
    let ways = [
        ("serve", ""),
        ("talks", "ready = \"line:Listening on\""),
        ("serve", "ready = \"port\""),
        ("serve", "ready = \"http:/v1/models\""),
    ];
    for (how, more) in ways {
        let package = package(&table("head", how, "decode_step_ms=0.2", more));
        let outcome = package.run(&["--bench"], &[]);
        outcome.expect(0)?;
        assert!(outcome.stdout.contains("sharegpt/c2 on head"), "{}", outcome.stdout);
        let report = package.report("sharegpt/c2");
        assert_eq!((&report["server"]["name"], &report["server"]["instances"]), (&"head".into(), &2.into()));
        assert_eq!((&report["passes"][1]["completed"], &report["passes"][1]["instance"]), (&12.into(), &2.into()));
        // A new one for each pass.
        assert_eq!(pids(&package).len(), 2);
        // What it used, as the system tells.
        #[cfg(target_os = "linux")]
        {
            let (pass, estimates) = (&report["passes"][0], &report["estimates"]);
            assert!(pass["server"]["cpu_s"].as_f64() > Some(0.0), "{pass}");
            assert!(pass["server"]["peak_memory_bytes"].as_u64() > Some(1_000_000), "{pass}");
            assert!(pass["host"]["probe_s"].as_f64() > Some(0.0), "{pass}");
            assert_eq!(estimates["cpu_s_per_output_token"]["unit"], "s");
            assert!(outcome.stdout.contains("per output token"), "{}", outcome.stdout);
            assert!(outcome.stdout.contains("the server used "), "{}", outcome.stdout);
        }
        none_is_left(&package)?;
        // The next run has another port, and is compared with this one all the same.
        let outcome = package.run(&["--bench"], &[]);
        outcome.expect(0)?;
        assert!(outcome.stdout.contains("against last run"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("different server"), "{}", outcome.stdout);
        none_is_left(&package)?;
    }
    Ok(())
}

fn killed_run() -> Result<(), Failed> {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let package = package(&table("head", "serve", "decode_step_ms=5", ""));
        let mut run = package.spawn(&["--bench", "--num-prompts", "1000"]);
        run.read_until("pass 1/2")?;
        assert!(!is_gone(pids(&package)[0]));
        run.signal(signal);
        run.wait().expect(if signal == Signal::SIGKILL { -1 } else { 130 })?;
        // Whoever watches over the server learns of it in a moment.
        let killed = Instant::now();
        while none_is_left(&package).is_err() && killed.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        none_is_left(&package)?;
    }
    Ok(())
}

fn dies() -> Result<(), Failed> {
    let package = package(&table("head", "dies", "decode_step_ms=0.2", ""));
    let outcome = package.run(&["--bench", "--num-prompts", "200", "--warmup", "0"], &[]);
    outcome.expect(101)?;
    let expected = "error: sharegpt/c2: the server head ended on its own (exit status: 6); its output (";
    for expected in [expected, "servers/head.log) ends with: ", "CUDA error: an illegal memory access was encountered"]
    {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
    none_is_left(&package)?;
    // The next benchmark gets another process.
    let outcome = package.run(&["--bench", "--num-prompts", "200", "--warmup", "0", "--concurrency", "1,2"], &[]);
    outcome.expect(101)?;
    assert_eq!(pids(&package).len(), 3);
    assert_eq!(outcome.stderr.matches("ended on its own").count(), 2, "{}", outcome.stderr);
    // What the other side of a comparison has is not lost.
    let both = table("head", "serve", "decode_step_ms=0.2", "") + &table("base", "dies", "decode_step_ms=0.2", "");
    let package = self::package(&both);
    let outcome =
        package.run(&["--bench", "--against", "base", "--num-prompts", "6", "--warmup", "0", "--instances", "1"], &[]);
    outcome.expect(101)?;
    assert!(outcome.stdout.contains("PARTIAL, of 2 passes: it ended with an error"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("the server base ended on its own (exit status: 6)"), "{}", outcome.stderr);
    none_is_left(&package)
}

/// Neither what it prints nor how it is called shows a key.
fn hidden_key() -> Result<(), Failed> {
    let secret = "planted-7f3a9";
    let more = "api_key_env = \"KEY_OF_TEST\"\n";
    let server = table("head", "tells", "decode_step_ms=0.2", "");
    let server = server.replace("/pids\"]", &format!("/pids\", \"--api-key={secret}\"]"));
    let package = package(&(more.to_owned() + &server));
    let outcome = package.run(&["--bench"], &[("KEY_OF_TEST", secret)]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("ends with: serving with the key (hidden)"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains(secret) && !outcome.stdout.contains(secret), "{}", outcome.stderr);
    Ok(())
}

fn ignores_term() -> Result<(), Failed> {
    let package = package(&table("head", "ignores-term", "decode_step_ms=0.2", "stop_timeout = 0.2"));
    let outcome = package.run(&["--bench"], &[]);
    outcome.expect(0)?;
    let expected = "the server head did not end within 0.2 s of SIGTERM (stop_timeout), and was killed";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    none_is_left(&package)
}

fn restarts() -> Result<(), Failed> {
    let hook = |when: &str| format!("{when} = [\"sh\", \"-c\", \"echo {when} >> {{dir}}/hooks\"]\n");
    let hooks = ["before_benchmark", "after_benchmark", "before_pass", "after_pass"].map(hook).concat();
    let never = "restart = \"never\"\n";
    let table_of: [(&str, &[&str], usize, usize); 6] = [
        (never, &[], 1, 1),
        ("restart = \"benchmark\"\n", &[], 2, 1),
        ("restart = \"pass\"\n", &[], 4, 2),
        ("", &[], 4, 2),
        ("", &["--instances", "1"], 1, 1),
        (never, &["--instances", "2"], 4, 2),
    ];
    for (restart, flags, processes, instances) in table_of {
        let package = package(&table("head", "serve", "decode_step_ms=0.2", &(restart.to_owned() + &hooks)));
        package.run(&[&["--bench", "--concurrency", "1,2"], flags].concat(), &[]).expect(0)?;
        assert_eq!(pids(&package).len(), processes, "{restart} {flags:?}");
        none_is_left(&package)?;
        let told = std::fs::read_to_string(package.path("hooks"))?;
        let pass = "before_pass\nafter_pass\n";
        let benchmark = format!("before_benchmark\n{pass}{pass}after_benchmark\n");
        assert_eq!(told, benchmark.repeat(2), "{restart} {flags:?}");
        let found = &package.report("sharegpt/c2")["server"]["instances"];
        assert_eq!(*found, instances, "{restart} {flags:?}");
    }
    // A server that runs already has hooks, too.
    let engine = engine();
    let package = package(&format!("[server.there]\nurl = \"{}\"\n{}", engine.url(), hooks.replace("{dir}", ".")));
    package.run(&["--bench"], &[]).expect(0)?;
    assert_eq!(std::fs::read_to_string(package.path("hooks"))?.lines().count(), 6);
    Ok(())
}

/// The bench target of someone whose server is a function: one that serves, or that returns at once.
pub fn bench_in_process(how: &str) -> ExitCode {
    let answer = json!({
        "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}
    });
    let router = axum::Router::new()
        .route("/v1/chat/completions", axum::routing::post(move || std::future::ready(axum::Json(answer.clone()))));
    let returns = how == "returns";
    let serve = move |listener: std::net::TcpListener| {
        let router = router.clone();
        async move {
            if !returns {
                axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
            }
        }
    };
    Harness::from_env().server(Server::in_process(serve).name("function").model("m")).main()
}

fn in_process() -> Result<(), Failed> {
    let package = package("");
    let flags = ["--bench", "--stream", "false"];
    let outcome = package.run(&flags, &[("SERVER_IN_PROCESS", "serves")]);
    outcome.expect(0)?;
    let report = package.report("sharegpt/c2");
    assert_eq!((&report["server"]["name"], &report["passes"][1]["completed"]), (&"function".into(), &12.into()));
    let outcome = package.run(&flags, &[("SERVER_IN_PROCESS", "returns")]);
    outcome.expect(101)?;
    let expected = "error: sharegpt/c2: the server in this process has returned, or panicked";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    Ok(())
}

/// What was measured before a command after it failed is kept.
fn failing_hooks() -> Result<(), Failed> {
    for (when, kept) in [("after_benchmark", "new"), ("after_pass", "partial")] {
        for against in [false, true] {
            let more = format!("{when} = [\"false\"]");
            let mut tables = table("head", "serve", "decode_step_ms=0.2", &more);
            let mut flags = vec!["--bench"];
            if against {
                tables += &table("base", "serve", "decode_step_ms=0.2", "");
                flags.extend(["--against", "base"]);
            }
            let package = package(&tables);
            let outcome = package.run(&flags, &[]);
            outcome.expect(101)?;
            let expected = format!("error: sharegpt/c2: {when} of the server head failed (exit status: 1)");
            assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
            assert!(outcome.stdout.contains("12 completed, 0 failed") || kept == "new", "{}", outcome.stdout);
            let report = package.path("target/tachometer/sharegpt/c2").join(kept).join("report.json");
            let report: Value = serde_json::from_str(&std::fs::read_to_string(report)?)?;
            assert_eq!(report["passes"][0]["completed"], 12, "{when}");
            none_is_left(&package)?;
        }
    }
    Ok(())
}

/// Where something else is missing, nothing is built for minutes.
fn not_in_vain() -> Result<(), Failed> {
    let build = "build = [\"sh\", \"-c\", \"touch built\"]";
    let package = package(&table("head", "serve", "decode_step_ms=0.2", build));
    let outcome = package.run(&["--bench", "--dataset", "nowhere.json"], &[]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("cannot read the dataset nowhere.json"), "{}", outcome.stderr);
    assert!(!package.path("built").exists() && pids(&package).is_empty());
    Ok(())
}

/// A server that can't be measured.
struct Wrong {
    name: &'static str,
    how: &'static str,
    more: &'static str,
    flags: &'static [&'static str],
    code: i32,
    message: &'static str,
}

const WRONG: &[Wrong] = &[
    Wrong {
        name: "exits-early",
        how: "exit",
        more: "",
        flags: &[],
        code: 101,
        message: "the server head ended on its own (exit status: 7); its output (",
    },
    Wrong {
        name: "shows-the-last-lines",
        how: "exit",
        more: "",
        flags: &[],
        code: 101,
        message: "servers/head.log) ends with: loading the model | no such model",
    },
    Wrong {
        name: "never-ready",
        how: "silent",
        more: "ready_timeout = 0.4",
        flags: &[],
        code: 101,
        message: "the server head was not ready within 0.4 s (ready_timeout): Connection refused",
    },
    Wrong {
        name: "never-says-it",
        how: "silent",
        more: "ready_timeout = 0.4\nready = \"line:Listening\"",
        flags: &[],
        code: 101,
        message: "(ready_timeout): it has not printed `Listening`; it has printed nothing (",
    },
    Wrong {
        name: "build-fails",
        how: "serve",
        more: "build = [\"sh\", \"-c\", \"echo error: no rule; exit 2\"]",
        flags: &[],
        code: 101,
        message: "the build of the server head failed (exit status: 2); its output (",
    },
    Wrong {
        name: "hook-fails",
        how: "serve",
        more: "before_pass = [\"false\"]",
        flags: &[],
        code: 101,
        message: "before_pass of the server head failed (exit status: 1)",
    },
    Wrong {
        name: "hook-is-not-there",
        how: "serve",
        more: "before_pass = [\"./nowhere\"]",
        flags: &[],
        code: 101,
        message: "cannot start the server head: ./nowhere: No such file or directory",
    },
    Wrong {
        name: "unknown-key",
        how: "serve",
        more: "comand = [\"x\"]",
        flags: &[],
        code: 2,
        message: "tachometer.toml line 8: [server.head]: unknown field `comand`, expected one of `url`, `command`",
    },
    Wrong {
        name: "exclusive-turns-with-a-running-server",
        how: "serve",
        more: "",
        flags: &["--against", "127.0.0.1:1", "--turns", "exclusive"],
        code: 2,
        message: "--turns: exclusive turns need servers that the run starts with a `command`, and `http://127.0.0.1:1` is not one",
    },
    Wrong {
        name: "against-itself",
        how: "serve",
        more: "",
        flags: &["--against", "head"],
        code: 2,
        message: "--against: `head` is the server being measured: to compare it with itself, add a second table with another name",
    },
    Wrong {
        name: "unknown-readiness",
        how: "serve",
        more: "ready = \"soon\"",
        flags: &[],
        code: 2,
        message: "server.head.ready: `soon` is neither `http:/path`, nor `line:what it prints`, nor `port`",
    },
    Wrong {
        name: "url-and-command",
        how: "serve",
        more: "url = \"h:1\"",
        flags: &[],
        code: 2,
        message: "server.head.url: a server with a URL runs already: leave out what starts it",
    },
    Wrong {
        name: "revision-without-a-build",
        how: "serve",
        more: "",
        flags: &["--against", "HEAD~1"],
        code: 2,
        message: "--against: `HEAD~1` is not a server in the file; to build it as a git revision, add a `build` to server.head",
    },
    Wrong {
        name: "against-and-a-baseline",
        how: "serve",
        more: "",
        flags: &["--against", "h:1", "--baseline", "main"],
        code: 2,
        message: "--against: it compares with a server measured in the same run",
    },
];

impl Wrong {
    fn check(&self) -> Result<(), Failed> {
        let package = package(&table("head", self.how, "decode_step_ms=0.2", self.more));
        let outcome = package.run(&[&["--bench"], self.flags].concat(), &[]);
        outcome.expect(self.code)?;
        assert!(outcome.stderr.contains(self.message), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
        none_is_left(&package)
    }
}
