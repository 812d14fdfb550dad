//! Every case of the store suite fails for a store that does otherwise: each double has one
//! defect, and names the cases that must find it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "store_suite/broken.rs"]
mod broken;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use webpush_channels::store::{MemoryStore, SubscriptionStore};
use webpush_channels::testing::ManualClock;
use webpush_channels::testing::store_suite::{self, CASES};

use self::broken::{Broken, Defect};

fn fails(case: impl Future<Output = ()>) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(case))).is_err()
}

#[test]
fn each_defect_is_found_by_its_cases_and_each_case_finds_one() {
    let mut found = BTreeSet::new();
    let mut missed = Vec::new();
    for (defect, names) in Defect::ALL {
        for name in *names {
            let case = CASES.iter().find(|case| case.name == *name).expect(name);
            if fails(case.run(&Broken::new(*defect))) {
                found.insert(case.name);
            } else {
                missed.push(format!("{defect:?} passes {name}"));
            }
        }
    }
    let unproven: Vec<_> = CASES.iter().map(|case| case.name).filter(|name| !found.contains(name)).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(unproven.is_empty(), "no double fails {unproven:#?}");
}

#[test]
fn the_double_without_defect_passes() {
    for case in CASES {
        assert!(!fails(case.run(&Broken::new(Defect::None))), "{}", case.name);
    }
}

fn limited(limit: u32) -> MemoryStore {
    MemoryStore::builder().max_subscriptions_per_user(NonZeroU32::new(limit).unwrap()).build()
}

#[test]
fn a_limit_that_is_missing_racy_or_greedy_is_found() {
    let none = MemoryStore::new();
    assert!(fails(store_suite::a_limit_ends_at_the_user(&none, 3)));
    assert!(fails(store_suite::a_limit_holds_for_concurrent_puts(&none, 3)));
    let racy = Broken::new(Defect::LimitIsRacy);
    assert!(fails(store_suite::a_limit_holds_for_concurrent_puts(&racy, 3)));
    let greedy = Broken::over(limited(3), Defect::LimitLosesTheEndpoint);
    assert!(fails(store_suite::a_limit_ends_at_the_user(&greedy, 3)));
}

#[test]
fn ages_that_are_wrong_are_found() {
    let stays_away = |defect| {
        let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
        let store = Broken::over(MemoryStore::builder().clock(Arc::clone(&clock)).build(), defect);
        fails(
            async move { store_suite::who_stays_away_is_unseen(&store, async |by| clock.advance(by)).await },
        )
    };
    for defect in
        [Defect::SameIsNotSeen, Defect::ReplacedIsNotSeen, Defect::ChangedIsSeen, Defect::AgesAreZero]
    {
        assert!(stays_away(defect), "{defect:?}");
    }
    assert!(!stays_away(Defect::None));
}

#[test]
fn a_decorator_that_leaves_a_default_method_out_is_found() {
    assert!(fails(store_suite::a_decorator_forwards_every_method(broken::WithoutCount)));
}

#[tokio::test]
async fn pointers_forward_every_method() {
    store_suite::a_decorator_forwards_every_method(Arc::new).await;
    store_suite::a_decorator_forwards_every_method(Box::new).await;
    store_suite::a_decorator_forwards_every_method(|probe| Arc::new(probe) as Arc<dyn SubscriptionStore>)
        .await;
}

#[tokio::test]
async fn other_histories_agree_with_the_model() {
    for seed in 2..40 {
        store_suite::agrees_with_a_model_for(&MemoryStore::new(), seed).await;
    }
}
