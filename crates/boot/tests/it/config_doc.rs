//! `docs/CONFIG.md` and the code say the same: every setting, every value, every default.

use std::collections::BTreeSet;

use beacon_boot::{
    ApiConfig, DatabaseConfig, LogConfig, ServiceConfig, TelemetryConfig, TlsConfig, WebhooksConfig,
    WorkerConfig,
};
use beacon_providers::{
    AccountConfig, AdaptiveConfig, AuthConfig, EndpointConfig, EndpointsFile, HttpVersion, Provider,
    TimingConfig,
};
use beacon_simulator::{Behaviour, EndpointStats, Failures, SimConfig, SimEndpoint, Warm, WhenFull};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    introspect::{fields, variants},
    samples::root,
};

/// One row of a table: the name in its first cell, and the cells after it.
struct Row {
    name: String,
    cells: Vec<String>,
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/CONFIG.md")).unwrap()
}

/// The rows of the table below `<!-- MARK -->`.
fn table(mark: &str) -> Vec<Row> {
    let text = document();
    let (_, below) = text
        .split_once(&format!("<!-- {mark} -->\n"))
        .unwrap_or_else(|| panic!("docs/CONFIG.md has no table marked <!-- {mark} -->"));
    let rows = below.lines().skip(2).take_while(|line| line.starts_with('|'));
    let rows = rows.map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        Row { name: cells.next().unwrap().trim_matches('`').to_owned(), cells: cells.collect() }
    });
    rows.collect()
}

/// The table has exactly these names.
fn check_names<'a>(mark: &str, names: impl IntoIterator<Item = &'a str>) {
    let rows = table(mark);
    let documented: BTreeSet<_> = rows.iter().map(|row| row.name.as_str()).collect();
    let known: BTreeSet<_> = names.into_iter().collect();

    let missing: Vec<_> = known.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&known).collect();

    assert!(
        missing.is_empty() && stale.is_empty(),
        "{mark}: not documented {missing:?}, not in the code {stale:?}"
    );
    assert_eq!(rows.len(), known.len(), "{mark}: a name is there twice");
}

/// The table has exactly the fields of `T`; those of `minimal` are required, and the others have the defaults told.
fn check_settings<T: Serialize + for<'de> Deserialize<'de>>(mark: &str, minimal: Value) {
    check_names(mark, fields::<T>());
    let full = serde_json::to_value(serde_json::from_value::<T>(minimal.clone()).unwrap()).unwrap();
    for Row { name, cells } in table(mark) {
        let default = &cells[1];
        if minimal.get(&name).is_some() {
            let mut without = minimal.clone();
            without.as_object_mut().unwrap().remove(&name);
            assert!(serde_json::from_value::<T>(without).is_err(), "{mark}: {name} is not required");
            assert_eq!(default, "required", "{mark}: {name}");
            continue;
        }
        match full.get(&name) {
            None | Some(Value::Null) => assert!(!default.starts_with("required"), "{mark}: {name}"),
            Some(value) => {
                assert!(default.contains(&format!("`{value}`")), "{mark}: {name} is {value} by default")
            }
        }
    }
}

#[test]
fn every_setting_of_an_endpoints_file_is_documented_with_its_default() {
    check_settings::<EndpointsFile>("settings: endpoints file", json!({}));
    check_settings::<AccountConfig>("settings: account", json!({ "limit": 1 }));
    let endpoint = json!({
        "provider": "openai", "model": "m", "region": "us-east", "inference_url": "http://127.0.0.1/",
    });
    check_settings::<EndpointConfig>("settings: endpoint", endpoint);
    check_settings::<AdaptiveConfig>("settings: adaptive", json!({ "floor": 1, "ceiling": 2 }));
    check_settings::<TimingConfig>("settings: timing", json!({ "cold_s": 1.0, "warm_s": 1.0 }));
    check_names("values: provider", variants::<Provider>());
    check_names("values: http_version", variants::<HttpVersion>());
}

#[test]
fn every_setting_of_a_service_file_is_documented_with_its_default() {
    check_names("settings: service file", fields::<ServiceConfig>());
    check_settings::<DatabaseConfig>("settings: database", json!({}));
    check_settings::<WorkerConfig>("settings: worker", json!({}));
    check_settings::<ApiConfig>("settings: api", json!({}));
    check_settings::<TlsConfig>("settings: api.tls", json!({ "certificate": "c.pem", "key": "k.pem" }));
    check_settings::<WebhooksConfig>("settings: webhooks", json!({}));
    check_settings::<LogConfig>("settings: log", json!({}));
    check_settings::<TelemetryConfig>("settings: telemetry", json!({}));
}

#[test]
fn both_forms_of_auth_are_documented() {
    let text = String::new;
    let forms = [
        AuthConfig::Modal { modal_key_env: text(), modal_secret_env: text() },
        AuthConfig::Bearer { bearer_env: text() },
    ];
    let forms = forms.map(|form| serde_json::to_value(form).unwrap());
    let names = forms.iter().flat_map(|form| form.as_object().unwrap().keys().map(String::as_str));

    check_names("settings: auth", names);
}

#[test]
fn every_setting_of_a_simulator_file_is_documented_with_its_default() {
    check_settings::<SimConfig>("settings: simulator file", json!({}));
    let endpoint = json!({ "id": "e", "model": "m", "region": "us-east" });
    check_settings::<SimEndpoint>("settings: simulated endpoint", endpoint);
    check_settings::<Failures>("settings: failures", json!({ "rate": 0.5, "kind": "500" }));
    check_names("settings: warm", variants::<Warm>());
    check_names("values: when_full", variants::<WhenFull>());
    check_names("values: behaviour", variants::<Behaviour>());
    check_names("values: stats", fields::<EndpointStats>());
    let random = [Warm::Normal { mean_s: 1.0, sd_s: 1.0 }, Warm::Exponential { mean_s: 1.0 }];
    for warm in random.map(|warm| serde_json::to_value(warm).unwrap()) {
        let (name, parameters) = warm.as_object().unwrap().iter().next().unwrap();
        let rows = table("settings: warm");
        let row = rows.iter().find(|row| row.name == *name).unwrap();
        for parameter in parameters.as_object().unwrap().keys() {
            assert!(row.cells[0].contains(&format!("`{parameter}`")), "{name} {parameter}");
        }
    }
}

#[test]
fn every_code_of_a_behaviour_is_an_error_code() {
    for Row { name, cells } in table("values: behaviour") {
        let code = cells[1].trim_matches('`');
        let known =
            code.is_empty() || serde_json::from_value::<beacon_domain::ErrorCode>(code.into()).is_ok();
        assert!(known, "{name}: {code}");
    }
}
