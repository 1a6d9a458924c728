//! Databases of the private cluster, each with the schema in it.

use beacon_store::{PostgresOptions, migrate::Migrator};
use beacon_testkit::Cluster;
use tokio::sync::OnceCell;

const TEMPLATE: &str = "beacon_template";

/// A database of its own, with the schema; how to reach it.
pub(crate) async fn options() -> PostgresOptions {
    let mut options = PostgresOptions::new(Cluster::shared().url(&fresh().await));
    options.connections = 4;
    options
}

/// The same through a connection pooler, with a direct way beside it.
pub(crate) async fn pooled() -> PostgresOptions {
    let database = fresh().await;
    let mut options = PostgresOptions::new(Cluster::shared().pooled_url(&database));
    options.direct_url = Some(Cluster::shared().url(&database));
    options.connections = 4;
    options
}

async fn fresh() -> String {
    static READY: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared();
    READY
        .get_or_init(|| async {
            cluster.create(TEMPLATE, None);
            let template = PostgresOptions::new(cluster.url(TEMPLATE));
            Migrator::connect(&template).await.unwrap().up().await.unwrap();
            // A template must have no sessions; the one above ends when its server process has seen that it is closed.
            while cluster
                .sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'beacon_template'")
                != "0"
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
    cluster.database(Some(TEMPLATE))
}
