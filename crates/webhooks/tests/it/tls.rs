//! TLS: the name of the URL is what the certificate must have, whatever address it leads to.

use std::sync::Arc;

use beacon_domain::DeliveryState;
use beacon_testkit::{Script, ScriptedEndpoint, reply};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::scene::Scene;

/// A receiver with a certificate for `hook.example`, and its authority's PEM.
async fn receiver() -> (ScriptedEndpoint, Vec<u8>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["hook.example".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let receiver = ScriptedEndpoint::start_tls(Script::new().then_always(reply(200)), Arc::new(config)).await;
    (receiver, issuer.pem().into_bytes())
}

#[tokio::test]
async fn a_receiver_proves_its_name() {
    for (name, state, error) in [
        ("hook.example", DeliveryState::Delivered, None),
        ("other.example", DeliveryState::Pending, Some("TLS could not be agreed")),
    ] {
        let (receiver, ca_pem) = receiver().await;
        let mut scene = Scene::new().await;
        (scene.ca_pem, scene.rules.allow_http) = (Some(ca_pem), false);
        scene.names.tell(name, &[&["127.0.0.1"]]);

        let delivery = scene.attempt(&format!("https://{name}:{}/", receiver.addr().port())).await;

        assert_eq!(delivery.state, state, "{delivery:?}");
        let told = delivery.last_error.unwrap_or_default();
        assert!(
            told.starts_with(error.unwrap_or_default()) && (error.is_some() || told.is_empty()),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_certificate_of_an_authority_that_is_not_trusted_is_refused() {
    let (receiver, _) = receiver().await;
    let scene = Scene::new().await;
    scene.names.tell("hook.example", &[&["127.0.0.1"]]);

    let delivery = scene.attempt(&format!("https://hook.example:{}/", receiver.addr().port())).await;

    assert_eq!(delivery.state, DeliveryState::Pending);
    assert!(delivery.last_error.unwrap().contains("UnknownIssuer"));
    assert!(receiver.requests().is_empty());
}
