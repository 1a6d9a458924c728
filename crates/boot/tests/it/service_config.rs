//! The services' configuration: a file, the environment over it, and what is refused (O2).

use beacon_boot::ServiceConfig;

fn read(file: &str, variables: &[(&str, &str)]) -> Result<ServiceConfig, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ServiceConfig::read(file, variables).map_err(|error| error.to_string())
}

#[test]
fn the_environment_is_over_the_file_and_the_file_over_the_defaults() {
    let file = "[worker]\nslots = 4\nlease_s = 60\n[api]\nkeys = \"ring.json\"";

    let config = read(file, &[("BEACON__WORKER__SLOTS", "9"), ("BEACON__ENDPOINTS", "e.toml")]).unwrap();

    assert_eq!(
        (config.worker.slots, config.worker.lease.as_secs(), config.worker.grace.as_secs()),
        (9, 60, 25)
    );
    assert_eq!((config.api.keys.to_str(), config.endpoints.to_str()), (Some("ring.json"), Some("e.toml")));
}

#[test]
fn lists_and_text_can_stand_in_variables() {
    let config =
        read("", &[("BEACON__WORKER__SERVES", "[\"a\", \"b\"]"), ("BEACON__LOG__LEVEL", "debug,h2=off")]);

    let config = config.unwrap();

    assert_eq!(config.worker.serves, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(config.log.level, "debug,h2=off");
}

#[test]
fn a_table_of_a_section_can_be_given_by_variables_alone() {
    let variables = [("BEACON__API__TLS__CERTIFICATE", "/c.pem"), ("BEACON__API__TLS__KEY", "/k.pem")];

    let tls = read("", &variables).unwrap().api.tls.unwrap();

    assert_eq!((tls.certificate.to_str(), tls.key.to_str()), (Some("/c.pem"), Some("/k.pem")));
}

#[test]
fn what_is_unknown_or_cannot_work_is_refused_by_name() {
    for (file, variables, message) in [
        ("[worker]\nslot = 4", vec![], "unknown field `slot`"),
        ("[wroker]", vec![], "unknown field `wroker`"),
        ("", vec![("BEACON__WROKER__SLOTS", "4")], "the variable BEACON__WROKER__SLOTS"),
        ("", vec![("BEACON__WORKER__SLOTS", "many")], "the variable BEACON__WORKER__SLOTS"),
        ("", vec![("BEACON__A__B__C__D", "4")], "must be BEACON__SETTING"),
        (
            "",
            vec![("BEACON__API__TLS__CERT", "4")],
            "the variable BEACON__API__TLS__CERT: unknown field `cert`",
        ),
        (
            "",
            vec![("BEACON__API__TLS__KEY", "k")],
            "the variable BEACON__API__TLS__KEY: missing field `certificate`",
        ),
        ("endpoints = \"e\"", vec![("BEACON__ENDPOINTS__X", "4")], "endpoints is no section"),
        (
            "",
            vec![("BEACON__WORKER__SLOTS", "0")],
            "the variable BEACON__WORKER__SLOTS: worker.slots must be",
        ),
        (
            "[worker]\nexecution_s = 60",
            vec![("BEACON__WORKER__ATTEMPT_S", "60")],
            "the variable BEACON__WORKER__ATTEMPT_S: worker.attempt_s must be shorter",
        ),
        ("[worker]\nslots = 0", vec![], "worker.slots must be at least 1"),
        ("[worker]\nlease_s = 0.1", vec![], "worker.lease_s must be at least 1"),
        ("[worker]\nattempt_s = 90000", vec![], "must be shorter than worker.execution_s"),
        ("[worker]\ngrace_s = -1", vec![], "grace_s"),
        ("[telemetry]\nsample_ratio = 1.5", vec![], "telemetry.sample_ratio must be from 0 to 1"),
        ("[telemetry]\nsample_ratio = nan", vec![], "telemetry.sample_ratio must be from 0 to 1"),
        ("[telemetry]\notlp_endpoint = \"collector:4318\"", vec![], "telemetry.otlp_endpoint must be a URL"),
        ("[telemetry]\notlp_endpoint = \"http://a:b@c\"", vec![], "without a password"),
        ("[api.tls]\nkey = \"k\"", vec![], "missing field `certificate`"),
        ("[database]\nconnections = 0", vec![], "database.connections"),
        ("[database]\npatience_s = 0", vec![], "database.patience_s must be more than 0"),
        ("[database]\nstatement_timeout_s = 0", vec![], "database.statement_timeout_s at least 1"),
        ("[log]\nlevel = \"loud\"", vec![], "log.level is \"loud\""),
        ("[log]\nlevel = \"loud==\"", vec![], "log.level is \"loud==\""),
        ("[api]\noperator_token = \"short\"", vec![], "shorter than 32 characters"),
        ("[webhooks]\nsecret = \"hush\"", vec![], "webhooks.secret: a webhook secret is whsec_"),
        (
            "[webhooks]\nprevious_secret = \"whsec_plJ3nmyCDGBKInavdOK15jslplJ3nmyC\"",
            vec![],
            "without webhooks.secret",
        ),
        ("[webhooks]\nallow = [\"10.0.0.0\"]", vec![], "allow"),
        ("[webhooks]\ntimeout_s = 61", vec![], "webhooks.timeout_s"),
    ] {
        let error = read(file, &variables).unwrap_err();

        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn every_level_and_filter_of_log_lines_is_taken() {
    for level in ["warn", "INFO", "off", "info,beacon_web=debug", "beacon_store=trace"] {
        assert_eq!(read(&format!("[log]\nlevel = {level:?}"), &[]).unwrap().log.level, level);
    }
}

/// An operator looks where the error points: at the variable, not at a file that is right.
#[test]
fn what_the_file_has_wrong_is_not_put_down_to_a_variable() {
    let error = read("[worker]\nslots = 0", &[("BEACON__WORKER__LEASE_S", "9")]).unwrap_err();

    assert_eq!(error, "worker.slots must be at least 1");
}

#[test]
fn variables_that_a_cluster_sets_by_itself_are_not_ours() {
    assert!(read("", &[("BEACON_PORT", "tcp://10.0.0.1:8080"), ("BEACON_SERVICE_HOST", "10.0.0.1")]).is_ok());
}

#[test]
fn the_effective_configuration_shows_no_secret() {
    let token = "0123456789abcdef0123456789abcdef";
    let variables = [
        ("BEACON__DATABASE__URL", "postgres://ada:s3cret@db.example:6432/beacon?password=other"),
        ("BEACON__API__OPERATOR_TOKEN", token),
        ("BEACON__WEBHOOKS__SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("BEACON__WEBHOOKS__PREVIOUS_SECRET", "whsec_plJ3nmyCDGBKInavdOK15jslplJ3nmyC"),
    ];
    let config = read("[log]\nformat = \"text\"", &variables).unwrap();

    let shown = config.to_toml().unwrap();

    assert!(
        shown.contains("postgres://ada@db.example:6432/beacon?password=[redacted]\"")
            && shown.contains("operator_token = \"[redacted]\""),
        "{shown}"
    );
    for secret in ["s3cret", "other", token, "MfKQ", "plJ3"] {
        assert!(!shown.contains(secret) && !format!("{config:?}").contains(secret), "{shown}");
    }
    assert_eq!(config.database.url.as_ref().unwrap().reveal(), variables[0].1);
}

#[test]
fn key_value_text_is_shown_but_for_its_password() {
    let text = "host=db.example user=ada password='s3 cret' dbname=beacon sslmode=verify-full";

    let shown = read("", &[("BEACON__DATABASE__URL", text)]).unwrap().to_toml().unwrap();

    let expected = "host=db.example user=ada password=[redacted] dbname=beacon sslmode=verify-full";
    assert!(shown.contains(&format!("url = \"{expected}\"")), "{shown}");
}

#[test]
fn a_slip_in_the_file_is_told_by_its_place_and_never_with_the_line_that_may_hold_a_secret() {
    let cases = [
        ("[database]\nurl = \"postgres://beacon:s3cret@db/beacon\n", "line 2"),
        (
            "[api]\noperator_tokn = \"s3cret\"\n",
            "line 2, column 1 (operator_tokn): unknown field `operator_tokn`",
        ),
    ];
    for (file, place) in cases {
        let error = read(file, &[]).unwrap_err();

        assert!(error.contains(place) && !error.contains("s3cret"), "{error}");
    }
}
