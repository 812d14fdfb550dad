//! `recent`, `summary` and `unfinished`.

use super::JournalHarness;
use super::kit::*;
use crate::store::journal::Summary;
use crate::testing::store_suite::kit::members;
use crate::{BroadcastState, OutcomeKind};

/// The latest first, by pages, each with what a report says.
pub async fn recent_broadcasts_come_latest_first(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    let names = ["m", "z", "a", "q", "b"];
    for (n, name) in names.into_iter().enumerate() {
        let audience = if n % 2 == 0 { to_user("ann") } else { broadcast(name).audience };
        begin_this(journal, &NewBroadcast { audience, ..broadcast(name) }, u64::from(name != "q")).await;
    }
    journal.abort(&id("a")).await.expect("abort");
    let lease = take(journal).await;
    go_on(journal, &lease, reading(1, &[(OutcomeKind::Gone, 2)])).await;

    for page in [1, 2, 5, 100] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let found = other.recent(after.as_ref(), limit(page)).await.expect("recent");
            assert!(found.len() <= usize::from(page), "a page has at most `limit` broadcasts");
            let Some(last) = found.last() else { break };
            after = Some(last.id.clone());
            listed.extend(found);
            assert!(listed.len() <= names.len(), "none comes twice");
        }
        let ids: Vec<_> = listed.iter().map(|summary| summary.id.as_str()).collect();
        assert_eq!(ids, ["b", "q", "a", "z", "m"], "pages of {page}");
        for (summary, n) in listed.iter().zip((0..5).rev()) {
            let to_ann = summary.audience == to_user("ann");
            assert_eq!(to_ann, n % 2 == 0, "{}", summary.id);
            assert!(summary.age < DAY);
            assert_same(&report(journal, summary.id.as_str()).await, &summary.report);
        }
        let states: Vec<_> = listed[1..3].iter().map(|summary| summary.report.state).collect();
        assert_eq!(states, [BroadcastState::Finished, BroadcastState::Aborted]);
    }
}

/// One asked for by its id is as it is listed, on every node, from its beginning until it is
/// forgotten.
pub async fn a_summary_is_what_the_list_and_the_report_say(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    assert!(journal.summary(&id("ann's")).await.expect("summary").is_none());
    begin_this(journal, &NewBroadcast { audience: to_user("ann"), ..broadcast("ann's") }, 1).await;
    begin(journal, "other", 1).await;
    let begun = same_everywhere(journal, &*other, "ann's").await;
    assert_eq!((&begun.audience, begun.report.state), (&to_user("ann"), BroadcastState::Running));

    let lease = take(journal).await;
    assert_eq!(lease.broadcast.id, begun.id);
    let mut step = reading(1, &[(OutcomeKind::Accepted, 3), (OutcomeKind::Gone, 1)]);
    step.failures = vec![failed("ann", 1)];
    go_on(journal, &lease, step).await;
    harness.expire_leases().await;
    let running = same_everywhere(journal, &*other, "ann's").await;
    assert_eq!((&running.audience, running.created), (&begun.audience, begun.created));
    assert_eq!((running.report.read, running.report.failures.len()), (4, 1));

    journal.abort(&begun.id).await.expect("abort");
    let ended = same_everywhere(journal, &*other, "ann's").await;
    assert_eq!((&ended.audience, ended.created), (&begun.audience, begun.created));
    assert_eq!((ended.report.state, ended.report.read), (BroadcastState::Aborted, 4));

    assert_eq!(same_everywhere(journal, &*other, "other").await.audience, members("news"));
    journal.purge(NOW).await.expect("purge");
    assert!(other.summary(&begun.id).await.expect("summary").is_none());
}

/// The summary of a broadcast, which lists, reports and another node confirm.
async fn same_everywhere(journal: &dyn Journal, other: &dyn Journal, name: &str) -> Summary {
    let summary = journal.summary(&id(name)).await.expect("summary").expect("the broadcast is known");
    let there = other.summary(&id(name)).await.expect("summary").expect("the broadcast is known");
    let mut listed = journal.recent(None, limit(10)).await.expect("recent");
    listed.retain(|listed| listed.id == summary.id);
    assert_eq!(listed.len(), 1, "it is listed once");
    for another in [&there, &listed[0]] {
        assert_eq!((&another.id, &another.audience), (&id(name), &summary.audience));
        assert_eq!(another.created, summary.created);
        assert!(another.age < DAY && summary.age < DAY);
        assert_same(&another.report, &summary.report);
    }
    assert_same(&report(other, name).await, &summary.report);
    summary
}

/// What has not ended, by id, so that whoever went down can look for it.
pub async fn unfinished_broadcasts_are_listed_by_id(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    for name in ["b4", "b1", "b5", "b3", "b2"] {
        begin(journal, name, 1).await;
    }
    begin(journal, "b0", 0).await;
    journal.control(&id("b2"), Control { paused: true, ..Control::default() }).await.expect("control");
    journal.abort(&id("b3")).await.expect("abort");
    let lease = take(journal).await;
    let ended = lease.broadcast.id.clone();
    finish(journal, &lease, done(1)).await;
    take(journal).await;
    let expected: Vec<_> =
        ["b1", "b2", "b4", "b5"].map(id).into_iter().filter(|name| *name != ended).collect();
    for page in [1, 2, 100] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let found = other.unfinished(after.as_ref(), limit(page)).await.expect("unfinished");
            assert!(found.len() <= usize::from(page), "a page has at most `limit` ids");
            let Some(last) = found.last() else { break };
            after = Some(last.clone());
            listed.extend(found);
            assert!(listed.len() <= 5, "none comes twice");
        }
        assert_eq!(listed, expected, "pages of {page}");
    }
    let after_ended = journal.unfinished(Some(&id("b3")), limit(10)).await.expect("unfinished");
    assert_eq!(after_ended.first(), expected.iter().find(|name| **name > id("b3")), "after any id");
}
