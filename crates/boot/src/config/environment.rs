//! Settings from the environment: `BEACON__WORKER__SLOTS=8` is `slots = 8` below `[worker]`, and
//! `BEACON__API__TLS__KEY=…` is `key` below `[api.tls]`.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::ConfigError;

/// Two underscores, because clusters set variables like `BEACON_PORT` for a service of that name by themselves.
const PREFIX: &str = "BEACON__";
/// A section, a table in it, and a setting.
const DEEPEST: usize = 3;

/// One setting from a variable.
#[derive(Debug)]
pub(super) struct Override {
    variable: String,
    path: Vec<String>,
    value: Value,
}

/// The settings among all variables.
pub(super) fn settings(
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Vec<Override>, ConfigError> {
    let ours = variables.filter(|(name, _)| name.starts_with(PREFIX));
    let mut overrides = Vec::new();
    for (variable, text) in ours {
        let path: Vec<String> = variable[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        if path.len() > DEEPEST || path.iter().any(String::is_empty) {
            let message = "its name must be BEACON__SETTING, BEACON__SECTION__SETTING or BEACON__SECTION__TABLE__SETTING";
            let message = message.to_owned();
            return Err(ConfigError::Variable { variable, message });
        }
        overrides.push(Override { variable, path, value: value(&text) });
    }
    Ok(overrides)
}

/// The file's settings with those of the environment over them.
pub(super) fn merged<T: DeserializeOwned>(mut file: Table, overrides: &[Override]) -> Result<T, ConfigError> {
    let mut whole = file.clone();
    let put_all = overrides.iter().try_for_each(|one| put(&mut whole, one));
    if let (Ok(()), Ok(read)) = (put_all, whole.try_into()) {
        return Ok(read);
    }
    // One after the other, so that the error names the variable.
    for one in overrides {
        put(&mut file, one)?;
        let read: Result<T, _> = file.clone().try_into();
        // Its value may be a secret and is not repeated.
        read.map_err(|error| one.refused(first_line(&error.to_string())))?;
    }
    file.try_into().map_err(|error: toml::de::Error| ConfigError::File(error.to_string()))
}

/// The place of a setting that cannot work: the variables that it comes from, or the file. `problem` names it.
pub(super) fn placed(problem: String, overrides: &[Override]) -> ConfigError {
    let named = overrides.iter().find(|one| problem.contains(&one.path.join(".")));
    match named {
        Some(one) => one.refused(&problem),
        None => ConfigError::File(problem),
    }
}

impl Override {
    fn refused(&self, message: &str) -> ConfigError {
        ConfigError::Variable { variable: self.variable.clone(), message: message.to_owned() }
    }
}

fn put(file: &mut Table, one: &Override) -> Result<(), ConfigError> {
    let mut table = file;
    let Some((setting, sections)) = one.path.split_last() else { return Ok(()) };
    for section in sections {
        let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return Err(one.refused(&format!("{section} is no section")));
        };
        table = inner;
    }
    table.insert(setting.clone(), one.value.clone());
    Ok(())
}

/// TOML where it is TOML, such as `8`, `true` and `["a"]`; else text.
fn value(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    let parsed = parsed.ok().and_then(|mut table| table.remove("value").filter(|_| table.is_empty()));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
