//! `tachometer.toml`: settings for all benchmarks at the top, and named workloads.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{ConfigError, NamedServer, Setting, Settings, error::nearest, settings::SETTINGS};
use crate::dataset::Dataset;

/// The file's name at the package root.
pub const FILE_NAME: &str = "tachometer.toml";

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFile {
    /// The top level.
    pub settings: Settings,
    /// `[server.NAME]`, in the order of the file.
    pub servers: Vec<(String, NamedServer)>,
    /// `[workload.NAME]`, in the order of the file.
    pub workloads: Vec<(String, Settings)>,
    /// Where it is, and its text, for messages.
    pub(super) origin: Option<(PathBuf, String)>,
}

impl ConfigFile {
    /// Reads the file. Relative paths in it are meant from its own folder.
    ///
    /// # Errors
    /// Where it can't be read, is not TOML, or has a key that no setting has.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError::Read { path: path.to_owned(), why: e.to_string() })?;
        let mut file = Self::parse(&text, path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for settings in
            std::iter::once(&mut file.settings).chain(file.workloads.iter_mut().map(|(_, settings)| settings))
        {
            settings.paths().for_each(|path| *path = folder.join(&*path));
            if let Some(text) = &mut settings.dataset
                && let Some(within) = text.parse().ok().and_then(|dataset: Dataset| dataset.within(folder))
            {
                *text = within;
            }
        }
        Ok(file)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let error = |e: toml::de::Error| {
            let line = e.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            ConfigError::File { path: path.to_owned(), why: format!("{place}{}", e.message().replace('\n', " ")) }
        };
        let mut table: toml::Table = text.parse().map_err(error)?;
        let workloads = table.remove("workload");
        let servers = match table.get("server") {
            Some(toml::Value::Table(servers)) => servers.clone(),
            _ => toml::Table::new(),
        };
        let servers = servers.into_iter().map(|(name, server)| {
            let error = |why: String| ConfigError::File { path: path.to_owned(), why };
            check_server_name(&name).map_err(error)?;
            // As a value it has no line: that of its table is told.
            let table = format!("server.{name}");
            let server = server.try_into().map_err(|e: toml::de::Error| ConfigError::Value {
                setting: format!("{}: [{table}]", place(path, text, &table)),
                why: e.message().replace('\n', " "),
            })?;
            Ok((name, server))
        });
        let servers = servers.collect::<Result<Vec<(String, NamedServer)>, ConfigError>>()?;
        let unknown = |kind, name: &str, known: &mut dyn Iterator<Item = &str>| ConfigError::Unknown {
            place: place(path, text, name),
            kind,
            name: name.to_owned(),
            nearest: nearest(name, known),
        };
        for key in table.keys() {
            if Setting::named(key).is_none() {
                let known = SETTINGS.iter().map(|setting| setting.name);
                return Err(unknown("key", key, &mut known.chain(["workload"])));
            }
        }
        let workloads = match workloads {
            None => toml::Table::new(),
            Some(toml::Value::Table(workloads)) => workloads,
            Some(_) => {
                let why = "`workload` is not a table: name each one as [workload.NAME]".to_owned();
                return Err(ConfigError::File { path: path.to_owned(), why });
            }
        };
        for (name, workload) in &workloads {
            check_name(name).map_err(|why| ConfigError::File { path: path.to_owned(), why })?;
            let toml::Value::Table(workload) = workload else {
                let why = format!("`workload.{name}` is not a table: write [workload.{name}]");
                return Err(ConfigError::File { path: path.to_owned(), why });
            };
            for key in workload.keys() {
                let Some(setting) = Setting::named(key) else {
                    return Err(unknown("key", key, &mut SETTINGS.iter().map(|setting| setting.name)));
                };
                if setting.of_run {
                    let why =
                        format!("`{key}` applies to all workloads: move it from [workload.{name}] to the top level");
                    return Err(ConfigError::File { path: path.to_owned(), why });
                }
            }
        }

        /// Only what the checks above let through gets here; reading the text anew gives errors their place.
        #[derive(Deserialize)]
        struct Whole {
            #[serde(flatten)]
            settings: Settings,
            #[serde(default)]
            server: Option<TextOrTables>,
            #[serde(default)]
            workload: BTreeMap<String, Settings>,
        }
        let mut whole: Whole = toml::from_str(text).map_err(error)?;
        let in_order = workloads.keys().filter_map(|name| whole.workload.remove_entry(name)).collect();
        if let Some(TextOrTables::Text(server)) = whole.server {
            whole.settings.server = Some(server);
        }
        let origin = Some((path.to_owned(), text.to_owned()));
        Ok(Self { settings: whole.settings, servers, workloads: in_order, origin })
    }

    /// Where the file says what a setting is, as messages name it; `None` where it does not.
    pub(super) fn place_of(&self, setting: &Setting) -> Option<String> {
        let all = std::iter::once(&self.settings).chain(self.workloads.iter().map(|(_, settings)| settings));
        let (path, text) =
            self.origin.as_ref().filter(|_| all.into_iter().any(|settings| settings.has(setting.name)))?;
        Some(format!("{}: {}", place(path, text, setting.name), setting.name))
    }

    /// Where it is, or would be: commands run there.
    pub(super) fn folder(&self) -> PathBuf {
        let own = self.origin.as_ref().and_then(|(path, _)| path.parent().map(Path::to_owned));
        let folder = own.or_else(|| std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from)).unwrap_or_default();
        // Programs are started from there, wherever this process is.
        std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { &folder }).unwrap_or(folder)
    }

    /// The file at the package root, or nothing where there is none.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn find(named: Option<&Path>) -> Result<Self, ConfigError> {
        match named {
            Some(path) => Self::read(path),
            None => {
                let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
                let path = root.join(FILE_NAME);
                if path.exists() { Self::read(&path) } else { Ok(Self::default()) }
            }
        }
    }
}

/// `server = "URL"`, or tables of servers.
#[derive(Deserialize)]
#[serde(untagged, expecting = "neither the URL of a server nor tables [server.NAME]")]
enum TextOrTables {
    Text(String),
    Tables {},
}

/// What else lies where workloads have their folders.
const TAKEN: [&str; 8] = [
    "index",
    "criterion",
    "servers",
    "revisions",
    "history.jsonl",
    "profile_api_server.csv",
    "github-bigger.json",
    "github-smaller.json",
];

/// Names of servers become files.
pub(super) fn check_server_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        "embedded" => Err("`server.embedded`: that name is the simulated engine's: choose another".to_owned()),
        "" => {
            Err("`server.`: a name is made of letters, digits, `-`, `_` and `.`, and does not begin with `.`"
                .to_owned())
        }
        name if !name.chars().all(allowed) || name.starts_with('.') => Err(format!(
            "`server.{name}`: a name is made of letters, digits, `-`, `_` and `.`, and does not begin with `.`"
        )),
        _ => Ok(()),
    }
}

/// Names become folders and filters.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if TAKEN.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("`workload.{name}`: that name is taken by the harness: choose another"));
    }
    if name.is_empty() || !name.chars().all(allowed) || name.starts_with('.') {
        return Err(format!(
            "`workload.{name}`: a name is made of letters, digits, `-`, `_` and `.`, and does not begin with `.`"
        ));
    }
    Ok(())
}

/// `tachometer.toml line 7`, where a line begins with that key.
fn place(path: &Path, text: &str, key: &str) -> String {
    let begins = |line: &str| {
        let rest = line.trim_start().trim_start_matches('[').trim_start_matches(['"', '\'']).strip_prefix(key);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    match text.lines().position(begins) {
        Some(line) => format!("{} line {}", path.display(), line + 1),
        None => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sweep::Loads, *};

    #[test]
    fn settings_and_workloads() {
        let text = r#"
            server = "h:1"
            concurrency = 8
            extra_body = { top_k = 1 }
            engine = "instance_num=3"
            [workload.long]
            dataset = "random:1000:10"
            concurrency = [1, 2]
            extra_body = '{"seed": 7}'
        "#;
        let file = ConfigFile::parse(text, Path::new("t")).unwrap();
        assert_eq!(file.settings.concurrency, Some(vec![Loads::One(8)]));
        assert_eq!(file.settings.engine.unwrap().instance_num, 3);
        assert_eq!(file.settings.extra_body.unwrap()["top_k"], 1);
        let long = &file.workloads[0].1;
        assert_eq!(
            (long.concurrency.clone(), long.dataset.as_deref()),
            (Some(vec![Loads::One(1), Loads::One(2)]), Some("random:1000:10"))
        );
        assert_eq!(long.extra_body.as_ref().unwrap()["seed"], 7);
    }

    #[test]
    fn errors_name_the_place() {
        let table = [
            ("a = 1\nconcurency = 3", "t line 1: unknown key `a`"),
            ("seed = 1\nconcurency = 3", "t line 2: unknown key `concurency`; did you mean `concurrency`?"),
            ("[workload.x]\nnum_prompt = 3", "t line 2: unknown key `num_prompt`; did you mean `num_prompts`?"),
            ("[worklod.x]\nseed = 3", "t line 1: unknown key `worklod`; did you mean `workload`?"),
            ("[workload.x]\nserver = \"h\"", "`server` applies to all workloads"),
            ("[workload.\"a/b\"]\n", "a name is made of"),
            ("seed = \"x\"", "line 1: invalid type"),
            ("seed = ", "line 1: "),
            ("api = \"grpc\"", "line 1: `grpc` is not an API: use chat, completions, responses,"),
        ];
        for (text, expected) in table {
            let message = ConfigFile::parse(text, Path::new("t")).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }
}
