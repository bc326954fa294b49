//! What stands on the screen, whole: results of fixed reports on terminals of two widths, in a pipe and in CI, against
//! fixtures/golden/terminal (UPDATE_GOLDEN=1 writes it anew), and a terminal on which a run leaves nothing behind but its results.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    process::Stdio,
};

use libtest_mimic::{Failed, Trial};
use nix::pty::{Winsize, openpty};

use crate::package::{Package, fixture};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("screen/whole_outputs", whole_outputs),
        Trial::test("screen/a_run_leaves_its_results_alone", nothing_left),
    ]
}

const CONFIG: &str = r#"
stream = true
sample_size = 4
num_prompts = 120
[workload.chat]
dataset = "random:20:24"
concurrency = [1, 8]
[workload.talk]
dataset = "sessions:fixtures/sharegpt.json"
concurrency = 4
"#;

/// A package with the results of two runs.
fn two_runs() -> Result<Package, Failed> {
    let package = Package::new(CONFIG);
    for side in ["main", "head"] {
        for benchmark in ["chat/c1", "chat/c8", "talk/c4"] {
            let file = fixture(&format!("golden/terminal/{side}-{}.json", benchmark.replace('/', "-")));
            let folder = package.path("target/tachometer").join(benchmark).join(side);
            std::fs::create_dir_all(&folder)?;
            std::fs::copy(file, folder.join("report.json"))?;
        }
    }
    Ok(package)
}

/// Everything that a command prints on a terminal of that width.
fn on_terminal(
    package: &Package,
    columns: u16,
    flags: &[&str],
    variables: &[(&str, &str)],
) -> Result<(i32, String), Failed> {
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None)?;
    let slave = |fd: &OwnedFd| -> Result<Stdio, Failed> { Ok(Stdio::from(fd.as_fd().try_clone_to_owned()?)) };
    let mut command = package.command(flags, variables);
    command.stdin(slave(&pty.slave)?).stdout(slave(&pty.slave)?).stderr(slave(&pty.slave)?);
    let mut child = command.spawn()?;
    // With these, the last handles of this side are gone, and the screen ends with the program.
    drop(command);
    drop(pty.slave);
    let mut shown = Vec::new();
    let mut screen = File::from(pty.master);
    let mut buffer = [0; 4096];
    // A terminal that has gone is an error on Linux, and an end elsewhere.
    while let Ok(n @ 1..) = screen.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..n]);
    }
    let code = child.wait()?.code().unwrap_or(-1);
    Ok((code, String::from_utf8_lossy(&shown).replace("\r\n", "\n")))
}

/// Nothing of the machine that the tests run on decides what is shown.
const PLAIN: [(&str, &str); 7] = [
    ("NO_COLOR", ""),
    ("CLICOLOR", ""),
    ("CLICOLOR_FORCE", ""),
    ("TERM", "xterm-256color"),
    ("LC_ALL", "C.UTF-8"),
    ("CI", ""),
    ("GITHUB_ACTIONS", ""),
];

fn whole_outputs() -> Result<(), Failed> {
    let package = two_runs()?;
    let compare = ["--bench", "--load-baseline", "head", "--baseline", "main"];
    let table: &[(&str, Option<u16>, &[&str], &[(&str, &str)])] = &[
        ("piped", None, &[], &[]),
        ("piped", None, &["--quiet"], &[]),
        ("piped", None, &[], &[("CI", "true"), ("GITHUB_ACTIONS", "true"), ("TERM", "dumb")]),
        ("piped", None, &["--color", "never"], &[("CLICOLOR_FORCE", "1")]),
        ("piped-verbose", None, &["--verbose"], &[]),
        ("piped-color", None, &["--color", "always"], &[]),
        ("piped-color", None, &[], &[("CLICOLOR_FORCE", "1")]),
        ("terminal", Some(80), &[], &[]),
        ("terminal", Some(120), &[], &[]),
        ("terminal-plain", Some(80), &[], &[("NO_COLOR", "1")]),
        ("terminal-plain", Some(120), &[], &[("CLICOLOR", "0")]),
        ("piped", Some(80), &[], &[("TERM", "dumb")]),
    ];
    let (mut wrong, mut written) = (Vec::new(), std::collections::BTreeSet::new());
    for (name, columns, flags, variables) in table {
        let (flags, variables) = ([&compare[..], flags].concat(), [&PLAIN[..], variables].concat());
        let (code, shown) = match columns {
            Some(columns) => on_terminal(&package, *columns, &flags, &variables)?,
            None => {
                let outcome = package.run(&flags, &variables);
                assert_eq!(outcome.stderr, "", "{name}");
                (outcome.code, outcome.stdout)
            }
        };
        assert_eq!(code, 0, "{name}: {shown}");
        let widest = shown.lines().map(|line| seen(line).chars().count()).max().unwrap_or(0);
        assert!(widest <= 80, "{name}: a line of {widest} columns in\n{shown}");
        let path = PathBuf::from(fixture(&format!("golden/terminal/{name}.txt")));
        // What shares a file is compared with what was written first.
        if std::env::var_os("UPDATE_GOLDEN").is_some() && written.insert(*name) {
            std::fs::write(&path, &shown)?;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if shown != expected {
            let first = shown.lines().zip(expected.lines()).find(|(a, b)| a != b);
            wrong.push(format!("{} with {flags:?} {variables:?} differs: {first:?}", path.display()));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// A line without its colours; what colours there are, are those that terminals of light and dark grounds show alike.
fn seen(line: &str) -> String {
    let mut seen = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\x1b') {
        let (code, after) = after.split_once('m').unwrap_or((after, ""));
        assert!(["[0", "[1", "[31", "[32", "[33"].contains(&code), "{line:?}");
        seen += before;
        rest = after;
    }
    seen + rest
}

/// What a terminal shows in the end: of what was written over, the last.
fn last_seen(written: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut text = written.chars().peekable();
    while let Some(c) = text.next() {
        match c {
            '\n' => {
                (row, column) = (row + 1, 0);
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\r' => column = 0,
            '\x1b' if text.next_if_eq(&'[').is_some() => {
                let number: String =
                    std::iter::from_fn(|| text.next_if(|c| c.is_ascii_digit() || matches!(c, ';' | '?'))).collect();
                let n = number.parse().unwrap_or(1);
                match text.next() {
                    Some('A') => row = row.saturating_sub(n),
                    Some('B') => row = (row + n).min(lines.len() - 1),
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('G') => column = n - 1,
                    _ => {}
                }
            }
            c => {
                if lines[row].len() <= column {
                    lines[row].resize(column + 1, ' ');
                }
                lines[row][column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

fn nothing_left() -> Result<(), Failed> {
    let package = Package::new("");
    let flags = [
        "--bench",
        "--concurrency",
        "1,2",
        "--num-prompts",
        "60",
        "--sample-size",
        "3",
        "--max-tokens",
        "8",
        "--noplot",
        "--engine",
        "decode_step_ms=2",
    ];
    for columns in [80, 120] {
        let (code, written) = on_terminal(&package, columns, &flags, &PLAIN)?;
        assert_eq!(code, 0, "{written}");
        // It was there, and it is gone.
        assert!(written.contains("sharegpt/c2: pass ") && written.contains(" left"), "{written}");
        let lines = last_seen(&written);
        let progress: Vec<&String> =
            lines.iter().filter(|line| line.contains(": pass ") || line.contains(" left")).collect();
        assert!(progress.is_empty(), "{progress:?} in\n{}", lines.join("\n"));
        assert!(lines.iter().any(|line| line.starts_with("benchmark ")), "{}", lines.join("\n"));
    }
    Ok(())
}
