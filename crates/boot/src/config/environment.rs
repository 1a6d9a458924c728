//! Settings from the environment: `BEACON__WORKER__SLOTS=8` is `slots = 8` below `[worker]`.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Two underscores, because clusters set variables like `BEACON_PORT` for a service of that name by themselves.
const PREFIX: &str = "BEACON__";

/// One setting from a variable.
#[derive(Debug)]
pub(super) struct Override {
    variable: String,
    path: Vec<String>,
    value: Value,
}

/// The settings among all variables.
pub(super) fn settings(variables: impl Iterator<Item = (String, String)>) -> Result<Vec<Override>, String> {
    let ours = variables.filter(|(name, _)| name.starts_with(PREFIX));
    let mut overrides = Vec::new();
    for (variable, text) in ours {
        let path: Vec<String> = variable[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        if path.len() > 2 || path.iter().any(String::is_empty) {
            return Err(format!(
                "the variable {variable} must be BEACON__SETTING or BEACON__SECTION__SETTING"
            ));
        }
        overrides.push(Override { variable, path, value: value(&text) });
    }
    Ok(overrides)
}

/// The file's settings with those of the environment over them.
pub(super) fn merged<T: DeserializeOwned>(mut file: Table, overrides: &[Override]) -> Result<T, String> {
    for one in overrides {
        put(&mut file, one)?;
        // After each one, so that the error names the variable.
        let read: Result<T, _> = file.clone().try_into();
        // Its value may be a secret and is not repeated.
        read.map_err(|error| format!("the variable {}: {}", one.variable, first_line(&error.to_string())))?;
    }
    file.try_into().map_err(|error| error.to_string())
}

fn put(file: &mut Table, one: &Override) -> Result<(), String> {
    let mut table = file;
    let Some((setting, sections)) = one.path.split_last() else { return Ok(()) };
    for section in sections {
        let entry = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return Err(format!("the variable {}: {section} is no section", one.variable));
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
