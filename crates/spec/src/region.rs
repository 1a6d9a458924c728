//! Regions: one closed set; other spellings are resolved here and nowhere else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a model is served. Text form: the canonical name, such as `us-east`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// `us-east`; also `US`, `USA`, `NA`, `US-EAST`.
    UsEast,
    /// `eu-west`; also `EU`, `EUROPE`, `EU-WEST`.
    EuWest,
    /// `asia-pacific`; also `ASIA`, `APAC`, `ASIA-PACIFIC`, `ASIA-SOUTHEAST`.
    AsiaPacific,
}

/// A region that is not in the set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown region {0:?}; known are us-east (US), eu-west (EU), asia-pacific (ASIA, APAC)")]
pub struct UnknownRegion(pub String);

impl Region {
    /// Every region, in display order.
    pub const ALL: [Self; 3] = [Self::UsEast, Self::EuWest, Self::AsiaPacific];

    /// The canonical name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UsEast => "us-east",
            Self::EuWest => "eu-west",
            Self::AsiaPacific => "asia-pacific",
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    /// Resolves a canonical name or an alias, in any case, `_` as `-`.
    fn from_str(text: &str) -> Result<Self, UnknownRegion> {
        match text.to_ascii_lowercase().replace('_', "-").as_str() {
            "us-east" | "us" | "usa" | "na" => Ok(Self::UsEast),
            "eu-west" | "eu" | "europe" => Ok(Self::EuWest),
            "asia-pacific" | "asia" | "apac" | "asia-southeast" => Ok(Self::AsiaPacific),
            _ => Err(UnknownRegion(text.to_owned())),
        }
    }
}
