//! The API with TLS of its own, as a process, and the command line as its client.

use std::path::Path;

use beacon_testkit::Cluster;
use beacon_tests::{Deployment, Simulator, root};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::SIX_CELLS;

/// Writes an authority, and a certificate of it with its key.
fn certify(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
    std::fs::write(folder.join("api.pem"), certificate.pem()).unwrap();
    for (name, key) in [("api.key", key), ("other.key", KeyPair::generate().unwrap())] {
        std::fs::write(folder.join(name), key.serialize_pem()).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(folder.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    }
}

#[test]
fn a_job_is_submitted_over_tls_and_plain_http_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let simulator = Simulator::start(folder.path(), &SIX_CELLS, "warm = { fixed_s = 0.01 }");
    let deployment = Deployment::new(Cluster::shared(), folder.path(), &simulator.endpoints);
    let job = deployment.sign(&root().join("examples/unsigned/two-questions.json"));
    std::fs::write(folder.path().join("job.json"), job).unwrap();
    let tls = |key| [("BEACON__API__TLS__CERTIFICATE", "api.pem"), ("BEACON__API__TLS__KEY", key)];

    // A6
    let refused = deployment.run("beacon-api", &[], &tls("other.key"));
    let api = deployment.start("beacon-api", &tls("api.key"));
    let _worker = deployment.start("beacon-worker", &[]);
    let url = api.url().replace("http://127.0.0.1", "https://localhost");
    let submit = ["submit", "job.json", "--watch", "--server"];
    let submitted = deployment.remote(&[&submit[..], &[url.as_str(), "--ca-file", "ca.pem"]].concat(), None);
    let strange = deployment.remote(&["jobs", "--server", &url], None);
    let plain = deployment.remote(&["jobs", "--server", &api.url()], None);

    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("api.tls: other.key: is not the key of the certificate in api.pem"),
        "{}",
        refused.stderr
    );
    assert_eq!(submitted.code, Some(0), "{}", submitted.stderr);
    assert!(strange.stderr.contains("TLS could not be agreed"), "{}", strange.stderr);
    assert!(plain.stderr.contains("this port speaks TLS only; use https://"), "{}", plain.stderr);
}
