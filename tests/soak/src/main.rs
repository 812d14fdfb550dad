//! Servers and workers under continuous changes, broadcasts and faults, and an account of every message owed.
//!
//! ```text
//! scripts/soak [SECONDS] [--seed N] [--database-url postgres://...] [--users N] [--broadcasts-per-minute N]
//!              [--changes-per-second N]
//! ```
//!
//! Two servers and two workers, as processes, share one database. This process is their clients, their publisher and
//! four push services that check every rule and open every message, and it is what goes wrong. What it sees it writes
//! into a ledger of its own; at the end it compares that with what the service says, and exits with 1 if a message is
//! lost, a subscription was removed that lives, or a bound does not hold. One seed decides about everything but the
//! scheduler; it is printed, and `--seed` or `SOAK_SEED` repeats it. Linux only: it reads `/proc`.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod account;
mod api;
mod clients;
mod database;
mod faults;
mod ledger;
mod nodes;
mod options;
mod origins;
#[path = "../../support/postgres.rs"]
mod postgres;
#[path = "../../support/proxy.rs"]
mod proxy;
mod publisher;
mod run;
mod shared;
mod watch;

use std::process::ExitCode;

use options::Options;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    // The nodes end with it, whatever ends it but SIGKILL.
    let wrong = tokio::select! {
        wrong = run() => wrong,
        interrupted = interruption() => interrupted,
    };
    match wrong {
        Ok(wrong) if wrong.is_empty() => {
            println!("everything is as it must be");
            ExitCode::SUCCESS
        }
        Ok(wrong) => {
            for what in &wrong {
                println!("VIOLATION: {what}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Vec<String>> {
    run::run(Options::parse()?).await
}

async fn interruption() -> Result<Vec<String>> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminated.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Err("interrupted".into())
}
