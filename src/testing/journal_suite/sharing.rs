//! Whose turn it is, and how fast it may go.

use std::num::NonZeroU32;

use super::JournalHarness;
use super::kit::*;
use crate::Urgency;

async fn begin_urgent(journal: &dyn Journal, name: &str, urgency: Urgency, parts: u64) {
    let message = message("hello").with_urgency(urgency);
    begin_this(journal, &NewBroadcast { message, ..broadcast(name) }, parts).await;
}

/// The broadcasts of the next leases, in order.
async fn turns(journal: &dyn Journal, count: usize) -> Vec<String> {
    take_all(journal, count).await.iter().map(|lease| lease.broadcast.id.to_string()).collect()
}

/// A large broadcast does not hold up the others.
pub async fn broadcasts_take_turns(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    for name in ["a", "b", "c"] {
        begin(journal, name, 3).await;
    }
    let turns = turns(journal, 9).await;
    let mut round = turns[..3].to_vec();
    assert_eq!([&turns[3..6], &turns[6..]], [&round[..], &round[..]], "least recently leased first");
    round.sort_unstable();
    assert_eq!(round, ["a", "b", "c"]);
}

/// Among those that had no turn yet, the more urgent one is first.
pub async fn the_more_urgent_comes_first_among_equals(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin_urgent(journal, "normal", Urgency::Normal, 1).await;
    begin_urgent(journal, "very low", Urgency::VeryLow, 1).await;
    begin_urgent(journal, "high", Urgency::High, 1).await;
    begin_urgent(journal, "low", Urgency::Low, 1).await;
    assert_eq!(turns(journal, 4).await, ["high", "normal", "low", "very low"]);
}

/// Urgency does not starve: whose turn it is comes first.
pub async fn the_least_recently_leased_comes_before_the_more_urgent(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin_urgent(journal, "low", Urgency::Low, 2).await;
    begin_urgent(journal, "high", Urgency::High, 2).await;
    assert_eq!(turns(journal, 4).await, ["high", "low", "high", "low"]);
}

/// A broadcast that is begun while another runs has its turn at once.
pub async fn a_later_broadcast_has_its_turn_at_once(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin_urgent(journal, "first", Urgency::High, 4).await;
    take_all(journal, 2).await;
    begin(journal, "later", 1).await;
    assert_eq!(turns(journal, 3).await, ["later", "first", "first"]);
}

/// Work that was given back does not jump the queue.
pub async fn released_work_waits_for_its_turn(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    for name in ["a", "b"] {
        begin(journal, name, 1).await;
    }
    let first = take(journal).await;
    release(journal, &first).await;
    let second = take(journal).await;
    assert_ne!(first.broadcast.id, second.broadcast.id);
    assert_eq!(take(journal).await.broadcast.id, first.broadcast.id);
}

/// A paused broadcast gives neither ranges nor retries, until it is let go on.
pub async fn a_paused_broadcast_gives_no_work(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 3).await;
    let running = take(journal).await;
    go_on(journal, &running, deferring(1, vec![deferred(1, NOW)])).await;
    let paused = Control { paused: true, ..Control::default() };
    other.control(&id("b"), paused).await.expect("control");
    idle(journal).await;

    begin(journal, "c", 1).await;
    assert_eq!(take(journal).await.broadcast.id, id("c"), "the others go on");
    idle(&*other).await;
    assert_eq!(go_on(journal, &running, step(2)).await, paused, "who has work learns it");
    release(journal, &running).await;
    idle(journal).await;

    journal.control(&id("b"), Control::default()).await.expect("control");
    let leases = take_all(&*other, 4).await;
    assert!(leases.iter().all(|lease| lease.control == Control::default()));
    idle(journal).await;
}

/// A paused broadcast is finished by those who have the rest of it in hand.
pub async fn a_paused_broadcast_can_finish(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    let paused = Control { paused: true, ..Control::default() };
    journal.control(&id("b"), paused).await.expect("control");
    finish(journal, &lease, done(1)).await;
}

fn rate(control: Control) -> u32 {
    control.per_minute.map_or(0, NonZeroU32::get)
}

/// Workers do not talk to each other: each gets its part of a limited rate.
pub async fn a_limited_rate_is_divided_among_the_live_leases(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 3).await;
    let limited = Control { per_minute: NonZeroU32::new(12), ..Control::default() };
    journal.control(&id("b"), limited).await.expect("control");
    begin(journal, "other", 1).await;
    let mut leases = take_all(journal, 4).await;
    let other = leases.iter().position(|lease| lease.broadcast.id == id("other"));
    let other = leases.remove(other.expect("it has its turn"));
    assert_eq!(other.control, Control::default(), "each broadcast has its own");
    let shares: Vec<u32> = leases.iter().map(|lease| rate(lease.control)).collect();
    assert_eq!(shares, [12, 6, 4]);
    finish(journal, &other, done(1)).await;
    assert_eq!(rate(go_on(journal, &leases[0], deferring(1, vec![deferred(1, NOW)])).await), 4);
    let retries = take(journal).await;
    assert_eq!((rate(retries.control), retry_ids(&retries).len()), (3, 1), "retries have a share, too");

    for ended in &leases[1..] {
        release(journal, ended).await;
    }
    assert_eq!(rate(go_on(journal, &leases[0], step(2)).await), 6);
    go_on(journal, &retries, Checkpoint { done: true, ..settling(1, &[1]) }).await;
    assert_eq!(rate(go_on(journal, &leases[0], step(3)).await), 12);
    harness.expire_leases().await;
    assert_eq!(rate(take(journal).await.control), 12, "expired leases have none");
}

/// However many share it, nobody stands still.
pub async fn a_share_is_at_least_one(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 4).await;
    let limited = Control { per_minute: NonZeroU32::new(2), ..Control::default() };
    journal.control(&id("b"), limited).await.expect("control");
    let leases = take_all(journal, 4).await;
    let shares: Vec<u32> = leases.iter().map(|lease| rate(lease.control)).collect();
    assert_eq!((shares[0], shares[1], shares[3]), (2, 1, 1));
    assert_eq!(rate(go_on(journal, &leases[0], step(1)).await), 1);
    journal.control(&id("b"), Control::default()).await.expect("control");
    assert_eq!(go_on(journal, &leases[0], step(2)).await, Control::default());
}

/// There is nothing to control.
pub async fn controlling_an_unknown_broadcast_is_an_error(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let paused = Control { paused: true, ..Control::default() };
    let error = journal.control(&id("c"), paused).await.expect_err("it is unknown");
    assert_eq!(error.kind(), JournalErrorKind::Unknown);
    assert!(!error.is_retryable());
    assert_eq!(take(journal).await.broadcast.id, id("b"));
}
