//! Samples are read as what they are: endpoints, simulator or service files, unknown settings refused (O2).

use std::path::{Path, PathBuf};

use beacon_boot::{EndpointsFile, ServiceConfig, parse_toml};
use beacon_simulator::SimConfig;

/// What a sample is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Endpoints,
    Simulator,
    Service,
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads the text as each of them; exactly one must hold.
fn kind(text: &str) -> Result<Kind, String> {
    let endpoints =
        parse_toml::<EndpointsFile>(text).and_then(|file| file.validate().map_err(|error| error.to_string()));
    let simulator =
        parse_toml::<SimConfig>(text).and_then(|config| config.check().map_err(|error| error.to_string()));
    let service = ServiceConfig::read(text, std::iter::empty()).map(drop).map_err(|error| error.to_string());
    let kinds = [(Kind::Endpoints, endpoints), (Kind::Simulator, simulator), (Kind::Service, service)];
    let (mut found, mut problems) = (Vec::new(), String::new());
    for (kind, read) in kinds {
        match read {
            Ok(()) => found.push(kind),
            Err(problem) => problems += &format!("no {kind:?} file:\n{problem}\n"),
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(problems),
        _ => Err(format!("it could be either: {found:?}; say more in it")),
    }
}

/// The TOML files of a folder, with their names.
fn files(folder: &str) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let toml = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    toml.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The fenced blocks of a document in this language, with their places.
fn blocks(document: &str, language: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line.strip_prefix("```") == Some(language) => {
                open = Some((format!("{document}:{}", number + 1), String::new()))
            }
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some((_, block)) => *block += &format!("{line}\n"),
            None => {}
        }
    }
    assert!(open.is_none(), "{document} ends inside a block");
    blocks
}

#[test]
fn every_sample_is_a_file_of_one_kind() {
    let mut samples = files("examples/endpoints");
    samples.extend(files("docs/samples"));
    samples.extend(blocks("docs/CONFIG.md", "toml"));
    samples.extend(blocks("README.md", "toml"));
    samples.extend(files("deploy"));

    let mut kinds = Vec::new();
    for (name, text) in &samples {
        kinds.push(kind(text).unwrap_or_else(|problem| panic!("{name}: {problem}")));
    }

    for expected in [Kind::Endpoints, Kind::Simulator, Kind::Service] {
        let found = kinds.iter().filter(|kind| **kind == expected).count();
        assert!(found >= 2, "{found} samples are {expected:?}: {samples:#?}");
    }
}

#[test]
fn every_variable_of_the_documentation_is_read_lists_included() {
    let mut variables = Vec::new();
    for (_, block) in blocks("docs/CONFIG.md", "sh") {
        let set = block.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        variables.extend(set.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())));
    }

    let config = ServiceConfig::read("", variables.into_iter()).unwrap();

    let served = ["us-east/llama3.2-1b", "eu-west/llama3.2-1b"].map(str::to_owned);
    assert_eq!(config.worker.serves.as_deref(), Some(served.as_slice()));
    assert_eq!(config.worker.slots, 64);
    assert!(config.database.url.unwrap().to_string().ends_with("?sslmode=verify-full"));
}

#[test]
fn a_sample_with_an_unknown_setting_or_an_impossible_value_is_none() {
    let good = "[[endpoint]]\nid = \"e\"\nmodel = \"m\"\nregion = \"EU\"\n";
    assert_eq!(kind(good), Ok(Kind::Simulator));

    assert!(kind(&format!("{good}colour = 1\n")).unwrap_err().contains("colour"));
    assert!(kind(&format!("{good}capacity = 0\n")).unwrap_err().contains("capacity must be at least 1"));
    assert!(kind("").unwrap_err().contains("either"));
}
