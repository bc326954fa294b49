//! The command that a run was started by, to be run again.

use crate::config::{Arguments, SETTINGS};

/// Of this process; nothing where its flags are another program's. Values of headers, passwords and queries of addresses are left out: a
/// report can be shown to anybody.
pub fn command(arguments: &Arguments) -> String {
    let [called, flags @ ..] = arguments.given.as_slice() else { return String::new() };
    let known = SETTINGS.iter().map(|setting| setting.variable()).chain(["TACHOMETER_CONFIG".to_owned()]);
    // Others may hold a key.
    let value = |name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
    let variables = known.filter_map(|name| Some((name.clone(), value(&name)?)));
    written(called, flags, &variables.collect::<Vec<_>>())
}

fn written(called: &str, arguments: &[String], variables: &[(String, String)]) -> String {
    let mut words: Vec<String> = Vec::new();
    for (name, value) in variables {
        let value = if name == "TACHOMETER_HEADER" { header(value) } else { without_password(value) };
        words.push(format!("{name}={}", quoted(&value)));
    }
    words.push(called.to_owned());
    let mut is_header = false;
    // cargo adds `--bench` on its own.
    for argument in arguments.iter().filter(|argument| *argument != "--bench") {
        words.push(quoted(&match argument.split_once('=') {
            _ if is_header => header(argument),
            Some(("--header", value)) => format!("--header={}", header(value)),
            _ => without_password(argument),
        }));
        is_header = argument == "--header";
    }
    words.join(" ")
}

/// `authorization: …`
fn header(text: &str) -> String {
    text.split_once(':').map_or_else(|| "…".to_owned(), |(name, _)| format!("{name}: …"))
}

/// `http://…@host/path?…`: without a user, and without a query, which may hold a key.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://").filter(|_| !text.contains([' ', '{'])) else {
        return text.to_owned();
    };
    let (rest, query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], "?…"),
        None => (rest, ""),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://…{}{query}", &rest[at..]),
        None => format!("{scheme}://{rest}{query}"),
    }
}

/// As a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+^".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_run_again_and_tells_no_secret() {
        let arguments = [
            "--bench",
            "chat/c1",
            "--header",
            "authorization: Bearer k1",
            "--header=x-key: k2",
            "--server",
            "http://u:k3@h:1/x@y",
            "--objective",
            "ttft_p99 < 300 ms",
            "--dataset",
            "it's",
        ];
        let variables =
            [("TACHOMETER_HEADER", "x: k4"), ("TACHOMETER_SEED", "3"), ("TACHOMETER_METRICS", "http://k5@h/m?key=k6")];
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        let command = written(
            "cargo bench --bench serving --",
            &arguments.map(str::to_owned),
            &variables.iter().map(owned).collect::<Vec<_>>(),
        );
        let expected = "TACHOMETER_HEADER='x: …' TACHOMETER_SEED=3 TACHOMETER_METRICS='http://…@h/m?…' cargo bench --bench serving -- chat/c1 \
                        --header 'authorization: …' '--header=x-key: …' --server 'http://…@h:1/x@y' --objective 'ttft_p99 < 300 ms' \
                        --dataset 'it'\\''s'";
        assert_eq!(command, expected);
        assert!(!["k1", "k2", "k3", "k4", "k5", "k6"].iter().any(|key| command.contains(key)));
    }
}
