//! What the suite of the contract cannot see: damage, and how much is looked at.

use std::num::NonZeroU16;
use std::time::Duration;

use rusqlite::Connection;

use super::lease::{Ask, Held};
use super::{begin, checkpoint, end, lease, report, retries};
use crate::store::journal::{
    Begun, Checkpoint, Control, Deferred, JournalError, JournalErrorKind, Lease, NewBroadcast, RetryId,
    SettledRetry, State, Tried, Work, WorkerId,
};
use crate::store::sqlite::error::SqlError;
use crate::store::sqlite::open::MIGRATIONS;
use crate::store::{Audience, EntryRef, Position, Range, Version};
use crate::{
    BroadcastId, BroadcastState, ChannelName, Message, OriginLabel, OutcomeKind, Payload, Report,
    SubscriptionId, Ttl, UserId, Vendor,
};

const TAG: [u8; 8] = *b"journal1";
const HOUR: Duration = Duration::from_secs(3600);
const NOW: i64 = 1_700_000_000_000;
const MANY: NonZeroU16 = NonZeroU16::new(100).unwrap();

fn open() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    for migration in MIGRATIONS {
        conn.execute_batch(migration).unwrap();
    }
    conn
}

fn id(name: &str) -> BroadcastId {
    BroadcastId::new(name).unwrap()
}

fn begin(conn: &Connection, name: &str, ranges: u64) {
    let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1));
    let to = Audience::Channel(ChannelName::new("news").unwrap());
    let broadcast = NewBroadcast::new(id(name), to, message, 24 * HOUR);
    let ranges: Vec<_> = (0..ranges).map(|n| Range::encode(TAG, [n])).collect();
    assert_eq!(begin::begin(conn, NOW, &broadcast, &ranges).unwrap(), Begun::Created);
}

fn take(conn: &Connection, now: i64) -> Option<(i64, Lease)> {
    let ask = Ask { tag: TAG, worker: WorkerId::from_bytes([1; 16]), term: 60_000, retries: MANY };
    let lease = lease::lease(conn, now, &ask).unwrap()?;
    let [number] = lease.token.decode(TAG).unwrap();
    Some((i64::try_from(number).unwrap(), lease))
}

fn store(conn: &Connection, lease: i64, checkpoint: &Checkpoint) -> Result<State, SqlError> {
    checkpoint::checkpoint(conn, NOW, lease, checkpoint)
}

fn done(number: u64) -> Checkpoint {
    Checkpoint { done: true, ..Checkpoint::new(number, HOUR) }
}

fn read(conn: &Connection, name: &str) -> Report {
    report::summary(conn, NOW, &id(name)).unwrap().unwrap().report
}

fn deferred(retry: u8, after: Duration) -> Deferred {
    let entry =
        EntryRef { id: SubscriptionId::from_bytes([retry; 32]), version: Version::from_bytes([0; 16]) };
    let tried = Tried::new(1, 1, false);
    let origin = OriginLabel::Vendor(Vendor::Fcm);
    Deferred::new(RetryId::from_bytes([retry; 16]), user(), entry, origin, tried, after, HOUR)
}

fn settled(retry: u8) -> SettledRetry {
    let origin = OriginLabel::Vendor(Vendor::Fcm);
    SettledRetry::new(RetryId::from_bytes([retry; 16]), origin, OutcomeKind::Accepted, None)
}

fn user() -> UserId {
    UserId::new("ann").unwrap()
}

fn kind(error: SqlError) -> JournalErrorKind {
    JournalError::from(error).kind()
}

/// Runs what damages a row.
fn damage(conn: &Connection, sql: &str) {
    assert!(conn.execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn a_damaged_broadcast_lets_others_go_on() {
    for column in [
        "payload = zeroblob(5000)",
        "ttl = 'soon'",
        "audience_kind = 9",
        "per_minute = -1",
        "send_within = x'00'",
        "created = 'now'",
        "urgency = 'loud'",
    ] {
        let conn = open();
        begin(&conn, "damaged", 1);
        begin(&conn, "whole", 1);
        damage(&conn, &format!("UPDATE broadcasts SET {column} WHERE id = 'damaged'"));
        let (_, lease) = take(&conn, NOW).expect(column);
        assert_eq!(lease.broadcast.id, id("whole"), "{column}");
        assert!(take(&conn, NOW).is_none(), "{column}");
    }
}

#[test]
fn a_damaged_range_lets_others_go_on() {
    for column in ["octets = x'0102'", "position = zeroblob(64)", "octets = 'text'"] {
        let conn = open();
        begin(&conn, "a", 2);
        damage(&conn, &format!("UPDATE ranges SET {column} WHERE number = 1"));
        let (_, lease) = take(&conn, NOW).expect(column);
        let Work::Range { range, .. } = lease.work else { panic!("{column}") };
        assert_eq!(range, Range::encode(TAG, [1]), "{column}");
        assert!(take(&conn, NOW).is_none(), "{column}");
    }
}

#[test]
fn a_damaged_retry_lets_others_go_on() {
    for column in
        ["owner = ''", "subscription = x'01'", "origin = 'x'", "attempts = 300", "failures = 'none'"]
    {
        let conn = open();
        begin(&conn, "a", 1);
        let (range, _) = take(&conn, NOW).unwrap();
        let after = [deferred(1, Duration::ZERO), deferred(2, Duration::ZERO)];
        let checkpoint = Checkpoint { deferred: after.into(), ..done(1) };
        store(&conn, range, &checkpoint).unwrap();
        damage(&conn, &format!("UPDATE retries SET {column} WHERE id = x'01010101010101010101010101010101'"));
        let ask =
            Ask { tag: TAG, worker: WorkerId::from_bytes([1; 16]), term: 60_000, retries: NonZeroU16::MIN };
        let lease = lease::lease(&conn, NOW, &ask).unwrap().expect(column);
        let Work::Retries(due) = lease.work else { panic!("{column}") };
        assert_eq!((due.len(), due[0].retry), (1, RetryId::from_bytes([2; 16])), "{column}");
    }
}

#[test]
fn what_cannot_be_recorded_is_not_handed_out() {
    for column in ["tally = '{}'", "tally = x'00'", "tally = '{\"read\": -1, \"origins\": {}}'"] {
        for number in [0, 1] {
            let conn = open();
            begin(&conn, "a", 1);
            let (range, _) = take(&conn, NOW).unwrap();
            damage(&conn, &format!("UPDATE ranges SET {column} WHERE number = {number}"));
            if number == 1 {
                assert_eq!(kind(store(&conn, range, &done(1)).unwrap_err()), JournalErrorKind::Backend);
            }
            assert!(take(&conn, NOW + 60_000).is_none(), "{column}");
            let summary = report::summary(&conn, NOW, &id("a"));
            assert_eq!(kind(summary.unwrap_err()), JournalErrorKind::Backend, "{column}");
            // The way out.
            assert_eq!(end::abort_known(&conn, NOW, &id("a")).unwrap().state, BroadcastState::Aborted);
        }
    }
}

#[test]
fn a_broadcast_ends_although_some_sums_are_damaged() {
    for damaged in ["ranges SET takeovers = -1 WHERE number = 1", "ranges SET tally = 0 WHERE number = 1"] {
        let conn = open();
        begin(&conn, "a", 2);
        for read in [3, 4] {
            let (range, _) = take(&conn, NOW).unwrap();
            store(&conn, range, &Checkpoint { read, ..Checkpoint::new(1, HOUR) }).unwrap();
        }
        damage(&conn, &format!("UPDATE {damaged}"));
        damage(&conn, "UPDATE ranges SET done = 1 WHERE number = 1");
        assert_eq!(store(&conn, 2, &done(2)).unwrap(), State::Finished, "{damaged}");
        assert_eq!(read(&conn, "a").read, 4, "{damaged}");
    }
}

#[test]
fn a_broadcast_ends_although_the_totals_are_damaged() {
    for column in ["counts = '['", "broadcasts = -1", "pruned = 'many'"] {
        let conn = open();
        begin(&conn, "a", 0);
        damage(&conn, &format!("UPDATE totals SET {column}"));
        begin(&conn, "b", 0);
        assert_eq!(read(&conn, "b").state, BroadcastState::Finished, "{column}");
        assert_eq!(kind(end::totals(&conn, "news").unwrap_err()), JournalErrorKind::Backend, "{column}");
    }
}

#[test]
fn a_damaged_lease_lets_others_expire() {
    let conn = open();
    begin(&conn, "a", 2);
    for _ in 0..2 {
        take(&conn, NOW).unwrap();
    }
    damage(&conn, "UPDATE leases SET broadcast = 'b' WHERE number = 1");
    let (_, lease) = take(&conn, NOW + 60_000).unwrap();
    assert!(matches!(lease.work, Work::Range { range, .. } if range == Range::encode(TAG, [1])));
}

#[test]
fn a_damaged_state_is_no_report() {
    let conn = open();
    begin(&conn, "a", 1);
    for column in ["state = 7", "state = 1", "state = 1, ended = 5, tally = NULL"] {
        damage(&conn, &format!("UPDATE broadcasts SET {column}"));
        assert_eq!(
            kind(report::summary(&conn, NOW, &id("a")).unwrap_err()),
            JournalErrorKind::Backend,
            "{column}"
        );
    }
}

#[test]
fn a_broadcast_whose_audience_is_damaged_can_be_aborted() {
    let conn = open();
    begin(&conn, "a", 1);
    damage(&conn, "UPDATE broadcasts SET audience_kind = 9");
    assert_eq!(kind(report::summary(&conn, NOW, &id("a")).unwrap_err()), JournalErrorKind::Backend);
    assert_eq!(end::abort_known(&conn, NOW, &id("a")).unwrap().state, BroadcastState::Aborted);
}

#[test]
fn a_user_is_forgotten_although_something_is_damaged() {
    for damaged in ["ranges SET tally = ''", "retries SET origin = x'ff'", "retries SET due = 'soon'"] {
        let conn = open();
        begin(&conn, "a", 1);
        let (range, _) = take(&conn, NOW).unwrap();
        store(&conn, range, &Checkpoint { deferred: vec![deferred(1, HOUR)], ..done(1) }).unwrap();
        damage(&conn, &format!("UPDATE {damaged}"));
        retries::forget_user(&conn, NOW, &user()).unwrap();
        let left: i64 = conn.query_row("SELECT count(*) FROM retries", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{damaged}");
    }
}

#[test]
fn a_batch_does_not_bring_back_what_was_settled_meanwhile() {
    let conn = open();
    begin(&conn, "a", 1);
    let (range, _) = take(&conn, NOW).unwrap();
    let read_one =
        Checkpoint { read: 1, deferred: vec![deferred(1, Duration::ZERO)], ..Checkpoint::new(1, HOUR) };
    store(&conn, range, &read_one).unwrap();
    let (batch, lease) = take(&conn, NOW).unwrap();
    assert!(matches!(lease.work, Work::Retries(due) if due.len() == 1));

    // The answer to the first attempt comes late, and the second attempt fails.
    let late = Checkpoint { settled: vec![settled(1)], ..Checkpoint::new(2, HOUR) };
    assert!(matches!(store(&conn, range, &late).unwrap(), State::Running(_)));
    let again = Checkpoint { deferred: vec![deferred(1, Duration::ZERO)], ..done(1) };
    assert!(matches!(store(&conn, batch, &again).unwrap(), State::Running(_)));

    assert_eq!(store(&conn, range, &done(3)).unwrap(), State::Finished);
    let report = read(&conn, "a");
    assert_eq!((report.read, report.counts.total(), report.pending), (1, 1, 0));
}

#[test]
fn the_lease_of_a_batch_that_others_finished_is_lost() {
    let conn = open();
    begin(&conn, "a", 1);
    let (range, _) = take(&conn, NOW).unwrap();
    let checkpoint =
        Checkpoint { read: 1, deferred: vec![deferred(1, Duration::ZERO)], ..Checkpoint::new(1, HOUR) };
    store(&conn, range, &checkpoint).unwrap();
    let (batch, _) = take(&conn, NOW).unwrap();
    let last = Checkpoint { settled: vec![settled(1)], ..done(2) };
    assert_eq!(store(&conn, range, &last).unwrap(), State::Finished);
    assert_eq!(kind(store(&conn, batch, &done(1)).unwrap_err()), JournalErrorKind::LeaseLost);
    assert_eq!(read(&conn, "a").state, BroadcastState::Finished);
}

#[test]
fn a_lease_that_is_given_back_too_late_is_a_takeover() {
    let conn = open();
    begin(&conn, "a", 1);
    let (number, _) = take(&conn, NOW).unwrap();
    assert!(Held::find(&conn, NOW + 59_999, number).unwrap().is_some());
    lease::release(&conn, NOW + 60_000, number).unwrap();
    take(&conn, NOW + 60_000).unwrap();
    assert_eq!(read(&conn, "a").takeovers, 1);
}

#[test]
fn a_clock_that_is_set_back_makes_no_time_negative() {
    let conn = open();
    begin(&conn, "a", 1);
    let (range, lease) = take(&conn, NOW - 3_600_000).unwrap();
    assert_eq!((lease.age, lease.send_within_left), (Duration::ZERO, 24 * HOUR));
    let checkpoint = Checkpoint { deferred: vec![deferred(1, Duration::ZERO)], ..done(1) };
    checkpoint::checkpoint(&conn, NOW - 7_200_000, range, &checkpoint).unwrap();
    conn.execute("UPDATE retries SET deferred = ?1", [i64::MAX]).unwrap();
    let (_, lease) = take(&conn, NOW).unwrap();
    let Work::Retries(due) = lease.work else { panic!() };
    assert_eq!(due[0].ttl_left, HOUR);
}

/// Counts the steps of SQLite's machine, which do not depend on how fast this one is.
#[test]
fn what_waits_for_retries_costs_a_look_almost_nothing() {
    let conn = open();
    let steps = |broadcasts: usize| {
        for n in 0..broadcasts {
            begin(&conn, &format!("{broadcasts}-{n}"), 16);
            conn.execute("UPDATE ranges SET done = 1 WHERE number > 1", []).unwrap();
            let (range, _) = take(&conn, NOW).unwrap();
            let checkpoint = Checkpoint { deferred: vec![deferred(1, HOUR)], ..done(1) };
            store(&conn, range, &checkpoint).unwrap();
        }
        let mut statement = conn.prepare(lease::FREE).unwrap();
        assert!(!statement.exists([NOW]).unwrap());
        statement.get_status(rusqlite::StatementStatus::VmStep)
    };
    let few = steps(10);
    let more = steps(90);
    assert!(more - few < 90 * 30, "{few} steps for 10, {more} for 100");
}

#[test]
fn a_limited_rate_is_divided() {
    let conn = open();
    begin(&conn, "a", 4);
    let limit = Control { paused: false, per_minute: Some(std::num::NonZeroU32::new(2).unwrap()) };
    begin::control(&conn, &id("a"), limit).unwrap();
    let shares: Vec<_> =
        (0..4).map(|_| take(&conn, NOW).unwrap().1.control.per_minute.unwrap().get()).collect();
    assert_eq!(shares, [2, 1, 1, 1]);
}

#[test]
fn a_position_is_octets() {
    let conn = open();
    begin(&conn, "a", 1);
    let (range, _) = take(&conn, NOW).unwrap();
    let position = Position::encode(*b"another!", [7]);
    let checkpoint = Checkpoint { position: Some(position), ..Checkpoint::new(1, HOUR) };
    store(&conn, range, &checkpoint).unwrap();
    lease::release(&conn, NOW, range).unwrap();
    let (_, lease) = take(&conn, NOW).unwrap();
    assert!(matches!(lease.work, Work::Range { after: Some(after), .. } if after == position));
}
