//! A span that is open: what its fields say so far. Only fields that are named here leave the process.

use std::{fmt, time::SystemTime};

use beacon_domain::{JobId, SpanId, TraceParent};
use opentelemetry::{
    KeyValue, StringValue, Value,
    trace::{SpanKind, Status},
};
use tracing::field::{Field, Visit};

/// Fields that are exported, and the names under which they are.
const ATTRIBUTES: [(&str, &str); 14] = [
    ("job", "beacon.job"),
    ("execution", "beacon.execution"),
    ("question", "beacon.question"),
    ("model", "beacon.model"),
    ("region", "beacon.region"),
    ("endpoint", "beacon.endpoint"),
    ("attempt", "beacon.attempt"),
    ("resumed", "beacon.resumed"),
    ("outcome", "beacon.outcome"),
    ("error_code", "error.type"),
    ("request_id", "beacon.request_id"),
    ("method", "http.request.method"),
    ("route", "http.route"),
    ("status", "http.response.status_code"),
];
/// The longest text of an attribute, in characters.
const LONGEST: usize = 256;
const SERVER_FAILED: u64 = 500;

/// A span between its beginning and its end.
pub(super) struct Open {
    pub(super) begun: SystemTime,
    /// Its own id, unless its fields give it one.
    pub(super) id: [u8; 8],
    /// The trace that it begins if it belongs to no job.
    pub(super) trace: [u8; 16],
    pub(super) job: Option<JobId>,
    /// The span above it, if that is not the one around it here.
    pub(super) parent: Option<SpanId>,
    /// Where its caller stands in a trace of its own.
    pub(super) caller: Option<TraceParent>,
    pub(super) kind: SpanKind,
    pub(super) status: Status,
    pub(super) attributes: Vec<KeyValue>,
}

impl Open {
    pub(super) const fn new(begun: SystemTime, id: [u8; 8], trace: [u8; 16]) -> Self {
        Self {
            begun,
            id,
            trace,
            job: None,
            parent: None,
            caller: None,
            kind: SpanKind::Internal,
            status: Status::Unset,
            attributes: Vec::new(),
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        match name {
            "span_id" => self.id = text.parse().map_or(self.id, |id: SpanId| id.as_bytes()),
            "parent_id" => self.parent = text.parse().ok(),
            "caller" => self.caller = text.parse().ok(),
            "kind" => self.kind = if text == "server" { SpanKind::Server } else { SpanKind::Client },
            _ => {}
        }
        if name == "job" {
            self.job = text.parse().ok();
        }
        if name == "error_code" {
            self.status = Status::error("");
        }
        let text: String = text.chars().take(LONGEST).collect();
        self.attribute(name, StringValue::from(text));
    }

    /// A value that is told again replaces the one of before.
    fn attribute(&mut self, name: &str, value: impl Into<Value>) {
        let Some((_, key)) = ATTRIBUTES.iter().find(|(field, _)| *field == name) else { return };
        let attribute = KeyValue::new(*key, value);
        match self.attributes.iter_mut().find(|known| known.key == attribute.key) {
            Some(known) => *known = attribute,
            None => self.attributes.push(attribute),
        }
    }
}

impl Visit for Open {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attribute(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attribute(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" && value >= SERVER_FAILED {
            self.status = Status::error("");
        }
        self.attribute(field.name(), i64::try_from(value).unwrap_or(i64::MAX));
    }
}
