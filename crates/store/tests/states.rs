//! The chart in `docs/STATES.md`, the enums and the schema say the same (L4).

use std::collections::BTreeMap;

use beacon_domain::{DeliveryState, ExecutionState, JobState};

const DOCS: &str = include_str!("../../../docs/STATES.md");
const SCHEMAS: [(&str, &str); 2] = [
    (include_str!("../../../migrations/sqlite/0001_init.sql"), "CREATE TABLE "),
    (include_str!("../../../migrations/postgres/0001_init.up.sql"), "CREATE TABLE beacon."),
];

fn table(name: &str) -> BTreeMap<String, Vec<String>> {
    let marker = format!("<!-- states: {name} -->");
    let (_, rest) = DOCS.split_once(&marker).expect("the document and the schema have this shape");
    rest.lines()
        .skip(3)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let next =
                cells[1].split(',').map(|state| state.trim().to_owned()).filter(|state| !state.is_empty());
            (cells[0].to_owned(), next.collect())
        })
        .collect()
}

fn check(schema: &str, create: &str, table: &str) -> Vec<String> {
    let (_, rest) = schema
        .split_once(&format!("{create}{table} ("))
        .expect("the document and the schema have this shape");
    let (_, rest) =
        rest.split_once("CHECK (state IN (").expect("the document and the schema have this shape");
    let (list, _) = rest.split_once(')').expect("the document and the schema have this shape");
    list.split(',').map(|state| state.trim().trim_matches('\'').to_owned()).collect()
}

#[test]
fn the_chart_of_executions_is_the_enum_and_the_schema() {
    let docs = table("executions");

    for from in ExecutionState::ALL {
        let next = ExecutionState::ALL.into_iter().filter(|to| from.may_become(*to));
        let next: Vec<_> = next.map(|to| to.as_str().to_owned()).collect();
        assert_eq!(docs[from.as_str()], next, "{from}");
    }
    assert_eq!(docs.len(), ExecutionState::ALL.len());
    for (schema, create) in SCHEMAS {
        assert_eq!(check(schema, create, "executions"), ExecutionState::ALL.map(ExecutionState::as_str));
    }
}

#[test]
fn the_chart_of_deliveries_is_the_schema() {
    const SCHEMAS: [(&str, &str); 2] = [
        (include_str!("../../../migrations/sqlite/0002_steering.sql"), "CREATE TABLE "),
        (include_str!("../../../migrations/postgres/0002_steering.up.sql"), "CREATE TABLE beacon."),
    ];
    let docs = table("deliveries");

    for (schema, create) in SCHEMAS {
        let mut states = check(schema, create, "deliveries");
        assert!(states.iter().all(|state| state.parse::<DeliveryState>().is_ok()));
        states.sort();
        assert_eq!(states, docs.keys().cloned().collect::<Vec<_>>());
    }
}

#[test]
fn the_chart_of_jobs_is_the_enum_and_the_schema() {
    let docs = table("jobs");

    for state in JobState::ALL {
        assert_eq!(docs[state.as_str()].is_empty(), state.is_terminal(), "{state}");
    }
    assert_eq!(docs.len(), JobState::ALL.len());
    for (schema, create) in SCHEMAS {
        assert_eq!(check(schema, create, "jobs"), JobState::ALL.map(JobState::as_str));
    }
}
