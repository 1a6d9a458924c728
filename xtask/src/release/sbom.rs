//! A bill of materials in CycloneDX 1.5 (<https://cyclonedx.org/docs/1.5/json/>): every crate that is built in.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::{Value, json};

/// The packages that the binaries are made of, with versions, licences and the checksums of the lock file.
pub(super) fn of(metadata: &Value, lock: &str) -> anyhow::Result<Value> {
    let checksums = checksums(lock)?;
    let built_in = built_in(metadata)?;
    let mut components = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let id = package["id"].as_str().unwrap_or_default();
        if built_in.contains(id) {
            components.push(component(package, &checksums));
        }
    }
    components.sort_by_key(|component| component["purl"].to_string());
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": { "type": "application", "name": "beacon" } },
        "components": components,
    }))
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    let (name, version) = (text("name"), text("version"));
    let mut component = json!({
        "type": "library", "name": name, "version": version, "purl": format!("pkg:cargo/{name}@{version}"),
    });
    if let Some(licence) = package["license"].as_str() {
        component["licenses"] = json!([{ "expression": licence }]);
    }
    if let Some(checksum) = checksums.get(&(name, version)) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// Ids of what the programs reach through normal dependencies; not what only builds or tests them.
fn built_in(metadata: &Value) -> anyhow::Result<BTreeSet<String>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata has a graph")?;
    let edges: BTreeMap<&str, &Value> =
        nodes.iter().filter_map(|node| Some((node["id"].as_str()?, &node["deps"]))).collect();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let is_program = |package: &&Value| {
        package["manifest_path"].as_str().is_some_and(|path| path.replace('\\', "/").contains("/bins/"))
            && package["source"].is_null()
    };
    let mut open: Vec<&str> =
        packages.filter(is_program).filter_map(|package| package["id"].as_str()).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id.to_owned()) {
            continue;
        }
        let dependencies = edges.get(id).and_then(|deps| deps.as_array()).into_iter().flatten();
        let normal = dependencies.filter(|dependency| {
            dependency["dep_kinds"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        });
        open.extend(normal.filter_map(|dependency| dependency["pkg"].as_str()));
    }
    Ok(seen)
}

fn checksums(lock: &str) -> anyhow::Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = toml::from_str(lock).context("Cargo.lock is TOML")?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock lists packages")?;
    let text = |package: &toml::Value, name: &str| package.get(name)?.as_str().map(str::to_owned);
    let rows = packages.iter().filter_map(|package| {
        Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?))
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::of;

    #[test]
    fn what_only_tests_a_program_is_no_part_of_it() {
        let package = |name: &str, path: &str, source: Option<&str>| json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT", "manifest_path": path, "source": source });
        let edge = |to: &str, kind: Option<&str>| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [
                package("program", "/x/bins/cli/Cargo.toml", None),
                package("used", "/r/used/Cargo.toml", Some("registry")),
                package("tester", "/r/tester/Cargo.toml", Some("registry")),
            ],
            "resolve": { "nodes": [
                { "id": "program", "deps": [edge("used", None), edge("tester", Some("dev"))] },
                { "id": "used", "deps": [] }, { "id": "tester", "deps": [] },
            ] },
        });
        let lock = "[[package]]\nname = \"used\"\nversion = \"1.0.0\"\nchecksum = \"abc\"";

        let bill = of(&metadata, lock).unwrap();

        let names: Vec<_> = bill["components"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["program", "used"]);
        assert_eq!(bill["components"][1]["hashes"][0]["content"], "abc");
    }
}
