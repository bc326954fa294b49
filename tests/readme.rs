//! What the README says of the settings, against what the program knows.
#![cfg(feature = "harness")]

use tachometer::{config::Arguments, internals::SETTINGS};

const README: &str = include_str!("../README.md");

/// A line a setting: the flag, the default, and the words of `--help`.
#[test]
fn the_table_of_settings_is_that_of_the_program() {
    let definition = Arguments::definition();
    let line = |name: &str, default: String| {
        let argument = definition.get_arguments().find(|argument| argument.get_id() == name).unwrap();
        let value = argument.get_value_names().unwrap()[0].replace('|', "\\|");
        let help = argument.get_help().unwrap().to_string();
        let (help, _) = help.rsplit_once(" [default: ").unwrap();
        format!("| `--{} {value}` | {default} | {help} |\n", argument.get_long().unwrap())
    };
    let expected: String = SETTINGS.iter().map(|setting| line(setting.name, setting.default())).collect();
    let start = "| setting | default | meaning |\n|---|---|---|\n";
    let table = README.split_once(start).expect("the README has a table of settings").1;
    let table = &table[..table.find("\n\n").unwrap() + 1];
    assert!(table == expected, "the README's table of settings should be\n\n{start}{expected}");
}
