//! The variables of the environment.

use super::{ConfigError, Setting, error::nearest, settings::SETTINGS, shards::TOKEN};

/// Refuses `TACHOMETER_*` variables that no setting has: a misspelt one would be passed over in silence otherwise.
///
/// # Errors
/// [`ConfigError::Unknown`], with the nearest name that there is.
pub fn check_environment(names: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let others = ["TACHOMETER_CONFIG", TOKEN].map(str::to_owned);
    let known: Vec<String> = SETTINGS.iter().map(Setting::variable).chain(others).collect();
    let of_tests = |name: &str| name.starts_with("TACHOMETER_TEST_");
    for name in names.filter(|name| name.starts_with("TACHOMETER_") && !of_tests(name)) {
        if !known.contains(&name) {
            let nearest = nearest(&name, known.iter().map(String::as_str));
            return Err(ConfigError::Unknown { place: "the environment".to_owned(), kind: "variable", name, nearest });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_an_error() {
        let check = |name: &str| check_environment([name.to_owned()].into_iter()).map_err(|e| e.to_string());
        assert_eq!(check("TACHOMETER_NUM_PROMPTS"), Ok(()));
        assert_eq!(check("PATH"), Ok(()));
        let message = check("TACHOMETER_NUM_PROMPT").unwrap_err();
        assert!(message.ends_with("did you mean `TACHOMETER_NUM_PROMPTS`?"), "{message}");
    }
}
