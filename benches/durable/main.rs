//! What the durable stores cost, on a channel of a million: writing, paging, beginning a
//! broadcast, checkpoints, memory, and how three workers share one PostgreSQL.
//!
//!     scripts/postgres run cargo bench --bench durable -- [--subscriptions N] [--engine sqlite|postgres]
//!     cargo bench --bench durable -- --engine sqlite      # needs no server
//!     cargo bench --bench durable -- --smoke              # tiny sizes: does everything run?
//!
//! Times are CPU time of this process and, for PostgreSQL, of the server's processes; what says
//! "elapsed" is elapsed time. docs/benchmarks.md says more.

#[path = "../support/channel.rs"]
mod channel;
mod checkpoint;
mod engine;
mod enqueue;
#[path = "../support/floor.rs"]
mod floor;
mod memory;
#[path = "../budgets/message.rs"]
mod message;
mod nodes;
#[path = "../support/null.rs"]
mod null;
mod rows;
#[path = "../budgets/table.rs"]
mod table;
#[path = "../budgets/usage.rs"]
mod usage;

use std::process::ExitCode;

use self::engine::Engine;
use self::table::{Row, Table};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    subscriptions: usize,
    upserts: usize,
    begun: usize,
    checkpoints: usize,
    messages: usize,
    shared: usize,
}

const FULL: Sizes = Sizes {
    subscriptions: 1_000_000,
    upserts: 200_000,
    begun: 50,
    checkpoints: 1_000,
    messages: 20_000,
    shared: 20_000,
};
/// Only to see that everything runs.
const SMOKE: Sizes =
    Sizes { subscriptions: 5_000, upserts: 2_000, begun: 3, checkpoints: 5, messages: 20, shared: 512 };

#[derive(Debug)]
enum Job {
    Measure {
        engines: Vec<Engine>,
        sizes: Sizes,
        smoke: bool,
    },
    /// In a process of its own: whose heap holds nothing else.
    Memory {
        engine: Engine,
        subscriptions: usize,
    },
}

impl Job {
    fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        // Cargo adds `--bench` unless it only tests whether benches run.
        let (mut smoke, mut measure, mut only, mut memory, mut subscriptions) =
            (false, false, None, None, None);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("bench") => measure = true,
                Long("smoke" | "test") => smoke = true,
                Long("engine") => only = Some(parser.value()?.string()?),
                Long("memory") => memory = Some(parser.value()?.string()?),
                Long("subscriptions") => subscriptions = Some(parser.value()?.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        let smoke = smoke || !measure;
        let mut sizes = if smoke { SMOKE } else { FULL };
        sizes.subscriptions = subscriptions.unwrap_or(sizes.subscriptions);
        Ok(match memory {
            Some(place) => Self::Memory { engine: Engine::at(&place), subscriptions: sizes.subscriptions },
            None => Self::Measure { engines: engine::chosen(only.as_deref())?, sizes, smoke },
        })
    }
}

fn main() -> ExitCode {
    match Job::parse() {
        Err(error) => {
            eprintln!("durable: {error}");
            return ExitCode::FAILURE;
        }
        Ok(Job::Memory { engine, subscriptions }) => memory::run(&engine, subscriptions),
        Ok(Job::Measure { smoke, .. }) if !usage::is_counted() => {
            println!("nothing was measured: this needs Linux, which counts CPU time in /proc/self/schedstat");
            return if smoke { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Ok(Job::Measure { engines, sizes, smoke }) => {
            for engine in &engines {
                println!("{}:\n\n{}", engine.name(), Table(measure(engine, sizes)));
            }
            println!("{}", usage::machine());
            if smoke {
                println!("smoke run: tiny sizes, the figures mean nothing");
            }
        }
    }
    ExitCode::SUCCESS
}

fn measure(engine: &Engine, sizes: Sizes) -> Vec<Row> {
    let runtime = engine::runtime();
    let store = runtime.block_on(engine.open());
    eprintln!("{}: {} subscriptions are written", engine.name(), sizes.subscriptions);
    let mut rows = Vec::from(rows::write(&runtime, engine, &store, sizes));
    eprintln!("{}: they are read", engine.name());
    rows.extend(rows::read(&runtime, &store, sizes));
    eprintln!("{}: broadcasts begin", engine.name());
    rows.extend(enqueue::measure(&runtime, &store, sizes));
    eprintln!("{}: checkpoints", engine.name());
    rows.extend(checkpoint::measure(&runtime, engine, &store, sizes));
    drop(store);
    eprintln!("{}: a broadcast to all", engine.name());
    rows.extend(memory::measure(engine, sizes));
    if let Engine::Postgres { .. } = engine {
        eprintln!("{}: three workers beside one", engine.name());
        rows.push(nodes::measure(engine, sizes));
    }
    rows
}
