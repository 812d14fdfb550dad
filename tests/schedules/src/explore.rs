//! Runs cases under many schedules.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};
use tokio::runtime::{Builder, Runtime};

use super::copies;

/// How many schedules of each kind a case gets.
const SCHEDULES: usize = 1500;
/// A mistake must be found within so many.
const FOR_A_MUTANT: usize = 3000;
/// How many times a thread loses its turn at the worst moment, at most.
const PREEMPTIONS: usize = 3;

/// One case of a copy.
pub(crate) type Case = (&'static str, fn());

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn seed() -> u64 {
    variable("SCHEDULES_SEED").unwrap_or(1)
}

fn run(scheduler: impl Scheduler + 'static, case: fn()) -> usize {
    let mut config = Config::new();
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(case)
}

fn explore((name, case): Case, schedules: usize) -> usize {
    let random = run(RandomScheduler::new_from_seed(seed(), schedules), case);
    let priorities = run(PctScheduler::new_from_seed(seed(), PREEMPTIONS, schedules), case);
    println!("{name}: {} schedules", random + priorities);
    random + priorities
}

/// Timers are made and never run out: a case ends without them, or it has lost a wake-up.
fn with_timers(run: impl FnOnce()) {
    // Never dropped: what failed leaves timers, and nobody could be woken by their end.
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
    let _entered = RUNTIME.enter();
    run();
}

#[test]
fn the_sources_hold() {
    let schedules = variable("SCHEDULES").map_or(SCHEDULES, |n| usize::try_from(n).expect("fits"));
    with_timers(|| {
        let cases = [
            &copies::as_it_is::channel::schedules::CASES[..],
            &copies::as_it_is::sender::schedules::CASES[..],
            &copies::as_it_is::transport::hyper::schedules::CASES[..],
        ]
        .concat();
        let explored: usize = cases.into_iter().map(|case| explore(case, schedules)).sum();
        println!("seed {}: {explored} schedules in all", seed());
    });
}

/// Whether some case of a mutant fails, and which.
fn found(cases: &[Case]) -> Option<&'static str> {
    let fails = |case: &&Case| catch_unwind(AssertUnwindSafe(|| explore(**case, FOR_A_MUTANT))).is_err();
    cases.iter().find(fails).map(|(name, _)| *name)
}

#[test]
fn each_mutant_is_found() {
    with_timers(|| {
        let mut lost = Vec::new();
        for (mutant, cases) in copies::MUTANTS {
            let found = found(cases);
            println!("{mutant}: found by {found:?}");
            if found.is_none() {
                lost.push(mutant);
            }
        }
        assert!(lost.is_empty(), "no schedule shows {lost:?}");
    });
}
