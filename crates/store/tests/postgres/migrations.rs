//! Migrations: there and back, two at once, and schemas that are refused (O1).

use beacon_domain::{Batching, Clock as _, WorkQueue as _};
use beacon_spec::Region;
use beacon_store::{
    PostgresOptions, PostgresStore,
    migrate::{MIGRATIONS, Migration, Migrator, State},
};
use beacon_testkit::Cluster;

/// One after all that there are.
const NEXT: Migration = Migration {
    version: MIGRATIONS.len() as u32 + 1,
    serves_from: MIGRATIONS.len() as u32,
    name: "next",
    makes: Some("beacon.next"),
    up: "CREATE TABLE beacon.next (id int)",
    down: "DROP TABLE beacon.next",
};

fn empty() -> (PostgresOptions, String) {
    let cluster = Cluster::shared();
    let name = cluster.database(None);
    (PostgresOptions::new(cluster.url(&name)), name)
}

async fn migrator(options: &PostgresOptions) -> Migrator {
    Migrator::connect(options).await.unwrap()
}

#[tokio::test]
async fn up_down_up_gives_the_same_schema() {
    let (options, name) = empty();
    let mut migrator = migrator(&options).await;
    let all = MIGRATIONS.len() as u32;

    assert_eq!(migrator.up().await.unwrap().len(), MIGRATIONS.len());
    let first = Cluster::shared().schema_of(&name);
    assert_eq!(migrator.down(all + 1).await.unwrap().len(), MIGRATIONS.len());
    let tables = Cluster::shared().sql(
        &name,
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'beacon'::regnamespace
        AND relname NOT LIKE 'migrations%'",
    );
    assert!(migrator.status().await.unwrap().iter().all(|step| step.state == State::Pending));
    migrator.up().await.unwrap();

    assert_eq!(tables, "0", "nothing is left behind");
    assert!(first.contains("CREATE TABLE beacon.executions"));
    assert_eq!(Cluster::shared().schema_of(&name), first);
    migrator.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_migrators_at_once_one_does_it() {
    let (options, _) = empty();
    let (mut one, mut other) = (migrator(&options).await, migrator(&options).await);

    let (one, other) = tokio::join!(one.up(), other.up());

    assert_eq!(one.unwrap().len() + other.unwrap().len(), MIGRATIONS.len());
}

/// Changes the table of migrations and gives the words with which a store and a migrator refuse.
async fn refused(change: &str) -> [String; 2] {
    let (options, name) = empty();
    let mut migrator = migrator(&options).await;
    migrator.up().await.unwrap();
    let _ = Cluster::shared().sql(&name, change);

    let store = PostgresStore::connect(options).await.unwrap_err();
    let up = migrator.up().await.unwrap_err();

    [store.to_string(), up.to_string()]
}

// O1
#[tokio::test]
async fn dirty_changed_newer_and_unknown_schemas_are_refused_with_what_to_do() {
    for (change, words) in [
        ("UPDATE beacon.migrations SET dirty = true", ["dirty", "delete its line"]),
        (
            "UPDATE beacon.migrations SET checksum = '\\x00'",
            ["other content", "use the program that applied it"],
        ),
        (
            "INSERT INTO beacon.migrations VALUES (99, 'later', '\\x00', false, 99)",
            ["0099_later is newer", "use a newer program"],
        ),
        (
            "INSERT INTO beacon.migrations VALUES (0, 'older', '\\x00', false, 0)",
            ["0000_older is unknown", "use the program"],
        ),
    ] {
        for text in refused(change).await {
            assert!(words.iter().all(|word| text.contains(word)), "{change}: {text}");
        }
    }
}

// O1: programs of neighbouring versions take turns on one schema; only the newer one may change it.
#[tokio::test]
async fn a_store_runs_on_a_newer_schema_that_serves_it_and_a_migrator_leaves_that_alone() {
    let (options, _) = empty();
    Migrator::with(&options, [MIGRATIONS, &[NEXT]].concat()).await.unwrap().up().await.unwrap();
    let mut ours = migrator(&options).await;

    PostgresStore::connect(options).await.unwrap();

    let states: Vec<State> = ours.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states.last(), Some(&State::Ahead));
    let newer = format!("{:04}_next is newer", NEXT.version);
    for refusal in [ours.up().await.unwrap_err(), ours.verify().await.unwrap_err()] {
        assert!(refusal.to_string().contains(&newer), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_connected_before_the_tables_were_made_anew_works_with_the_new_ones() {
    let (options, _) = empty();
    let (mut migrator, clock) = (migrator(&options).await, crate::workers::clock());
    migrator.up().await.unwrap();
    let store = PostgresStore::connect(options).await.unwrap();
    let asked = beacon_testkit::claim(&["us-east/m"], 1, clock.now());
    crate::workers::submit(&store, &clock, 1, 1, &["m"], Batching::Endpoint).await;
    assert_eq!(store.claim(asked.clone()).await.unwrap().leases.len(), 1);

    migrator.down(u32::MAX).await.unwrap();
    migrator.up().await.unwrap();
    let lost = store.claim(asked.clone()).await.unwrap_err();
    crate::workers::submit(&store, &clock, 1, 1, &["m"], Batching::Endpoint).await;

    assert!(lost.to_string().contains("made again"), "{lost}");
    assert_eq!(store.claim(asked).await.unwrap().leases.len(), 1);
}

#[tokio::test]
async fn a_store_refuses_a_schema_that_is_behind() {
    let (options, name) = empty();

    let missing = PostgresStore::connect(options.clone()).await.unwrap_err().to_string();

    assert!(
        missing.contains(&name) && missing.contains("0001_init is not applied; run `beacon-migrate up`"),
        "{missing}"
    );
}

// O1: the refusal says how to go on, and its words do what they say.
#[tokio::test]
async fn a_line_of_the_migrations_that_was_lost_is_put_back_as_the_refusal_says() {
    let (options, name) = empty();
    let mut migrator = migrator(&options).await;
    migrator.up().await.unwrap();
    let last = MIGRATIONS.len();
    let lost = format!("DELETE FROM beacon.migrations WHERE version = {last} RETURNING version");
    let _ = Cluster::shared().sql(&name, &lost);

    let error = migrator.up().await.unwrap_err().to_string();
    let (_, advice) = error.split_once("put it back with ").unwrap();
    let _ = Cluster::shared().sql(&name, advice);

    assert!(migrator.up().await.unwrap().is_empty());
    assert!(migrator.status().await.unwrap().iter().all(|step| step.state == State::Applied));
}

// O1: which step comes next, either way, is known by the lines, so nothing is done while one of them is missing.
#[tokio::test]
async fn nothing_is_taken_back_while_a_line_of_the_migrations_is_lost() {
    let (options, name) = empty();
    let mut migrator = migrator(&options).await;
    migrator.up().await.unwrap();
    let schema = Cluster::shared().schema_of(&name);

    for Migration { version, .. } in MIGRATIONS {
        let lost = format!("DELETE FROM beacon.migrations WHERE version = {version} RETURNING version");
        let _ = Cluster::shared().sql(&name, &lost);
        let [down, up] =
            [migrator.down(1).await, migrator.up().await].map(|done| done.unwrap_err().to_string());
        let (what, advice) = down.split_once("put it back with ").unwrap();
        assert!(what.contains(&format!("migration {version:04}_")), "{down}");
        assert_eq!(up, down);
        let _ = Cluster::shared().sql(&name, advice);
    }

    assert_eq!(Cluster::shared().schema_of(&name), schema);
    assert!(migrator.status().await.unwrap().iter().all(|step| step.state == State::Applied));
    assert_eq!(migrator.down(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let (options, name) = empty();
    let broken = Migration { up: "CREATE TABLE beacon.next (id int); SELECT 1 / 0", ..NEXT };
    let mut migrator = Migrator::with(&options, [MIGRATIONS, &[broken]].concat()).await.unwrap();

    let error = migrator.up().await.unwrap_err().to_string();

    assert!(
        error.contains(&format!("{:04}_next failed on its way up: division by zero", NEXT.version)),
        "{error}"
    );
    assert_eq!(Cluster::shared().sql(&name, "SELECT to_regclass('beacon.next') IS NULL"), "t");
    let states: Vec<State> = migrator.status().await.unwrap().into_iter().map(|step| step.state).collect();
    assert_eq!(states.last(), Some(&State::Pending));
}

#[tokio::test]
async fn a_migration_outside_a_transaction_that_fails_stays_dirty() {
    let (options, name) = empty();
    let index = Migration {
        up: "-- outside a transaction\nCREATE UNIQUE INDEX CONCURRENTLY next ON beacon.spend (micros)",
        down: "-- outside a transaction\nDROP INDEX CONCURRENTLY beacon.next",
        ..NEXT
    };
    let mut migrator = Migrator::with(&options, [MIGRATIONS, &[index]].concat()).await.unwrap();
    migrator.up().await.unwrap();
    migrator.down(1).await.unwrap();
    let _ = Cluster::shared().sql(&name, "INSERT INTO beacon.spend VALUES (1, 1), (2, 1)");

    let first = migrator.up().await.unwrap_err().to_string();
    let second = migrator.up().await.unwrap_err().to_string();

    assert!(first.contains(&format!("{:04}_next failed", NEXT.version)), "{first}");
    assert!(second.contains("dirty"), "{second}");
}

// The old names stay readable, and the view knows every region.
#[tokio::test]
async fn old_readers_find_the_names_that_they_know() {
    use beacon_domain::{Batching, Clock as _, JobStore as _};
    let clock = beacon_testkit::ManualClock::new();
    let options = crate::database::options().await;
    let store = PostgresStore::connect(options.clone()).await.unwrap();
    let names = Region::ALL.map(Region::as_str);
    let spec = beacon_testkit::SpecBuilder::new("old").regions(&names).verified();
    store.accept(beacon_testkit::accept(spec, Batching::Question, clock.now())).await.unwrap();

    let rows = crate::sound::plain(&options).await;
    let rows = rows
        .query("SELECT region, model_id, question_id, status, provider_id FROM beacon.executions_by_old_names ORDER BY n", &[])
        .await
        .unwrap();

    let regions: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(regions, names);
    assert_eq!((rows[0].get::<_, &str>(1), rows[0].get::<_, &str>(3)), ("m", "queued"));
    assert!(rows[0].get::<_, &str>(2).starts_with("q-"));
}
