//! The migrations, embedded in the program.

use sha2::{Digest as _, Sha256};

/// One step of the schema, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// From 1, without gaps.
    pub version: u32,
    /// Programs that know this version, or a later one, can run on the schema that it leaves. The one before, for
    /// whatever only adds (`migrations/README.md`); its own, for what takes something away.
    pub serves_from: u32,
    /// What it is about.
    pub name: &'static str,
    /// A table or an index that it makes, if it makes one: where that is without the step's line, the line was lost.
    pub makes: Option<&'static str>,
    /// The way forward.
    pub up: &'static str,
    /// The way back.
    pub down: &'static str,
}

/// All migrations, in order. A new one is added at the end; those that are there never change.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        serves_from: 1,
        name: "init",
        makes: Some("beacon.jobs"),
        up: include_str!("../../../../migrations/postgres/0001_init.up.sql"),
        down: include_str!("../../../../migrations/postgres/0001_init.down.sql"),
    },
    Migration {
        version: 2,
        serves_from: 1,
        name: "steering",
        makes: Some("beacon.workers"),
        up: include_str!("../../../../migrations/postgres/0002_steering.up.sql"),
        down: include_str!("../../../../migrations/postgres/0002_steering.down.sql"),
    },
    Migration {
        version: 3,
        serves_from: 2,
        name: "lists_and_room",
        makes: Some("beacon.jobs_by_key"),
        up: include_str!("../../../../migrations/postgres/0003_lists_and_room.up.sql"),
        down: include_str!("../../../../migrations/postgres/0003_lists_and_room.down.sql"),
    },
    Migration {
        version: 4,
        serves_from: 3,
        name: "abandoned_calls",
        makes: Some("beacon.abandoned"),
        up: include_str!("../../../../migrations/postgres/0004_abandoned_calls.up.sql"),
        down: include_str!("../../../../migrations/postgres/0004_abandoned_calls.down.sql"),
    },
];

/// The first line of a migration that cannot run in a transaction.
const OUTSIDE: &str = "-- outside a transaction";

impl Migration {
    /// The SHA-256 of both ways.
    #[must_use]
    pub fn checksum(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.up);
        hash.update([0]);
        hash.update(self.down);
        hash.finalize().into()
    }

    /// How its line in `beacon.migrations` is put back, in words.
    pub(crate) fn put_back(&self) -> String {
        let Self { version, name, serves_from, .. } = self;
        let checksum = beacon_spec::Sha256Digest::from_bytes(self.checksum());
        format!(
            "put it back with INSERT INTO beacon.migrations (version, name, checksum, dirty, serves_from) \
             VALUES ({version}, '{name}', '\\x{checksum}', false, {serves_from})"
        )
    }

    /// Whether this way runs in a transaction.
    pub(crate) fn in_transaction(sql: &str) -> bool {
        !sql.starts_with(OUTSIDE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_from_one_without_gaps() {
        let versions: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.version).collect();

        assert_eq!(versions, (1..).take(MIGRATIONS.len()).collect::<Vec<u32>>());
    }

    #[test]
    fn what_a_migration_takes_away_the_version_before_did_not_use() {
        let neighbours = MIGRATIONS
            .iter()
            .all(|step| step.serves_from + 1 >= step.version && step.serves_from <= step.version);

        assert!(neighbours, "programs of neighbouring versions run on one schema");
    }

    #[test]
    fn what_a_migration_is_known_by_is_what_it_makes() {
        for migration in MIGRATIONS {
            let name = migration.makes.map(|name| name.trim_start_matches("beacon."));
            let made = |name| {
                ["TABLE beacon.", "INDEX "]
                    .iter()
                    .any(|kind| migration.up.contains(&format!("{kind}{name} ")))
            };

            assert!(name.is_none_or(made), "{migration:?}");
        }
    }

    #[test]
    fn a_checksum_is_of_both_ways() {
        let one = Migration { version: 1, serves_from: 1, name: "x", makes: None, up: "ab", down: "c" };
        let other = Migration { up: "a", down: "bc", ..one };

        assert_ne!(one.checksum(), other.checksum());
    }
}
