//! Signed requests: a key's word for one HTTP request, in a narrow profile of RFC 9421 (HTTP Message Signatures).
//!
//! Signed are method, host, path, query and body, with a time and a nonce. One list of components, in one order, and one
//! algorithm are taken; so there is nothing to negotiate, and nothing that a signer could leave out.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    Freshness, KeySource, Sha256Digest, SigningKey, Timestamp, TrustedKey, VerifyError,
    public_key::{PublicKey, decode_signature},
    verify::{fresh_at, may_sign},
};

/// The components that are signed, as they stand in the header.
const COMPONENTS: &str = r#"("@method" "@authority" "@path" "@query" "content-digest")"#;
/// The one label of a signature.
const LABEL: &str = "beacon=";
const INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";
/// The longest nonce, in characters.
const MAX_NONCE: usize = 255;

/// What of a request is signed.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// In capitals, such as `POST`.
    pub method: &'a str,
    /// The host, with its port unless that is the scheme's own, in lower case.
    pub authority: &'a str,
    /// The path, escaped as it is sent.
    pub path: &'a str,
    /// What follows the question mark; empty if there is none.
    pub query: &'a str,
    /// SHA-256 of the body.
    pub body: Sha256Digest,
}

/// The headers of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeaders {
    /// `content-digest`.
    pub content_digest: String,
    /// `signature-input`.
    pub input: String,
    /// `signature`.
    pub signature: String,
}

/// A signature as its headers have it. Nothing may be done on this alone.
#[derive(Debug, Clone)]
pub struct RequestSignature {
    key: PublicKey,
    created: Timestamp,
    nonce: String,
    /// The components and parameters, as they arrived.
    parameters: String,
    signature: [u8; 64],
}

/// Signs a request.
///
/// # Errors
/// The nonce has characters that a header cannot hold, or too many.
pub fn sign_request(
    key: &SigningKey,
    parts: &RequestParts<'_>,
    created: Timestamp,
    nonce: &str,
) -> Result<RequestHeaders, VerifyError> {
    if !is_nonce(nonce) {
        return Err(no_nonce());
    }
    let (created, keyid) = (created.as_second(), key.public_key_base64());
    let parameters =
        format!(r#"{COMPONENTS};created={created};nonce="{nonce}";keyid="{keyid}";alg="ed25519""#);
    let signature = key.sign_base64(base(parts, &parameters).as_bytes());
    Ok(RequestHeaders {
        content_digest: content_digest(&parts.body),
        input: format!("{LABEL}{parameters}"),
        signature: format!("{LABEL}:{signature}:"),
    })
}

impl RequestSignature {
    /// Reads the headers `signature-input` and `signature`.
    ///
    /// # Errors
    /// They are not of the one form that is taken; the text says where.
    pub fn parse(input: &str, signature: &str) -> Result<Self, VerifyError> {
        let wrong = |reason: &str| VerifyError::field(INPUT, reason);
        let parameters = input.trim().strip_prefix(LABEL).ok_or_else(|| wrong("must begin with beacon="))?;
        let mut rest = parameters
            .strip_prefix(COMPONENTS)
            .ok_or_else(|| wrong(&format!("must list the components {COMPONENTS}")))?;
        let mut found: [Option<&str>; 4] = [None; 4];
        while !rest.is_empty() {
            let (name, value, after) = parameter(rest).ok_or_else(|| wrong("has a malformed parameter"))?;
            let place = ["created", "nonce", "keyid", "alg"].iter().position(|known| *known == name);
            let place =
                place.ok_or_else(|| wrong("has a parameter other than created, nonce, keyid, alg"))?;
            if found[place].replace(value).is_some() {
                return Err(wrong("has a parameter twice"));
            }
            rest = after;
        }
        let [Some(created), Some(nonce), Some(keyid), alg] = found else {
            return Err(wrong("needs the parameters created, nonce and keyid"));
        };
        if alg.is_some_and(|alg| alg != "\"ed25519\"") {
            return Err(wrong("has another alg than \"ed25519\""));
        }
        let created = created.parse::<i64>().ok().and_then(|second| Timestamp::from_second(second).ok());
        let nonce = quoted_text(nonce).filter(|nonce| is_nonce(nonce)).ok_or_else(no_nonce)?;
        let keyid = quoted_text(keyid).ok_or_else(|| wrong("needs keyid in quotes"))?;
        let bytes =
            signature.trim().strip_prefix(LABEL).and_then(|text| text.strip_prefix(':')?.strip_suffix(':'));
        let bytes = bytes.ok_or_else(|| VerifyError::field(SIGNATURE, "must be beacon=:BASE64:"))?;
        Ok(Self {
            key: PublicKey::from_base64(keyid)
                .map_err(|reason| wrong(&format!("names a key that {reason}")))?,
            created: created.ok_or_else(|| wrong("needs created in whole seconds since 1970"))?,
            nonce: nonce.to_owned(),
            parameters: parameters.to_owned(),
            signature: decode_signature(bytes).map_err(|reason| VerifyError::field(SIGNATURE, reason))?,
        })
    }

    /// The key that signed this request, if it is trusted now, the signature holds, and its time is within the window.
    /// That the nonce is new is for the caller to see to.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(
        &self,
        parts: &RequestParts<'_>,
        keys: &dyn KeySource,
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<TrustedKey, VerifyError> {
        let key = may_sign(keys.key(self.key.bytes()), now)?;
        if !self.key.signed(base(parts, &self.parameters).as_bytes(), &self.signature) {
            return Err(VerifyError::SignatureMismatch);
        }
        fresh_at(self.created, now, freshness)?;
        Ok(key)
    }

    /// The nonce, which a key uses once.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }
}

/// The header `content-digest` of a body (RFC 9530).
fn content_digest(body: &Sha256Digest) -> String {
    format!("sha-256=:{}:", STANDARD.encode(body.as_bytes()))
}

/// The signature base (RFC 9421, 2.5). No part can hold a line break: HTTP allows none there.
fn base(parts: &RequestParts<'_>, parameters: &str) -> String {
    let RequestParts { method, authority, path, query, body } = parts;
    let digest = content_digest(body);
    format!(
        "\"@method\": {method}\n\"@authority\": {authority}\n\"@path\": {path}\n\"@query\": ?{query}\n\
         \"content-digest\": {digest}\n\"@signature-params\": {parameters}"
    )
}

/// `;name=value` at the begin of a text: name, value as written, and what follows.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.strip_prefix(';')?.split_once('=')?;
    let end = match rest.strip_prefix('"') {
        Some(quoted) => quoted.find('"')? + 2,
        None => rest.find(';').unwrap_or(rest.len()),
    };
    let (value, after) = rest.split_at(end);
    Some((name, value, after))
}

fn quoted_text(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// Printable ASCII without what a quoted text would have to escape.
fn is_nonce(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=MAX_NONCE).contains(&text.len()) && text.bytes().all(plain)
}

fn no_nonce() -> VerifyError {
    VerifyError::field(INPUT, format!("needs a nonce of 1 to {MAX_NONCE} printable characters in quotes"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{KeyRing, Trust};

    const AT: i64 = 1_800_000_000;

    fn parts(path: &'static str) -> RequestParts<'static> {
        let body = Sha256Digest::of(b"");
        RequestParts { method: "POST", authority: "beacon.example", path, query: "", body }
    }

    fn ring(seed: u8) -> KeyRing {
        let key = SigningKey::from_seed([seed; 32]).public_key_base64();
        KeyRing::parse(format!(r#"[{{"kid":"a","public_key":"{key}"}}]"#).as_bytes()).unwrap()
    }

    fn judged(
        change: impl Fn(&str) -> String,
        path: &'static str,
        seed: u8,
        at: i64,
    ) -> Result<(), VerifyError> {
        let signed = Timestamp::from_second(AT).unwrap();
        let headers = sign_request(&SigningKey::from_seed([1; 32]), &parts("/a"), signed, "n-1").unwrap();
        let window =
            Freshness::Window { max_age: Duration::from_secs(600), max_skew: Duration::from_secs(300) };
        let signature = RequestSignature::parse(&change(&headers.input), &headers.signature)?;
        let now = Timestamp::from_second(at).unwrap();
        signature.verify(&parts(path), &ring(seed), now, window).map(|_| ())
    }

    #[test]
    fn a_signature_holds_for_its_own_request_key_and_time_only() {
        let same = |input: &str| input.to_owned();

        assert_eq!(judged(same, "/a", 1, AT), Ok(()));
        assert_eq!(judged(same, "/b", 1, AT), Err(VerifyError::SignatureMismatch));
        assert_eq!(judged(same, "/a", 2, AT), Err(VerifyError::Trust(Trust::Unknown)));
        assert_eq!(judged(same, "/a", 1, AT + 601), Err(VerifyError::TooOld));
        assert_eq!(judged(same, "/a", 1, AT - 301), Err(VerifyError::FromTheFuture));
        let other_nonce = judged(|input| input.replace("n-1", "n-2"), "/a", 1, AT);
        assert_eq!(other_nonce, Err(VerifyError::SignatureMismatch));
    }

    #[test]
    fn only_the_one_form_is_taken() {
        for (from, to) in [
            ("beacon=", "sig1="),
            (" \"@query\"", ""),
            (";created", ";created=1;created"),
            (";alg=\"ed25519\"", ";alg=\"hmac-sha256\""),
            (";alg=\"ed25519\"", ";tag=\"x\""),
            (";nonce=\"n-1\"", ""),
            ("n-1", ""),
            (";nonce=\"n-1\"", ";nonce=\"n-1"),
            ("created=1800000000", "created=soon"),
            ("keyid=\"", "keyid=\"A"),
        ] {
            let judged = judged(|input| input.replacen(from, to, 1), "/a", 1, AT);
            assert!(matches!(judged, Err(VerifyError::InvalidField { .. })), "{from} to {to}: {judged:?}");
        }
    }

    // The text that another program must sign, byte for byte.
    #[test]
    fn the_signature_base_is_as_the_docs_say() {
        let expected = "\"@method\": POST\n\"@authority\": beacon.example\n\"@path\": /a\n\"@query\": ?\n\
            \"content-digest\": sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:\n\"@signature-params\": ()";

        assert_eq!(base(&parts("/a"), "()"), expected);
    }
}
