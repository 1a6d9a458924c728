//! Which endpoints this worker may call.

use anyhow::ensure;
use beacon_boot::EndpointsFile;

/// Keeps the endpoints that are listed; all of them without a list. Accounts and the global limit stay.
pub(crate) fn served(mut file: EndpointsFile, serves: Option<&[String]>) -> anyhow::Result<EndpointsFile> {
    if let Some(serves) = serves {
        let known = |id: &String| file.endpoint.iter().any(|endpoint| endpoint.id() == *id);
        let unknown: Vec<_> = serves.iter().filter(|id| !known(id)).cloned().collect();
        ensure!(
            unknown.is_empty(),
            "worker.serves names endpoints that the endpoints file lacks: {}",
            unknown.join(", ")
        );
        file.endpoint.retain(|endpoint| serves.contains(&endpoint.id()));
    }
    ensure!(
        !file.endpoint.is_empty(),
        "this worker serves no endpoint; see worker.serves and the endpoints file"
    );
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> EndpointsFile {
        let endpoint = |model: &str| {
            format!(
                "[[endpoint]]\nprovider = \"openai\"\nmodel = \"{model}\"\nregion = \"US\"\ninference_url = \"http://h/\"\n"
            )
        };
        beacon_boot::parse_toml(&[endpoint("a"), endpoint("b")].concat()).unwrap()
    }

    fn served_ids(serves: Option<&[&str]>) -> anyhow::Result<Vec<String>> {
        let serves: Option<Vec<String>> = serves.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        let file = served(file(), serves.as_deref())?;
        Ok(file.endpoint.iter().map(beacon_boot::EndpointConfig::id).collect())
    }

    #[test]
    fn a_worker_serves_what_is_listed_or_everything() {
        assert_eq!(served_ids(None).unwrap(), ["us-east/a", "us-east/b"]);
        assert_eq!(served_ids(Some(&["us-east/b"])).unwrap(), ["us-east/b"]);
    }

    #[test]
    fn a_worker_with_nothing_or_something_unknown_to_serve_does_not_start() {
        assert!(served_ids(Some(&[])).unwrap_err().to_string().contains("serves no endpoint"));
        assert!(served_ids(Some(&["us-east/c"])).unwrap_err().to_string().contains("us-east/c"));
    }
}
