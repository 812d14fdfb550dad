//! What threads share, under many orders of their steps.
//!
//! shuttle runs threads and tasks as coroutines of one thread and chooses who goes on wherever a lock is taken
//! or given back, and before each use of tokio's `Notify` and `oneshot`, which are the real ones. It reports it as a
//! deadlock when all wait. Half of the schedules are random, half give threads priorities that change at
//! the worst moments (PCT).
//!
//! `SCHEDULES_SEED` chooses others, `SCHEDULES` more: how many of each kind a case gets. Cases are the same
//! for the sources as they are and for mutants of them, each of which must fail one.

#![cfg(test)]

mod explore;
mod stand_ins;
mod sync;

/// Written by build.rs.
#[allow(
    dead_code,
    unreachable_pub,
    unused,
    clippy::all,
    clippy::pedantic,
    reason = "copies of sources, used in part"
)]
mod copies {
    include!(concat!(env!("OUT_DIR"), "/copies.rs"));
}
