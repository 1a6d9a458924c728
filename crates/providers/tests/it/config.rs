//! The configuration: what is refused, and that every refusal names the endpoint, the field and what to do (O2).

use std::sync::Arc;

use beacon_providers::{ConfigError, EndpointsFile, build};
use beacon_testkit::ManualClock;

use crate::support::endpoints::environment;

const ENDPOINT: &str = "[[endpoint]]\nprovider = \"modal-web\"\nmodel = \"m\"\nregion = \"EU\"\n";
const URL: &str = "inference_url = \"https://x.test/\"\n";

fn parse(text: &str) -> Result<EndpointsFile, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn refused(text: &str) -> ConfigError {
    let file = parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let built = build(&file, &environment, Arc::new(ManualClock::new()));
    built.err().unwrap_or_else(|| panic!("not refused: {text}"))
}

/// An endpoint with these lines is refused for this field.
fn check(lines: &str, field: &str, problem: &str) {
    let error = refused(&format!("{ENDPOINT}{URL}{lines}"));

    assert_eq!(error.field, field, "{error}");
    assert!(error.problem.contains(problem), "{problem}: {error}");
    assert!(error.to_string().starts_with(&format!("endpoint {}, field {field}: ", error.endpoint)));
}

#[test]
fn what_is_left_out_has_its_default() {
    let file = parse(&format!("{ENDPOINT}{URL}")).unwrap();

    let backends = build(&file, &environment, Arc::new(ManualClock::new())).unwrap();
    let info = backends[0].describe();
    assert_eq!((info.id.as_str(), info.limit, info.cold_probe), ("eu-west/m", 1, true));
    assert_eq!((info.adaptive, &info.account, info.price_micros_per_s), (None, &None, 0));
}

#[test]
fn a_file_says_the_same_after_it_was_written_and_read() {
    let lines = "max_tokens_field = \"max_completion_tokens\"\nauth = { bearer_env = \"TOKEN\" }\n\
                 timing = { cold_s = 1.5, warm_s = 0.5 }\nadaptive = { floor = 1, ceiling = 1 }\n";
    let file = parse(&format!("{ENDPOINT}{URL}{lines}")).unwrap();

    let again = parse(&toml::to_string(&file).unwrap()).unwrap();

    assert_eq!(again, file);
}

#[test]
fn unknown_keys_and_values_are_refused_wherever_they_stand() {
    for (text, message) in [
        (format!("{ENDPOINT}{URL}limits = 2\n"), "unknown field `limits`"),
        (format!("globel_limit = 2\n{ENDPOINT}{URL}"), "unknown field `globel_limit`"),
        (format!("[accounts.a]\nlimit = 1\nlimti = 1\n{ENDPOINT}{URL}"), "unknown field `limti`"),
        (format!("{ENDPOINT}{URL}auth = {{ bearer = \"X\" }}\n"), "unknown field `bearer`"),
        (format!("{ENDPOINT}{URL}timing = {{ cold = 1 }}\n"), "unknown field `cold`"),
        (
            format!("{ENDPOINT}{URL}adaptive = {{ floor = 1, ceiling = 2, step = 1 }}\n"),
            "unknown field `step`",
        ),
        (format!("{ENDPOINT}{URL}http_version = \"http3\"\n"), "unknown variant `http3`"),
        (format!("{ENDPOINT}{URL}max_tokens_field = \"n\"\n"), "unknown variant `n`"),
        (format!("{ENDPOINT}{URL}limit = -1\n"), "invalid value"),
        (format!("{ENDPOINT}{URL}auth = {{ modal_key_env = \"KEY\" }}\n"), "auth needs modal_key_env and"),
        (
            format!("{ENDPOINT}{URL}auth = {{}}\n"),
            "auth needs modal_key_env and modal_secret_env, or bearer_env",
        ),
        (ENDPOINT.to_owned(), "missing field `inference_url`"),
        (format!("{}{URL}", ENDPOINT.replace("EU", "MARS")), "known are us-east (US), eu-west (EU)"),
        (format!("{}{URL}", ENDPOINT.replace("modal-web", "modal")), "unknown variant `modal`"),
    ] {
        let error = parse(&text).unwrap_err();

        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    check("limit = 0\n", "limit", "at least 1; remove the endpoint");
    check("max_answer_bytes = 0\n", "max_answer_bytes", "leave it out for 8 MiB");
    check("timing = { cold_s = -1.0, warm_s = 1.0 }\n", "timing", "correct cold_s and warm_s");
    check("timing = { cold_s = nan, warm_s = 1.0 }\n", "timing", "seconds from 0");
    check("timing = { cold_s = 1.0, warm_s = inf }\n", "timing", "seconds from 0");
    check("timing = { cold_s = 1e300, warm_s = 1.0 }\n", "timing", "seconds from 0");
    check("price_micros_per_s = 9000000000000000000\n", "price_micros_per_s", "millionths of a dollar");
    check("limit = 4\nadaptive = { floor = 0, ceiling = 4 }\n", "adaptive", "1 <= floor <= ceiling <= limit");
    check("limit = 4\nadaptive = { floor = 3, ceiling = 2 }\n", "adaptive", "floor <= ceiling");
}

#[test]
fn an_adaptive_limit_stays_within_the_fixed_one() {
    // S10
    check("limit = 4\nadaptive = { floor = 1, ceiling = 5 }\n", "adaptive", "raise limit to the ceiling");
    check("limit = 4\nadaptive = { floor = 5, ceiling = 5 }\n", "adaptive", "raise limit to the ceiling");
}

#[test]
fn limits_nest() {
    // S1
    check("account = \"a\"\n", "account", "add [accounts.a] with a limit");
    let account = |limit: u32| format!("[accounts.a]\nlimit = {limit}\n");

    let above_account = refused(&format!("{}{ENDPOINT}{URL}limit = 3\naccount = \"a\"\n", account(2)));
    let above_global = refused(&format!("global_limit = 2\n{ENDPOINT}{URL}limit = 3\n"));
    let empty_account = refused(&format!("{}{ENDPOINT}{URL}", account(0)));
    let no_calls = refused(&format!("global_limit = 0\n{ENDPOINT}{URL}"));

    assert_eq!((above_account.endpoint.as_str(), above_account.field), ("eu-west/m", "limit"));
    assert!(above_account.problem.contains("above the 2 of account \"a\"; lower it or"), "{above_account}");
    assert!(above_global.problem.contains("above global_limit 2; lower it or raise"), "{above_global}");
    assert_eq!((empty_account.endpoint.as_str(), empty_account.field), ("(account a)", "limit"));
    assert_eq!((no_calls.endpoint.as_str(), no_calls.field), ("(all)", "global_limit"));
}

#[test]
fn names_that_cannot_be_used_are_refused() {
    check("id = \"\"\n", "id", "leave it out");
    check("id = \"a\\nb\"\n", "id", "leave it out");
    check("upstream_model = \"\"\n", "upstream_model", "leave it out");
    let twice = refused(&format!("{ENDPOINT}{URL}{ENDPOINT}{URL}"));
    assert_eq!((twice.endpoint.as_str(), twice.field), ("eu-west/m", "id"));
    assert!(twice.problem.contains("give each endpoint its own id"), "{twice}");
}

#[test]
fn addresses_that_cannot_be_used_are_refused() {
    for url in [
        "x.test/",
        "ftp://x.test/",
        "https://u:p@x.test/",
        "https://x.test/#a",
        "https://",
        "",
        "https://x test/",
    ] {
        let text = format!("{ENDPOINT}inference_url = {url:?}\n");
        assert_eq!(refused(&text).field, "inference_url", "{url}");
    }
    check("health_url = \"/health\"\n", "health_url", "must be a full http:// or https:// URL");
    check("models_url = \"models\"\n", "models_url", "must be a full http:// or https:// URL");
}

#[test]
fn contradictions_are_refused() {
    check("http2_prior_knowledge = true\nhttp_version = \"http1\"\n", "http2_prior_knowledge", "remove one");
    check("max_tokens_field = \"max_tokens\"\n", "max_tokens_field", "only for provider = \"openai\"");
}

#[test]
fn credentials_that_are_missing_or_of_the_wrong_kind_are_named_but_not_shown() {
    let auth = |key: &str| format!("auth = {{ modal_key_env = \"{key}\", modal_secret_env = \"SECRET\" }}\n");
    check(&auth("NOWHERE"), "auth", "environment variable NOWHERE is not set; set it, or remove auth");
    check("auth = { bearer_env = \"\" }\n", "auth", "names of environment variables");
    check("auth = { bearer_env = \"sk-test-only\" }\n", "auth", "put no secret into this file");

    let file = parse(&format!("{ENDPOINT}{URL}{}", auth("KEY"))).unwrap();
    for (value, problem) in
        [("ak-1", "take a proxy token (wk-…)"), ("a\nb", "no header may hold"), ("", "is not set")]
    {
        let environment = |name: &str| Some(if name == "KEY" { value } else { "ws-1" }.to_owned());

        let error = build(&file, &environment, Arc::new(ManualClock::new())).err().unwrap();

        assert!(error.problem.contains(problem), "{error}");
        assert!(value.is_empty() || !error.to_string().contains(value), "{error}");
    }
    let refused = refused(&format!("{ENDPOINT}{URL}auth = {{ bearer_env = \"sk-test-only\" }}\n"));
    assert!(!refused.to_string().contains("sk-test-only"));
}

#[test]
fn an_authority_that_cannot_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, empty) = (folder.path().join("missing.pem"), folder.path().join("empty.pem"));
    std::fs::write(&empty, "").unwrap();

    check(&format!("ca_file = {missing:?}\n"), "ca_file", "give a readable PEM file");
    check(&format!("ca_file = {empty:?}\n"), "ca_file", "it holds no certificate");
}
