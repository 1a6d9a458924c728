//! Gates: open, shut, or shut as soon as a connection has shown some texts in its requests.

/// What holds bytes back.
#[derive(Debug, Default)]
pub(super) enum Gate {
    #[default]
    Open,
    /// Shut once a connection has shown these, in this order.
    Armed(Vec<Vec<u8>>),
    Shut,
}

/// How far a connection is in the texts of an armed gate.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: usize,
    /// What may be the beginning of the next text.
    rest: Vec<u8>,
}

impl Gate {
    pub(super) fn armed(texts: &[&str]) -> Self {
        Self::Armed(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
    }

    /// Looks at what a connection requests.
    pub(super) fn look(&mut self, watch: &mut Watch, bytes: &[u8]) {
        let Self::Armed(texts) = self else { return };
        watch.rest.extend_from_slice(bytes);
        while let Some(text) = texts.get(watch.seen) {
            let Some(at) = watch.rest.windows(text.len()).position(|window| window == text) else {
                let useless = watch.rest.len().saturating_sub(text.len().saturating_sub(1));
                watch.rest.drain(..useless);
                return;
            };
            watch.rest.drain(..at + text.len());
            watch.seen += 1;
        }
        *self = Self::Shut;
    }
}
