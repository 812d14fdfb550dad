//! `recent` and `unfinished`.

use super::JournalHarness;
use super::kit::*;
use crate::BroadcastState;

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
    go_on(journal, &lease, reading(1, &[(crate::OutcomeKind::Gone, 2)])).await;

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
