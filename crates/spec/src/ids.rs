//! The typed names that a spec uses: job, key, question and model.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must have 1 to {max} characters without control characters, this one has {length}")]
pub struct IdError {
    what: &'static str,
    max: usize,
    length: usize,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest text allowed, in characters.
            pub const MAX_CHARS: usize = $max;

            /// Checks the text and makes the name.
            ///
            /// # Errors
            /// The text is empty, too long or holds control characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                let length = text.chars().count();
                if length == 0 || length > $max || text.chars().any(char::is_control) {
                    return Err(IdError { what: $what, max: $max, length });
                }
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.to_string()
            }
        }
    };
}

text_id!(
    /// The id that a signer gave to a job. Unique only within one key.
    JobName, "a job id", 255
);
text_id!(
    /// The label of a signing key in a key ring (`kid`).
    KeyId, "a key id", 255
);
text_id!(
    /// A question of a job: an id of the catalogue, or one derived from free text.
    QuestionId, "a question id", 128
);
text_id!(
    /// The short name of a model, such as `llama3.2-1b`.
    ModelId, "a model id", 128
);
