//! What a push costs with this crate, and with what others wrote: side by side, in one run.
//!
//!     scripts/peers [--rounds N] [--smoke] [--only ROW]
//!
//! Each sender is a process of its own on one core, the push service another on another core. They send by turns; CPU
//! time is what the operating system counted for the sender's process. docs/benchmarks.md says more.

mod conductor;
#[path = "../../support/floor.rs"]
mod floor;
mod footprint;
mod measure;
mod opened;
mod options;
mod plot;
mod push_service;
mod report;
mod rows;
mod sample;
mod senders;
mod setup;
mod system;
#[path = "../../budgets/table.rs"]
mod table;
mod versions;

use std::error::Error;
use std::process::ExitCode;

use self::options::Job;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let done = match Job::parse() {
        Err(error) => Err(error.into()),
        Ok(Job::Measure(options)) => measure::run(&options),
        Ok(Job::Serve { directory }) => push_service::serve(&directory),
        Ok(Job::Send { row, directory }) => senders::run(&row, &directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("peers: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}
