//! The API over a store in memory, with two jobs in all states that can be seen at once: something to look at, and what
//! `cargo xtask test --contract` asks. Prints its URL as the first line, and serves until its standard input ends.

#![expect(clippy::unwrap_used, reason = "an example that cannot go on says so")]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/desk.rs"]
mod desk;
#[path = "../tests/it/scene.rs"]
mod scene;

use beacon_web::Rates;
use desk::Desk;
use scene::Scene;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    // Nobody is asked to wait: its clock stands still, so that no limit would ever end.
    let desk = Desk::with(|api| {
        api.rates = Rates { address_per_s: 0, key_per_s: 0, lookups_per_minute: 0 };
    });
    let scene = Scene::set(&desk).await;
    // Its clock stands still, so that events would never come: streams end behind their snapshot.
    desk.stop.drain();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    eprintln!("a job that runs: {}; one that has ended: {}", scene.running, scene.ended);
    std::thread::spawn(|| {
        // Whoever started this holds the other end.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    axum::serve(listener, desk.router()).await.unwrap();
}
