//! Broadcasts against a model of what is allowed, under random faults: of the store, of push services, of clocks, of
//! workers, of whoever listens. What happened is written down by the doubles, and judged afterwards.
//!
//! A case is drawn from its seed, which is printed when it fails. `WEBPUSH_CHANNELS_MODEL_CASES` says how many cases
//! there are of each test, `WEBPUSH_CHANNELS_MODEL_SEED` the seed of the first.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "a test has no callers")]

mod cancel;
mod checks;
#[path = "../support/consistency.rs"]
mod consistency;
#[path = "../support/consistent.rs"]
mod consistent;
mod direct;
mod durable;
mod members;
mod mutants;
mod plan;
mod push;
mod record;
mod shaky;
#[path = "../support/temp.rs"]
mod temp;
mod threads;

use std::collections::BTreeMap;
use std::{env, ops};

use self::direct::World;
use self::mutants::{Broken, MUTANTS, Mode};
use self::plan::Plan;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect(name))
}

/// The seeds of a test's cases.
fn seeds(usual: u64) -> ops::Range<u64> {
    let first = number("WEBPUSH_CHANNELS_MODEL_SEED").unwrap_or(1);
    first..first + number("WEBPUSH_CHANNELS_MODEL_CASES").unwrap_or(usual)
}

/// Runs one case on a clock of its own.
fn run(plan: Plan, mode: Mode, broken: Option<Broken>) -> World {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        match mode {
            Mode::Direct => direct::case(plan, broken).await,
            Mode::Durable => durable::case(plan, broken).await,
        }
    })
}

/// Runs many cases, and says what was done in them.
fn run_all(mode: Mode, usual: u64) {
    let (seeds, mut faults, mut requests) = (seeds(usual), BTreeMap::<&str, u64>::new(), 0);
    let keep_going = env::var_os("WEBPUSH_CHANNELS_MODEL_ALL").is_some();
    let mut failed = 0;
    for seed in seeds.clone() {
        let plan = Plan::draw(seed);
        let world = run(plan.clone(), mode, None);
        let facts = world.record.facts();
        requests += facts.requests.len();
        facts.faults.iter().for_each(|(kind, n)| *faults.entry(kind).or_default() += n);
        if facts.violations.is_empty() {
            continue;
        }
        failed += 1;
        eprintln!("seed {seed}: {:#?}\n{plan:?}", facts.violations);
        assert!(
            keep_going,
            "{mode:?}: seed {seed} breaks {:?}; {plan:#?}; run it with WEBPUSH_CHANNELS_MODEL_SEED={seed} \
             WEBPUSH_CHANNELS_MODEL_CASES=1",
            facts.violations[0]
        );
    }
    println!("{mode:?}: seeds {seeds:?}, {requests} requests, {faults:?}");
    assert_eq!(failed, 0);
}

#[test]
fn whatever_goes_wrong_a_broadcast_that_runs_here_keeps_its_promises() {
    run_all(Mode::Direct, 300);
}

#[test]
fn whatever_goes_wrong_a_broadcast_that_is_enqueued_keeps_its_promises() {
    run_all(Mode::Durable, 300);
}

/// A model that finds nothing in these proves nothing.
#[test]
fn the_model_finds_what_breaks_a_rule() {
    for (broken, mode, rule) in MUTANTS {
        let found = (1..400).find(|seed| {
            let plan = Plan::draw(*seed);
            let world = run(if broken.wants_calm() { plan.calm() } else { plan }, mode, Some(broken));
            world.violations().iter().any(|violation| violation.rule == rule)
        });
        println!("{broken:?}, {mode:?}: {rule:?} in seed {found:?}");
        assert!(found.is_some(), "{mode:?}: nothing finds that {broken:?} breaks {rule:?}");
    }
}
