//! Nodes that are killed and stopped in the middle of a broadcast, as real processes over real sockets and files.
//!
//!     scripts/postgres run cargo test --all-features --test kill
//!
//! The programme is the test, the receivers and, started again with another first argument, a node: the one of
//! `examples/worker`. The moments are random by a seed that is printed; `KILL_SEED` repeats one.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test may")]

#[path = "kill/checks.rs"]
mod checks;
#[path = "kill/database.rs"]
mod database;
#[path = "kill/killed.rs"]
mod killed;
#[path = "kill/node.rs"]
mod node;
#[path = "kill/receivers.rs"]
mod receivers;
#[path = "kill/setting.rs"]
mod setting;
#[path = "kill/stopped.rs"]
mod stopped;
#[path = "kill/support.rs"]
mod support;
#[allow(dead_code, reason = "its main is not called")]
#[path = "../examples/worker/main.rs"]
mod worker;

use std::process::ExitCode;
use std::time::Instant;

use database::Database;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if args.next().is_some_and(|role| role == node::ROLE) {
        return match runtime.block_on(worker::run(args)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("node: {error}: {:?}", error.source().map(ToString::to_string));
                ExitCode::FAILURE
            }
        };
    }
    let seed = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok());
    // A failed check panics, and that ends the programme, its nodes and its databases.
    runtime.block_on(tests(seed.unwrap_or_else(|| fastrand::u64(..1_000_000))));
    ExitCode::SUCCESS
}

async fn tests(seed: u64) {
    println!("seed {seed}");
    let at = Timer::start("a killed node on SQLite is followed by another");
    killed::nodes(Database::sqlite(), seed, 1, 10).await;
    at.done();
    let at = Timer::start("three nodes on PostgreSQL that are killed are followed by others");
    killed::nodes(Database::postgres().await, seed + 1, 3, 12).await;
    at.done();
    let at = Timer::start("a node that was stopped for longer than its lease changes nothing, on SQLite");
    stopped::node(Database::sqlite()).await;
    at.done();
    let at = Timer::start("a node that was stopped for longer than its lease changes nothing, on PostgreSQL");
    stopped::node(Database::postgres().await).await;
    at.done();
}

struct Timer(Instant);

#[allow(clippy::disallowed_methods, reason = "these tests run in real time")]
impl Timer {
    fn start(test: &str) -> Self {
        println!("test {test}");
        Self(Instant::now())
    }

    fn done(self) {
        println!("... ok ({:.1} s)", self.0.elapsed().as_secs_f64());
    }
}
