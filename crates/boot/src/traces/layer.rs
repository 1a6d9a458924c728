//! From the program's spans to those of OpenTelemetry. A span whose field `job` names a job is in the trace of that id,
//! in whatever process it is; the field is read until the span ends, because a submission does not know its job before.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use beacon_domain::{Clock, SPANS};
use opentelemetry::{
    InstrumentationScope,
    trace::{Link, SpanContext, SpanId, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator as _, RandomIdGenerator, SpanData, SpanEvents, SpanLinks,
    SpanProcessor as _,
};
use tracing::{
    Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    filter::{FilterFn, LevelFilter, filter_fn},
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::open::Open;

/// Hands ended spans to the exporter's queue, and never waits for it.
pub(crate) struct SpanLayer {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
    ids: RandomIdGenerator,
    share: Share,
    clock: Arc<dyn Clock>,
}

impl SpanLayer {
    pub(super) fn new(processor: Arc<BatchSpanProcessor>, ratio: f64, clock: Arc<dyn Clock>) -> Self {
        let scope = InstrumentationScope::builder("beacon").with_version(env!("CARGO_PKG_VERSION")).build();
        Self { processor, scope, ids: RandomIdGenerator::default(), share: Share::of(ratio), clock }
    }

    /// What it wants to see: nothing of the log's.
    pub(crate) fn filter() -> FilterFn {
        let wanted: fn(&Metadata<'_>) -> bool = |metadata| metadata.is_span() && metadata.target() == SPANS;
        filter_fn(wanted).with_max_level_hint(LevelFilter::DEBUG)
    }

    fn context(&self, trace: TraceId, span: SpanId) -> SpanContext {
        SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
    }

    fn ended(&self, open: Open, name: &'static str, place: Place) -> SpanData {
        let links = open.caller.map(|caller| {
            let (trace, span) = (caller.trace(), caller.span().as_bytes());
            Link::with_context(self.context(TraceId::from_bytes(trace), SpanId::from_bytes(span)))
        });
        let mut linked = SpanLinks::default();
        linked.links.extend(links);
        SpanData {
            span_context: self.context(place.trace, SpanId::from_bytes(open.id)),
            parent_span_id: place.parent,
            parent_span_is_remote: open.parent.is_some(),
            span_kind: open.kind.clone(),
            name: title(&open, name),
            start_time: open.begun,
            end_time: SystemTime::from(self.clock.now()),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: linked,
            status: open.status,
            instrumentation_scope: self.scope.clone(),
            attributes: open.attributes,
        }
    }
}

/// A part of all traces: those whose id's second half is below this. It is the same part in every process, because a job's
/// id is a digest.
#[derive(Clone, Copy)]
struct Share {
    below: u64,
}

impl Share {
    /// From 0, none, to 1, all.
    fn of(ratio: f64) -> Self {
        // The cast saturates.
        Self { below: (ratio * u64::MAX as f64) as u64 }
    }

    fn holds(self, trace: TraceId) -> bool {
        let half = (u128::from_be_bytes(trace.to_bytes()) & u128::from(u64::MAX)) as u64;
        self.below == u64::MAX || half < self.below
    }
}

/// Where a span stands.
struct Place {
    trace: TraceId,
    parent: SpanId,
}

impl Place {
    /// In the trace of the nearest job around it, else in the one that the outermost span began.
    fn of<'a, S: LookupSpan<'a>>(open: &Open, span: &SpanRef<'a, S>) -> Self {
        let mut place = Self {
            trace: TraceId::from_bytes(open.trace),
            parent: open.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.as_bytes())),
        };
        let mut job = open.job;
        for (at, above) in span.scope().skip(1).enumerate() {
            let extensions = above.extensions();
            let Some(above) = extensions.get::<Open>() else { break };
            if at == 0 && open.parent.is_none() {
                place.parent = SpanId::from_bytes(above.id);
            }
            job = job.or(above.job);
            place.trace = TraceId::from_bytes(above.trace);
        }
        if let Some(job) = job {
            place.trace = TraceId::from_bytes(*job.as_bytes());
        }
        place
    }
}

/// A request is called what was asked; others have their own names.
fn title(open: &Open, name: &'static str) -> Cow<'static, str> {
    let attribute = |key: &str| open.attributes.iter().find(|known| known.key.as_str() == key);
    match (attribute("http.request.method"), attribute("http.route")) {
        (Some(method), Some(route)) => format!("{} {}", method.value, route.value).into(),
        _ => name.into(),
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let (own, trace) = (self.ids.new_span_id().to_bytes(), self.ids.new_trace_id().to_bytes());
        let mut open = Open::new(SystemTime::from(self.clock.now()), own, trace);
        attributes.record(&mut open);
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(open);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let place = Place::of(&open, &span);
        if self.share.holds(place.trace) {
            self.processor.on_end(self.ended(open, span.name(), place));
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceId;

    use super::Share;

    fn check(ratio: f64, second_half: u64, held: bool) {
        let trace = TraceId::from_bytes((u128::from(second_half) | 1 << 127).to_be_bytes());

        assert_eq!(Share::of(ratio).holds(trace), held, "{ratio} {second_half:x}");
    }

    #[test]
    fn a_share_of_the_traces_is_chosen_by_their_ids() {
        check(0.0, 0, false);
        check(0.5, u64::MAX / 4, true);
        check(0.5, u64::MAX / 4 * 3, false);
        check(1.0, u64::MAX, true);
    }
}
