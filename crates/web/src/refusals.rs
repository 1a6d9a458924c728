//! The statuses that refuse a request, told in the OpenAPI document by what an operation takes, so that no handler repeats
//! them. A test holds them against every golden answer.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{access::is_open, idempotency::KEY_HEADER, throttle::is_probe};

/// Every status of a refusal, with when it is answered.
const REFUSALS: [(u16, &str); 13] = [
    (400, "A part of the request is not of its form; the message names it"),
    (401, "A token or a signature is missing, or the token is unknown, expired or revoked"),
    (403, "The token allows less, or the key is not trusted, or not the one that may do this"),
    (404, "There is none of this id"),
    (406, "The header `accept` excludes the answer's type"),
    (408, "The body dripped, or the answer did not begin in time"),
    (409, "Something stands in the way; the code says what"),
    (413, "The body is too long; the message names the limit"),
    (415, "The body is not JSON, or it is compressed"),
    (422, "The request is good, and cannot be done here as it is"),
    (429, "Too much of this address or this key for now"),
    (500, "The server failed; its log has the request's id"),
    (503, "The database cannot be reached, or lacks this version's schema"),
];

/// Puts the refusals into a whole document.
pub(crate) fn tell(document: &mut Value) {
    document["components"]["responses"] =
        REFUSALS.iter().map(|(status, when)| (name(*status), response(*status, when))).collect();
    for (path, operations) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            for status in statuses(path, method, operation) {
                let reference = format!("#/components/responses/{}", name(status));
                operation["responses"][status.to_string()] = json!({ "$ref": reference });
            }
            operation["responses"]["default"] = error("An error, in the one envelope");
        }
    }
}

/// The statuses that may refuse this operation.
fn statuses(path: &str, method: &str, operation: &Value) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::from([408, 500, 503]);
    let parameters = operation["parameters"].as_array();
    let takes = |place: &str| parameters.into_iter().flatten().any(|parameter| parameter["in"] == place);
    let may = |scheme: &str| {
        let ways = operation["security"].as_array();
        ways.into_iter().flatten().any(|way| way.get(scheme).is_some())
    };
    if !is_probe(path) {
        statuses.insert(429);
    }
    if method == "get" {
        statuses.insert(406);
        statuses.extend((!is_open(path)).then_some(401));
    }
    if takes("query") {
        statuses.insert(400);
    }
    if takes("path") {
        statuses.insert(404);
    }
    if may("token") {
        statuses.extend([401, 403]);
    }
    if operation["requestBody"].is_object() {
        // What was signed may be wrong in all these ways.
        statuses.extend([400, 403, 413, 415, 422]);
    }
    if may("signature") {
        statuses.extend([400, 409, 413, 415, 422]);
    }
    if parameters.into_iter().flatten().any(|parameter| parameter["name"] == KEY_HEADER) {
        statuses.extend([400, 409, 422]);
    }
    statuses
}

fn name(status: u16) -> String {
    format!("Refused{status}")
}

fn response(status: u16, when: &str) -> Value {
    let mut response = error(when);
    let wait = json!({ "description": "In how many seconds to come again, where it is known", "schema": { "type": "integer" } });
    match status {
        409 | 429 => response["headers"] = json!({ "retry-after": wait }),
        401 => {
            let scheme = json!({ "description": "`Bearer`, where a token is asked for", "schema": { "type": "string" } });
            response["headers"] = json!({ "www-authenticate": scheme });
        }
        _ => {}
    }
    response
}

fn error(when: &str) -> Value {
    json!({
        "description": when,
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}
