//! What docs/settings.md says of the settings, against what the program knows.
#![cfg(feature = "harness")]

use tachometer::{config::Arguments, internals::SETTINGS};

const PAGE: &str = include_str!("../docs/settings.md");

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
    let table = PAGE.split_once(start).expect("the page has a table of settings").1;
    let table = table.split("\n\n").next().unwrap();
    assert!(table.trim_end() == expected.trim_end(), "the table of docs/settings.md should be\n\n{start}{expected}");
}
