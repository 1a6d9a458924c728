//! Submissions that must be refused, made from a valid one: the same seed makes the same ones.

use beacon_spec::Profile;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

/// How a valid submission is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spoilt {
    /// Bits of some bytes.
    Flipped,
    /// The end is missing.
    Cut,
    /// Bytes are put in, taken out, or sent twice.
    Shuffled,
    /// An object has a name twice.
    NamedTwice,
    /// Arrays or objects in each other, up to 100,000 deep.
    Nested,
    /// Numbers that are none, too large, or not what they seem.
    Numbered,
    /// Text that is no text, or looks like another.
    Misspelt,
    /// A member has another value.
    Replaced,
    /// A member is missing.
    Removed,
    /// The body is whole, and the headers say that it is something else.
    Mislabelled,
    /// The wrapper says something else than the job that it holds.
    Contradicted,
    /// The query says what cannot be.
    Asked,
}

/// A submission that must be refused.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// How it was spoilt.
    pub how: Spoilt,
    /// Path and query.
    pub path: String,
    /// Besides `host` and `content-length`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Makes one after the other.
#[derive(Debug)]
pub struct Mangler {
    random: StdRng,
    valid: Vec<u8>,
    made: usize,
}

impl Spoilt {
    /// Every way.
    pub const ALL: [Self; 12] = [
        Self::Flipped,
        Self::Cut,
        Self::Shuffled,
        Self::NamedTwice,
        Self::Nested,
        Self::Numbered,
        Self::Misspelt,
        Self::Replaced,
        Self::Removed,
        Self::Mislabelled,
        Self::Contradicted,
        Self::Asked,
    ];
}

impl Mangler {
    /// Spoils this signed job, whose bytes are the text of a JSON object.
    #[must_use]
    pub fn new(valid: &[u8], seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), valid: valid.to_vec(), made: 0 }
    }

    /// The next one; each way in turn.
    ///
    /// # Panics
    /// If the job was none.
    pub fn spoil(&mut self) -> Hostile {
        let how = Spoilt::ALL[self.made % Spoilt::ALL.len()];
        self.made += 1;
        let (bare, wrapped) = ("/api/v1/jobs", "/api/v1/jobs/cross-region");
        let path = if self.random.random() { bare } else { wrapped };
        let json = vec![("content-type", "application/json".to_owned())];
        let plain = Hostile { how, path: path.to_owned(), headers: json, body: self.valid.clone() };
        match how {
            Spoilt::Mislabelled => Hostile { headers: self.labels(), ..plain },
            Spoilt::Contradicted => Hostile { path: wrapped.to_owned(), body: self.wrapper(), ..plain },
            Spoilt::Asked => Hostile { path: format!("{path}?{}", self.query()), ..plain },
            _ => Hostile { body: self.other_body(how), ..plain },
        }
    }

    /// A body that differs from the valid one by more than its spelling.
    fn other_body(&mut self, how: Spoilt) -> Vec<u8> {
        let valid = meaning(&self.valid);
        loop {
            let body = self.body(how);
            if meaning(&body) != valid {
                return body;
            }
        }
    }

    fn body(&mut self, how: Spoilt) -> Vec<u8> {
        let bytes = self.valid.clone();
        match how {
            Spoilt::Flipped => self.flipped(bytes),
            Spoilt::Cut => bytes[..self.random.random_range(0..bytes.len())].to_vec(),
            Spoilt::Shuffled => self.shuffled(bytes),
            Spoilt::NamedTwice => {
                let name = self.pick(&["id", "questions", "signature", "public_key", "metadata"]);
                put_in(bytes, &format!("\"{name}\":{},", self.scalar()))
            }
            Spoilt::Nested => self.nested(bytes),
            Spoilt::Numbered => {
                let name = self.pick(&["runs", "version", "timeout", "weight", "n"]);
                put_in(bytes, &format!("\"{name}\":{},", self.number()))
            }
            Spoilt::Misspelt => self.misspelt(bytes),
            _ => self.with_another_member(how == Spoilt::Removed),
        }
    }

    fn flipped(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.random.random_range(1..5) {
            let at = self.random.random_range(0..bytes.len());
            bytes[at] ^= 1 << self.random.random_range(0..8);
        }
        bytes
    }

    fn shuffled(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.random.random_range(1..4) {
            let at = self.random.random_range(0..bytes.len());
            let end = (at + self.random.random_range(1..20)).min(bytes.len());
            match self.random.random_range(0..4) {
                0 => bytes.drain(at..end).for_each(drop),
                1 => bytes.insert(at, self.random.random()),
                2 => bytes.splice(at..at, *b"\"},{[null,1e999").for_each(drop),
                _ => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part).for_each(drop);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }

    fn nested(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let depth = 10_usize.pow(self.random.random_range(2..6));
        let (open, close) = if self.random.random() { ("[", "]") } else { ("{\"a\":", "}") };
        let ends = if self.random.random() { depth } else { 0 };
        let nested = format!("{}0{}", open.repeat(depth), close.repeat(ends));
        if self.random.random() { nested.into_bytes() } else { put_in(bytes, &format!("\"deep\":{nested},")) }
    }

    fn number(&mut self) -> String {
        let zeros = "0".repeat(self.random.random_range(1..400));
        let digits = self.random.random::<u64>();
        let number =
            self.pick(&["1e999", "-0", "NaN", "0x10", "01", "1.", "+1", "9007199254740993", "1e-400"]);
        if self.random.random() { number.to_owned() } else { format!("-{digits}{zeros}") }
    }

    fn misspelt(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let odd: &[u8] = self.pick(&[
            b"\xc0\xaf",
            b"\xed\xa0\x80",
            b"\xff\xfe",
            b"\0",
            b"\xef\xbb\xbf",
            b"\\ud800",
            b"\\u0000",
            "\u{202e}".as_bytes(),
            "\u{ff11}".as_bytes(),
            "e\u{301}".as_bytes(),
            b"\\x41",
        ]);
        let at = self.random.random_range(0..bytes.len());
        bytes.splice(at..at, odd.iter().copied()).for_each(drop);
        bytes
    }

    /// The job with a member, wherever it stands, that is gone or has another value.
    fn with_another_member(&mut self, gone: bool) -> Vec<u8> {
        let mut job: Value = serde_json::from_slice(&self.valid).expect("a signed job is JSON");
        let mut place = &mut job;
        loop {
            let members = place.as_object_mut().expect("only objects are entered");
            let name = members.keys().nth(self.random.random_range(0..members.len()));
            let name = name.cloned().unwrap_or_default();
            let deeper = members[&name].as_object().is_some_and(|inner| !inner.is_empty());
            if deeper && self.random.random() {
                place = members.get_mut(&name).expect("it was there");
                continue;
            }
            if gone {
                members.remove(&name);
            } else {
                let value = serde_json::from_str(&self.scalar()).expect("a scalar is JSON");
                members.insert(name, value);
            }
            return job.to_string().into_bytes();
        }
    }

    fn scalar(&mut self) -> String {
        let n = self.random.random::<u32>();
        let values =
            [json!(n), json!(format!("{n}")), json!(null), json!([]), json!({}), json!(true), json!([[n]])];
        values[self.random.random_range(0..values.len())].to_string()
    }

    fn labels(&mut self) -> Vec<(&'static str, String)> {
        let json = ("content-type", "application/json".to_owned());
        let n = self.random.random::<u32>();
        match self.random.random_range(0..5) {
            0 => vec![("content-type", format!("text/x-{n}"))],
            1 => vec![("content-type", format!("multipart/form-data; boundary={n}"))],
            2 => vec![json, ("content-encoding", self.pick(&["gzip", "br", "deflate", "x"]).to_owned())],
            3 => vec![json, ("idempotency-key", "k".repeat(256 + n as usize % 1000))],
            _ => vec![json, ("idempotency-key", format!("two words {n}"))],
        }
    }

    fn wrapper(&mut self) -> Vec<u8> {
        let job: Value = serde_json::from_slice(&self.valid).expect("a signed job is JSON");
        let n = self.random.random_range(4..1_000_000_u32);
        let other = match self.random.random_range(0..6) {
            0 => json!({ "target_regions": ["ASIA"] }),
            1 => json!({ "target_regions": [format!("moon-{n}")] }),
            2 => json!({ "target_regions": n }),
            3 => json!({ "min_regions": n }),
            4 => json!({ "min_success_rate": 1.0 / f64::from(n) }),
            _ => json!({ "jobspec": n }),
        };
        let mut wrapper = json!({ "jobspec": job });
        let members = wrapper.as_object_mut().expect("it was made as an object");
        members.extend(other.as_object().cloned().unwrap_or_default());
        wrapper.to_string().into_bytes()
    }

    fn query(&mut self) -> String {
        let n = self.random.random::<u32>();
        match self.random.random_range(0..4) {
            0 => format!("accept_unsupported={n}"),
            1 => format!("a{n}=true"),
            2 => "accept_unsupported=true&accept_unsupported=false".to_owned(),
            _ => format!("accept_unsupported=%ff{n}"),
        }
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.random.random_range(0..of.len())]
    }
}

/// What is signed, and by whom; other spellings of the same are the same.
fn meaning(bytes: &[u8]) -> Option<(Vec<u8>, Value, Value)> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let signed = Profile::Jcs.signed_bytes(bytes).ok()?;
    Some((signed.to_vec(), value["signature"].clone(), value["public_key"].clone()))
}

/// The object with this before its first member.
fn put_in(mut bytes: Vec<u8>, member: &str) -> Vec<u8> {
    bytes.splice(1..1, member.bytes()).for_each(drop);
    bytes
}
