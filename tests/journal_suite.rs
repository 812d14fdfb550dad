//! Every case of the journal suite fails for a journal that does otherwise: each double has one
//! defect, and names the cases that must find it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "journal_suite/broken.rs"]
mod broken;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use webpush_channels::store::journal::Journal;
use webpush_channels::testing::journal_suite::{self, CASES, Case};

use self::broken::{Defect, Harness};

fn fails(case: &Case, defect: Defect) -> bool {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(case.run(&Harness::new(defect))))).is_err()
}

#[test]
fn each_defect_is_found_by_its_cases_and_each_case_finds_one() {
    let mut found = BTreeSet::new();
    let mut missed = Vec::new();
    for (defect, names) in Defect::ALL {
        for name in *names {
            let case = CASES.iter().find(|case| case.name == *name).expect(name);
            if fails(case, *defect) {
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
        assert!(!fails(case, Defect::None), "{}", case.name);
    }
}

#[tokio::test]
async fn pointers_forward_every_method() {
    journal_suite::a_decorator_forwards_every_method(Arc::new).await;
    journal_suite::a_decorator_forwards_every_method(Box::new).await;
    journal_suite::a_decorator_forwards_every_method(|probe| Arc::new(probe) as Arc<dyn Journal>).await;
}

#[tokio::test(start_paused = true)]
async fn other_histories_agree_with_the_model() {
    for seed in 2..40 {
        journal_suite::agrees_with_a_model_for(&Harness::new(Defect::None), seed).await;
    }
}
