//! Which database the command line means: a file, or PostgreSQL.

use std::path::PathBuf;

use beacon_boot::{Access, DatabaseConfig, DatabaseUrl, Place, Runtime};

use crate::args::Database;

const FILE: &str = "beacon.db";
/// The same variable that the services read.
const VARIABLE: &str = "BEACON__DATABASE__URL";

/// The place that is meant.
pub(crate) fn place(database: &Database) -> Place {
    let variable = || std::env::var(VARIABLE).ok().filter(|url| database.db.is_none() && !url.is_empty());
    match database.database_url.clone().or_else(variable) {
        Some(url) => {
            let url = Some(DatabaseUrl::new(url));
            Place::Server(Box::new(DatabaseConfig { url, ..DatabaseConfig::default() }))
        }
        None => Place::File(database.db.clone().unwrap_or_else(|| FILE.into())),
    }
}

/// Opens it.
pub(crate) async fn open(database: &Database, access: Access) -> anyhow::Result<Runtime> {
    Runtime::open(&place(database), access).await
}

/// The file of the key that signs its receipts.
pub(crate) fn runner_key(database: &Database) -> PathBuf {
    database.runner_key.clone().unwrap_or_else(|| match place(database) {
        Place::File(file) => file.canonicalize().unwrap_or(file).with_extension("runner-key"),
        Place::Server(_) => "beacon.runner-key".into(),
    })
}
