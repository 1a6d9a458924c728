//! Writes the published test vectors: `cargo run -p beacon-spec --example make_vectors`.
//!
//! Verdicts are written down here by hand; lengths and hashes are computed, and the run stops if this library judges a
//! case otherwise. `tests/vectors/check.py` checks all of it without this library.

mod canonical;
mod case;
mod contents;
mod envelopes;
mod keys;
mod records;
mod refused;
mod texts;
mod unusable;

use std::path::Path;

use serde_json::{Value, json};

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let jobs = contents::cases().into_iter().chain(envelopes::accepted());
    let refused = refused::changed()
        .into_iter()
        .chain(refused::trust())
        .chain(refused::keys())
        .chain(refused::signatures());
    let refused = refused.chain(texts::refused()).chain(envelopes::refused()).chain(refused::stamps());
    for (name, about, cases) in [
        ("jobs.json", "Signed jobs that hold.", judged(jobs)),
        ("refused.json", "Jobs that do not hold, or not in time.", judged(refused)),
        ("unusable.json", "Jobs whose signature holds, but which cannot run.", judged(unusable::cases())),
    ] {
        write(&folder.join(name), &keys::file(about, &cases))?;
    }
    write(&folder.join("canonical.json"), &canonical::file())?;
    write(&folder.join("records.json"), &records::file())
}

fn judged(cases: impl IntoIterator<Item = case::Case>) -> Vec<Value> {
    cases.into_iter().map(|case| case.judged()).collect()
}

/// One case per line, so that a change is seen where it is.
fn write(path: &Path, file: &Value) -> std::io::Result<()> {
    let mut text = String::from("{\n");
    let members = file.as_object().expect("a file is an object");
    for (i, (name, value)) in members.iter().enumerate() {
        let comma = if i + 1 < members.len() { "," } else { "" };
        match value.as_array().filter(|items| items.iter().all(Value::is_object)) {
            Some(items) => {
                let items: Vec<String> = items.iter().map(|item| format!("    {}", line(item))).collect();
                text.push_str(&format!("  {}: [\n{}\n  ]{comma}\n", json!(name), items.join(",\n")));
            }
            None => text.push_str(&format!("  {}: {value}{comma}\n", json!(name))),
        }
    }
    text.push_str("}\n");
    println!("{}", path.display());
    std::fs::write(path, text)
}

/// An object on one line, what names it first.
fn line(object: &Value) -> String {
    let members = object.as_object().expect("an object");
    let first = ["name", "why"];
    let names = first.iter().copied().filter(|name| members.contains_key(*name));
    let names = names.chain(members.keys().map(String::as_str).filter(|name| !first.contains(name)));
    let members: Vec<String> = names.map(|name| format!("{}:{}", json!(name), members[name])).collect();
    format!("{{{}}}", members.join(","))
}
