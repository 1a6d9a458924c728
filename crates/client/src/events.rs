//! Reading server-sent events, as the HTML standard defines them (section 9.2.6, "Interpreting an event stream").

/// The longest event: a job's state with twenty batches and its close is far below.
const LONGEST: usize = 4 << 20;

/// One event that carries something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The id to come back with; empty if none was ever sent.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
}

/// A stream sends more than an event can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of its stream is longer than {LONGEST} bytes")]
pub(crate) struct TooLong;

/// Takes the stream's bytes as they come, and gives its events.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    /// The beginning of a line.
    line: Vec<u8>,
    /// Whether the last byte was a CR, which a LF may follow.
    after_cr: bool,
    id: String,
    name: String,
    data: Vec<u8>,
    has_data: bool,
}

impl EventReader {
    /// Takes bytes; gives the events that end with them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let ends_pair = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
            match byte {
                _ if ends_pair => {}
                b'\r' | b'\n' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > LONGEST {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"id" if !value.contains(&0) => self.id = String::from_utf8_lossy(value).into_owned(),
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            // Comments, `retry`, and what is not known.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        std::mem::take(&mut self.has_data).then(|| Event { id: self.id.clone(), name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, EventReader, LONGEST, TooLong};

    fn event(id: &str, name: &str, data: &str) -> Event {
        Event { id: id.into(), name: name.into(), data: data.into() }
    }

    fn check(stream: &str, expected: &[Event]) {
        assert_eq!(EventReader::default().push(stream.as_bytes()).unwrap(), expected, "{stream:?}");
        // However the network cuts it.
        let mut reader = EventReader::default();
        let bytes = stream.as_bytes().iter();
        let one_by_one: Vec<Event> = bytes.flat_map(|byte| reader.push(&[*byte]).unwrap()).collect();
        assert_eq!(one_by_one, expected, "{stream:?}");
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        check("retry: 2000\n\n: alive\n\n", &[]);
        check("id: 1\nevent: snapshot\ndata: {}\n\n", &[event("1", "snapshot", "{}")]);
        check("data: a\n\ndata: b\n", &[event("", "", "a")]);
        check("id: 7\ndata: a\n\ndata: b\n\n", &[event("7", "", "a"), event("7", "", "b")]);
        check("data:a\ndata: b\n\n", &[event("", "", "a\nb")]);
        check("event: x\r\ndata: a\r\n\r\n", &[event("", "x", "a")]);
        check("event: x\rdata: a\r\r", &[event("", "x", "a")]);
        check("event: gone\n\ndata: a\n\n", &[event("", "", "a")]);
        check("data\n\n", &[event("", "", "")]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = EventReader::default();
        let line = vec![b'x'; LONGEST / 2];

        assert_eq!(reader.push(b"data: "), Ok(Vec::new()));
        assert_eq!(reader.push(&line), Ok(Vec::new()));
        assert_eq!(reader.push(&line), Err(TooLong));
    }
}
