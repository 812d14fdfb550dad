//! `begin`.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use super::JournalHarness;
use super::kit::*;
use crate::store::Audience;
use crate::testing::store_suite::kit::{channel, members};
use crate::{BroadcastState, CollapseKey, Message, Padding, Report, Ttl, Urgency};

/// It runs, and nothing was done yet; another one is unknown.
pub async fn a_new_broadcast_runs(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    assert_same(&report(journal, "b").await, &Report::default());
    assert!(journal.report(&id("c")).await.expect("report").is_none());
}

/// A client that begins again, here or on another node, gets the broadcast that is there.
pub async fn beginning_again_is_beginning_once(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 2).await;
    for handle in [journal, &*other] {
        assert_eq!(handle.begin(&broadcast("b"), &ranges(2)).await.expect("begin"), Begun::Known);
    }
    take_all(journal, 2).await;
    idle(journal).await;
    let listed = journal.recent(None, limit(10)).await.expect("recent");
    assert_eq!(listed.len(), 1);
}

/// The audience was cut when the broadcast was begun: who begins it again cuts it in vain.
pub async fn a_known_broadcast_keeps_its_ranges(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    let first = take(journal).await;
    keep(journal, &first, Checkpoint { position: Some(position(5)), ..step(1) }).await;
    for others in [vec![range(7), range(8), range(9)], Vec::new()] {
        assert_eq!(journal.begin(&broadcast("b"), &others).await.expect("begin"), Begun::Known);
    }
    release(journal, &first).await;
    let mut work: Vec<_> = take_all(journal, 2).await.iter().map(of_range).collect();
    work.sort_unstable();
    let (this, after) = of_range(&first);
    assert_eq!(after, None);
    let expected = |n| (n, (n == this).then_some(5));
    assert_eq!(work, [expected(0), expected(1)]);
    idle(journal).await;
}

/// Everything but the id tells one publication from another.
pub async fn another_broadcast_under_the_same_id_is_a_conflict(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    let first = broadcast("b");
    begin_this(journal, &first, 1).await;
    let before = report(journal, "b").await;
    let message = || message("hello");
    let to = |audience| NewBroadcast { audience, ..first.clone() };
    let saying = |message| NewBroadcast { message, ..first.clone() };
    for another in [
        saying(self::message("hello!")),
        saying(Message::new(message().payload().clone(), Ttl::hours(1))),
        saying(message().with_urgency(Urgency::High)),
        saying(message().with_collapse_key(CollapseKey::new("k").expect("the key is valid"))),
        saying(message().with_padding(Padding::None)),
        saying(message().with_fallback(crate::Payload::empty())),
        to(members("sport")),
        to(to_user("news")),
        NewBroadcast { send_within: WEEKS + Duration::from_secs(1), ..first.clone() },
    ] {
        for handle in [journal, &*other] {
            let error = handle.begin(&another, &ranges(3)).await.expect_err("another broadcast");
            assert_eq!(error.kind(), JournalErrorKind::Conflict);
            assert!(!error.is_retryable());
        }
    }
    assert_same(&before, &report(journal, "b").await);
    let lease = take(journal).await;
    assert_eq!(lease.broadcast.fingerprint(), first.fingerprint());
    idle(journal).await;
}

/// An id stays taken when its broadcast has ended, and the broadcast stays ended.
pub async fn an_ended_broadcast_is_not_begun_again(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    for name in ["finished", "aborted"] {
        begin(journal, name, 1).await;
    }
    journal.abort(&id("aborted")).await.expect("abort");
    let lease = take(journal).await;
    finish(journal, &lease, done(1)).await;
    for (name, state) in [("finished", BroadcastState::Finished), ("aborted", BroadcastState::Aborted)] {
        assert_eq!(journal.begin(&broadcast(name), &ranges(1)).await.expect("begin"), Begun::Known);
        let another = NewBroadcast { message: message("another"), ..broadcast(name) };
        let error = journal.begin(&another, &ranges(1)).await.expect_err("another broadcast");
        assert_eq!(error.kind(), JournalErrorKind::Conflict);
        assert_eq!(report(journal, name).await.state, state);
    }
    idle(journal).await;
}

/// Nobody to send to is no work, and counts as a broadcast to the channel, once.
pub async fn a_broadcast_without_ranges_is_finished(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 0).await;
    assert_eq!(journal.begin(&broadcast("b"), &ranges(0)).await.expect("begin"), Begun::Known);
    idle(journal).await;
    let report = report(journal, "b").await;
    assert_same(&report, &Report { state: BroadcastState::Finished, ..Report::default() });
    let totals = journal.totals(&channel("news")).await.expect("totals");
    assert_eq!((totals.broadcasts, totals.counts.total()), (1, 0));
    assert!(journal.unfinished(None, limit(10)).await.expect("unfinished").is_empty());
}

/// Ids are compared octet by octet.
pub async fn similar_ids_are_different(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let names = ["b", "B", "b ", " b", "b\u{e9}", "be\u{301}", "b%", "b_", "'b'", "b\\", "b\u{1f600}"];
    for name in names {
        begin(journal, name, 1).await;
    }
    for name in &names[1..] {
        journal.abort(&id(name)).await.expect("abort");
    }
    assert_eq!(take(journal).await.broadcast.id, id("b"));
    let long = "x".repeat(crate::BroadcastId::MAX_LEN);
    begin(journal, &long, 1).await;
    assert_eq!(take(journal).await.broadcast.id, id(&long));
}

/// A lease brings everything that a worker on another node needs.
pub async fn a_lease_brings_what_was_begun(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    let octets = |octets: Vec<u8>| crate::Payload::new(octets).expect("the payload is not too long");
    let (key, fifty) = ("a \u{e9} key", NonZeroU16::new(50).expect("not zero"));
    let all: Vec<u8> = (0..=255).collect();
    let messages = [
        Message::new(crate::Payload::empty(), Ttl::ZERO).with_padding(Padding::None),
        Message::new(octets(all), Ttl::MAX)
            .with_urgency(Urgency::High)
            .with_collapse_key(CollapseKey::new(key).expect("the key is valid"))
            .with_padding(Padding::Fixed(3000)),
        Message::new(octets(vec![0; crate::Payload::MAX_LEN]), Ttl::hours(1))
            .with_urgency(Urgency::VeryLow)
            .with_padding(Padding::MultipleOf(fifty)),
        message("hello").with_urgency(Urgency::Low),
        message("hello").with_fallback(octets(vec![0, 255])),
        // None and an empty one are different.
        message("hello").with_fallback(crate::Payload::empty()),
    ];
    for (n, message) in messages.into_iter().enumerate() {
        let to = [members("news"), to_user("news")][n % 2].clone();
        let within = [WEEKS + Duration::from_millis(1), Duration::MAX, WEEKS][n / 2];
        let begun = NewBroadcast::new(id(&format!("b{n}")), to, message, within);
        begin_this(journal, &begun, 1).await;
        let lease = take(&*other).await;
        assert_equal(&lease.broadcast, &begun);
        finish(journal, &lease, done(1)).await;
    }
}

fn assert_equal(leased: &NewBroadcast, begun: &NewBroadcast) {
    assert_eq!((&leased.id, &leased.audience), (&begun.id, &begun.audience));
    let (message, expected) = (&leased.message, &begun.message);
    assert!(message.payload().as_bytes() == expected.payload().as_bytes(), "the payload is another");
    assert!(message.fallback() == expected.fallback(), "the fallback is another");
    assert_eq!(message.ttl(), expected.ttl());
    assert_eq!((message.urgency(), message.padding()), (expected.urgency(), expected.padding()));
    let key = |message: &Message| message.collapse_key().map(|key| key.as_str().to_owned());
    assert_eq!(key(message), key(expected));
    assert_eq!(leased.fingerprint(), begun.fingerprint());
}

/// A channel and a user of one name are different audiences.
pub async fn an_audience_is_a_channel_or_a_user(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    for (name, audience) in [("c", members("ann")), ("u", to_user("ann"))] {
        begin_this(journal, &NewBroadcast { audience, ..broadcast(name) }, 1).await;
    }
    let listed = journal.recent(None, limit(10)).await.expect("recent");
    let audience = |name: &str| {
        let summary = listed.iter().find(|summary| summary.id == id(name)).expect("it was begun");
        summary.audience.clone()
    };
    assert!(matches!(audience("c"), Audience::Channel(_)));
    assert!(matches!(audience("u"), Audience::User(_)));
}

fn at(name: &str, paused: bool, per_minute: u32) -> NewBroadcast {
    let control = Control { paused, per_minute: NonZeroU32::new(per_minute) };
    NewBroadcast { control, ..broadcast(name) }
}

/// Paused, or at a limited rate: no worker sees it otherwise first.
pub async fn a_broadcast_begins_as_fast_as_it_says(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin_this(journal, &at("slow", false, 12), 2).await;
    let shares: Vec<_> = [take(journal).await, take(&*other).await]
        .iter()
        .map(|lease| (lease.control.paused, lease.control.per_minute.map(NonZeroU32::get)))
        .collect();
    assert_eq!(shares, [(false, Some(12)), (false, Some(6))]);

    let paused = at("paused", true, u32::MAX);
    begin_this(journal, &paused, 1).await;
    idle(journal).await;
    idle(&*other).await;
    let on = Control { paused: false, ..paused.control };
    other.control(&paused.id, on).await.expect("control");
    assert_eq!(take(journal).await.control, on);
}

/// How fast it goes on is no part of a publication: it may have been changed meanwhile.
pub async fn beginning_again_does_not_control(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin_this(journal, &at("b", false, 12), 2).await;
    for again in [at("b", true, 0), at("b", false, 60), broadcast("b")] {
        assert_eq!(journal.begin(&again, &ranges(2)).await.expect("begin"), Begun::Known);
    }
    assert_eq!(take(journal).await.control, at("b", false, 12).control);
    journal.control(&id("b"), Control::default()).await.expect("control");
    assert_eq!(journal.begin(&at("b", false, 12), &ranges(2)).await.expect("begin"), Begun::Known);
    assert_eq!(take(journal).await.control, Control::default());
}
