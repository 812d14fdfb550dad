//! Rows that no store wrote.

use std::time::{Duration, SystemTime};

use webpush_channels::BroadcastState;
use webpush_channels::store::SubscriptionStore;
use webpush_channels::store::journal::{Checkpoint, Journal, JournalErrorKind, State, Work};

use super::kit::{TERM, deferred, done, entry, id, retry, user};
use super::postgres::Database;
use super::{begin, lease};

async fn damage(database: &Database, sql: &str) {
    let rows = database.client().await.execute(sql, &[]).await.unwrap();
    assert!(rows > 0, "{sql}");
}

#[tokio::test]
async fn a_broadcast_that_cannot_be_read_does_not_hold_up_the_others() {
    let database = Database::new().await;
    let store = database.store().await;
    for name in ["first", "second", "third"] {
        begin(&store, name, 1).await;
    }
    damage(&database, "UPDATE webpush_channels.broadcasts SET urgency = 'whenever' WHERE id = 'first'").await;
    damage(&database, "UPDATE webpush_channels.ranges SET octets = 'x' WHERE broadcast = 2 AND number = 1")
        .await;
    assert_eq!(lease(&store).await.unwrap().broadcast.id, id("third"));
    assert!(lease(&store).await.is_none());

    damage(&database, "UPDATE webpush_channels.broadcasts SET urgency = 'normal' WHERE id = 'first'").await;
    assert_eq!(lease(&store).await.unwrap().broadcast.id, id("first"));
}

#[tokio::test]
async fn a_retry_that_cannot_be_read_is_set_aside() {
    let database = Database::new().await;
    let store = database.store().await;
    begin(&store, "a", 1).await;
    let range = lease(&store).await.unwrap();
    let mut last = done(1);
    let now = Duration::ZERO;
    (last.read, last.deferred) = (3, (1..=3).map(|number| deferred(number, 1, now)).collect());
    store.checkpoint(&range.token, last).await.unwrap();
    damage(&database, "UPDATE webpush_channels.retries SET origin = 'nowhere' WHERE attempts = 1").await;
    assert!(lease(&store).await.is_none(), "they do not come back at once");

    let repair = "UPDATE webpush_channels.retries SET due = 0, origin = 'fcm' WHERE id = ";
    let whole = u128::from_be_bytes(*retry(2).as_bytes());
    damage(&database, &format!("{repair}'\\x{whole:032x}'")).await;
    let batch = lease(&store).await.unwrap();
    let Work::Retries(due) = &batch.work else { panic!("{:?}", batch.work) };
    assert_eq!(due.iter().map(|due| due.retry).collect::<Vec<_>>(), [retry(2)]);
}

#[tokio::test]
async fn a_subscription_that_cannot_be_read_is_none() {
    let database = Database::new().await;
    let store = database.store().await;
    store.put(&[entry("ann", 1)]).await.unwrap();
    begin(&store, "a", 1).await;
    let range = lease(&store).await.unwrap();
    let mut last = done(1);
    (last.read, last.deferred) = (1, vec![deferred(1, 1, Duration::ZERO)]);
    store.checkpoint(&range.token, last).await.unwrap();
    for damaged in [false, true] {
        if damaged {
            damage(&database, "UPDATE webpush_channels.subscriptions SET p256dh = 'x'").await;
        }
        let batch = lease(&store).await.unwrap();
        let Work::Retries(due) = &batch.work else { panic!("{:?}", batch.work) };
        assert_eq!(due[0].entry.is_none(), damaged);
        assert_eq!(due[0].user, user("ann"));
        store.release(&batch.token).await.unwrap();
    }
}

#[tokio::test]
async fn sums_that_cannot_be_read_are_an_error() {
    let database = Database::new().await;
    let store = database.store().await;
    begin(&store, "a", 2).await;
    let work = lease(&store).await.unwrap();
    damage(&database, "UPDATE webpush_channels.ranges SET tally = '{}'").await;
    let error = store.report(&id("a")).await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Backend);
    assert!(format!("{error:?}").contains("tally"), "the column is named");
    let error = store.checkpoint(&work.token, Checkpoint::new(1, TERM)).await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Backend);

    let repair = r#"UPDATE webpush_channels.ranges SET tally = '{"origins": {}}'"#;
    damage(&database, repair).await;
    let state = store.checkpoint(&work.token, Checkpoint::new(1, TERM)).await.unwrap();
    assert!(matches!(state, State::Running(_)));
}

#[tokio::test]
async fn a_broadcast_whose_audience_is_damaged_can_be_aborted() {
    let database = Database::new().await;
    let store = database.store().await;
    begin(&store, "a", 2).await;
    damage(&database, "UPDATE webpush_channels.broadcasts SET audience_kind = 9").await;
    assert_eq!(store.summary(&id("a")).await.unwrap_err().kind(), JournalErrorKind::Backend);
    assert_eq!(store.abort(&id("a")).await.unwrap().state, BroadcastState::Aborted);
}

#[tokio::test]
async fn a_damaged_beginning_is_long_ago() {
    let database = Database::new().await;
    let store = database.store().await;
    begin(&store, "a", 1).await;
    for (created, since) in [(1_700_000_000_123_i64, 1_700_000_000_123), (-5, 0)] {
        damage(&database, &format!("UPDATE webpush_channels.broadcasts SET created = {created}")).await;
        let summary = store.summary(&id("a")).await.unwrap().unwrap();
        assert_eq!(summary.created, SystemTime::UNIX_EPOCH + Duration::from_millis(since));
    }
}

#[tokio::test]
async fn a_user_is_forgotten_past_damage() {
    let damages = [
        "UPDATE webpush_channels.ranges SET tally = '' WHERE number = 0",
        "UPDATE webpush_channels.ranges SET tally = '' WHERE number = 1",
        "UPDATE webpush_channels.totals SET counts = ''",
    ];
    for sql in damages {
        let database = Database::new().await;
        let store = database.store().await;
        store.put(&[entry("ann", 1)]).await.unwrap();
        begin(&store, "ended", 0).await;
        begin(&store, "a", 1).await;
        let range = lease(&store).await.unwrap();
        let mut last = done(1);
        (last.read, last.deferred) = (1, vec![deferred(1, 1, TERM)]);
        store.checkpoint(&range.token, last).await.unwrap();
        damage(&database, sql).await;
        store.forget(&user("ann")).await.unwrap();
        assert!(store.subscriptions(&user("ann")).await.unwrap().is_empty());
        let client = database.client().await;
        let left = "SELECT (SELECT count(*) FROM webpush_channels.retries) + \
             (SELECT count(*) FROM webpush_channels.broadcasts WHERE ended IS NULL)";
        let left: i64 = client.query_one(left, &[]).await.unwrap().get(0);
        assert_eq!(left, 1, "the broadcast is left as it was, without the retry: {sql}");
    }
}
