//! Several workers of several stores on one file, and the check of what they leave.

use super::*;

/// Entries of one range, of one checkpoint, and those of them that are deferred.
const ENTRIES: u64 = 30;
const STEP: u64 = 10;
const DEFERRED: u64 = 3;

/// Leases and works until nothing is left. Now and then it vanishes in the middle.
async fn work(store: &SqliteStore, dir: &TempDir, seed: u64) {
    let (me, mut random) = (WorkerId::random(), fastrand::Rng::with_seed(seed));
    let mut retries = 0;
    while !store.unfinished(None, NonZeroU16::MIN).await.unwrap().is_empty() {
        let Some(lease) = store.lease(&me, HOUR, limit(4)).await.unwrap() else {
            tokio::task::yield_now().await;
            continue;
        };
        let mut step = done(1);
        match &lease.work {
            Work::Range { after, .. } => {
                let from = after.map_or(0, |after| after.decode::<1>(TAG).unwrap()[0]);
                step = accepted(step, STEP - DEFERRED);
                (step.read, step.done) = (STEP, from + STEP == ENTRIES);
                step.position = Some(Position::encode(TAG, [from + STEP]));
                for _ in 0..DEFERRED {
                    let mut later = deferred(1, Duration::ZERO);
                    later.retry = RetryId::of(&me, retries);
                    retries += 1;
                    step.deferred.push(later);
                }
            }
            Work::Retries(due) => {
                let outcome = |retry| SettledRetry::new(retry, FCM, OutcomeKind::Accepted, None);
                step.settled = due.iter().map(|due| outcome(due.retry)).collect();
                step.settled.truncate(random.usize(..=due.len()));
            }
            other => panic!("{other:?}"),
        }
        if random.u8(..4) == 0 {
            // It has vanished, before or after its checkpoint.
            if random.bool() {
                store.checkpoint(&lease.token, step).await.unwrap();
            }
            let mine = "UPDATE leases SET until = 0 WHERE worker = ?1";
            raw(dir).execute(mine, [me.as_bytes()]).unwrap();
        } else {
            store.checkpoint(&lease.token, step).await.unwrap();
            store.release(&lease.token).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_vanishes_nothing_is_lost_or_counted_twice() {
    const BROADCASTS: u64 = 3;
    const RANGES: u64 = 4;
    let dir = TempDir::new();
    let (a, b) = (open(&dir).await, open(&dir).await);
    for n in 0..BROADCASTS {
        begin(&a, &n.to_string(), RANGES).await;
    }
    tokio::join!(work(&a, &dir, 1), work(&b, &dir, 2), work(&a, &dir, 3), work(&b, &dir, 4));
    for n in 0..BROADCASTS {
        let report = report(&a, &n.to_string()).await;
        assert_eq!((report.state, report.read), (BroadcastState::Finished, RANGES * ENTRIES));
        assert_eq!(report.counts[OutcomeKind::Accepted], RANGES * ENTRIES);
    }
    let totals = b.totals(&news()).await.unwrap();
    assert_eq!((totals.broadcasts, totals.counts.total()), (BROADCASTS, BROADCASTS * RANGES * ENTRIES));
    consistency::check(&raw(&dir));
}

#[tokio::test]
async fn the_check_of_a_database_finds_what_is_wrong() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    store.put(&[new("ann", 1), new("ann", 2)]).await.unwrap();
    let old = new("ann", 1).subscription.id();
    store.replace(&user("ann"), &old, &new("ann", 3)).await.unwrap();
    store.join(&news(), &[user("ann")]).await.unwrap();
    begin(&store, "ended", 0).await;
    begin(&store, "running", 3).await;
    let range = take(&store).await;
    let mut step = accepted(step(1), 4);
    (step.read, step.deferred) = (6, vec![deferred(1, Duration::ZERO), deferred(2, DAY)]);
    store.checkpoint(&range.token, step).await.unwrap();
    take(&store).await;
    let database = raw(&dir);
    consistency::check(&database);
    for damage in [
        "UPDATE users SET subscriptions = 3",
        "UPDATE subscriptions SET owner = 9 WHERE number > 0",
        "INSERT INTO members VALUES (1, 9, 9)",
        "UPDATE former_ids SET number = 9",
        "UPDATE former_ids SET id = (SELECT id FROM subscriptions LIMIT 1)",
        "UPDATE leases SET broadcast = 9 WHERE range = 0",
        "UPDATE leases SET broadcast = 1 WHERE range = 0",
        "UPDATE ranges SET lease = NULL",
        "DELETE FROM leases WHERE range > 0",
        "DELETE FROM leases WHERE range = 0",
        "UPDATE ranges SET done = 1",
        "UPDATE ranges SET broadcast = 1 WHERE number = 3",
        "UPDATE retries SET broadcast = 9",
        "INSERT INTO failures VALUES (1, 9, 'ann', x'00', 'fcm', 'gone', NULL, 1)",
        "UPDATE broadcasts SET state = 1",
        "UPDATE broadcasts SET tally = '{\"read\": 0, \"origins\": {}}' WHERE ended IS NULL",
        "DELETE FROM ranges WHERE number = 0",
        "DELETE FROM totals",
        "DELETE FROM retries WHERE lease IS NULL",
        "UPDATE broadcasts SET tally = '{\"read\": 1, \"origins\": {}}' WHERE ended > 0",
    ] {
        database.execute_batch("BEGIN").unwrap();
        assert!(database.execute(damage, []).unwrap() > 0, "{damage}");
        assert!(!consistency::problems(&database).is_empty(), "{damage}");
        database.execute_batch("ROLLBACK").unwrap();
    }
    consistency::check(&database);
}
