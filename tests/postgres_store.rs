//! `PostgresStore` passes the suite, alone and beside others.

#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "support/postgres.rs"]
mod postgres;

mod plain {
    use std::num::NonZeroU32;

    use super::postgres::{fresh, fresh_with};

    const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();

    webpush_channels::store_suite!(
        fresh().await,
        limit 3: fresh_with(|builder| builder.max_subscriptions_per_user(THREE)).await
    );
}

mod behind_an_arc {
    use std::sync::Arc;

    use webpush_channels::store::SubscriptionStore;
    use webpush_channels::testing::store_suite;

    use super::postgres::fresh;

    #[tokio::test]
    async fn agrees_with_another_history() {
        let store: Arc<dyn SubscriptionStore> = Arc::new(fresh().await);
        store_suite::agrees_with_a_model_for(&store, 7).await;
    }
}

mod several_nodes {
    use std::num::{NonZeroU16, NonZeroU32};

    use futures_util::future::{join_all, try_join_all};
    use webpush_channels::store::{Audience, NewEntry, PostgresStore, Put, SubscriptionStore};
    use webpush_channels::{ChannelName, UserId};

    use super::kit::{assert_consistent, channel, new, user};
    use super::postgres::Database;

    #[tokio::test]
    async fn one_goes_on_where_another_stopped() {
        let database = Database::new().await;
        let (a, b) = (database.store().await, database.store().await);
        let entries: Vec<NewEntry> = (0..10).map(|i| new("ann", i)).collect();
        a.put(&entries).await.unwrap();
        b.join(&channel("news"), &[user("ann")]).await.unwrap();
        let to = Audience::Channel(channel("news"));
        let range = a.split(&to, NonZeroU16::MIN).await.unwrap()[0];
        let four = NonZeroU16::new(4).unwrap();
        let first = b.page(&to, &range, None, four).await.unwrap();
        let rest = a.page(&to, &range, first.next.as_ref(), NonZeroU16::MAX).await.unwrap();
        assert_eq!((first.entries.len(), rest.entries.len(), rest.next), (4, 6, None));
    }

    #[tokio::test]
    async fn tables_are_made_once() {
        let database = Database::new().await;
        let stores = try_join_all((0..6).map(|_| database.builder().max_connections(1).connect()));
        let stores = stores.await.unwrap();
        stores[0].put(&[new("ann", 1)]).await.unwrap();
        for store in &stores {
            assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn the_same_endpoints_put_at_once_have_one_owner_each() {
        let database = Database::new().await;
        let stores = [database.store().await, database.store().await];
        let batch = |owner: &str, endpoints: &mut dyn Iterator<Item = u32>| -> Vec<NewEntry> {
            endpoints.map(|endpoint| new(owner, endpoint)).collect()
        };
        // New at once, then taken from each other, in opposite orders.
        for _ in 0..3 {
            let (one, other) = (batch("ann", &mut (0..40)), batch("bob", &mut (0..40).rev()));
            let both = join_all([stores[0].put(&one), stores[1].put(&other)]).await;
            for puts in both {
                assert!(puts.unwrap().iter().all(|put| matches!(put, Put::New | Put::Moved | Put::Same)));
            }
            let owned = [list(&stores[0], "ann").await, list(&stores[1], "bob").await];
            assert!(owned == [40, 0] || owned == [0, 40], "{owned:?}");
            assert_consistent(&database).await;
        }
    }

    #[tokio::test]
    async fn what_moves_while_an_audience_is_split_is_read_once() {
        let database = Database::new().await;
        let (store, other) = (database.store().await, database.store().await);
        store.put(&[new("ann", 1), new("bob", 2)]).await.unwrap();
        store.join(&channel("news"), &[user("ann"), user("bob")]).await.unwrap();
        // The move has its number, and cannot go on.
        let (mut client, watch) = (database.client().await, database.client().await);
        let held = client.transaction().await.unwrap();
        held.batch_execute("LOCK TABLE webpush_channels.subscriptions IN SHARE MODE").await.unwrap();
        let moving = tokio::spawn(async move { other.put(&[new("bob", 1)]).await.unwrap() });
        while waiting(&watch).await < 1 {}

        let scan = tokio::spawn(async move {
            let to = Audience::Channel(channel("news"));
            let range = store.split(&to, NonZeroU16::MIN).await.unwrap()[0];
            let first = store.page(&to, &range, None, NonZeroU16::MIN).await.unwrap();
            (store, to, range, first)
        });
        while !scan.is_finished() && waiting(&watch).await < 2 {}
        held.commit().await.unwrap();
        assert_eq!(moving.await.unwrap(), [Put::Moved]);
        let (store, to, range, first) = scan.await.unwrap();
        let rest = store.page(&to, &range, first.next.as_ref(), NonZeroU16::MAX).await.unwrap();
        let moved = new("bob", 1).subscription.id();
        let read = first.entries.iter().chain(&rest.entries);
        assert_eq!(read.filter(|entry| entry.subscription.id() == moved).count(), 1);
    }

    /// How many wait for a lock.
    async fn waiting(client: &tokio_postgres::Client) -> i64 {
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = \
            (SELECT oid FROM pg_database WHERE datname = current_database())";
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn list(store: &PostgresStore, owner: &str) -> usize {
        store.subscriptions(&user(owner)).await.unwrap().len()
    }

    #[tokio::test]
    async fn the_limit_holds_across_nodes() {
        let database = Database::new().await;
        let five = NonZeroU32::new(5).unwrap();
        let build = || database.builder().max_subscriptions_per_user(five).connect();
        let stores = [build().await.unwrap(), build().await.unwrap()];
        let entries: Vec<[NewEntry; 1]> = (0..20).map(|endpoint| [new("ann", endpoint)]).collect();
        let puts = (0..20).map(|i| stores[i % 2].put(&entries[i]));
        let puts: Vec<Put> = try_join_all(puts).await.unwrap().concat();
        assert_eq!(puts.iter().filter(|put| **put == Put::New).count(), 5);
        assert_eq!(list(&stores[0], "ann").await, 5);
        assert_consistent(&database).await;
    }

    #[tokio::test]
    async fn everything_at_once_leaves_no_loose_ends() {
        let database = Database::new().await;
        let stores = [database.store().await, database.store().await];
        let users: Vec<UserId> = (0..4).map(|i| user(&format!("user{i}"))).collect();
        let news = channel("news");
        for round in 0..6 {
            let tasks = (0..8).map(|i| busy(&stores[i % 2], &users, &news, round * 8 + i));
            join_all(tasks).await;
        }
        assert_consistent(&database).await;
        for user in &users {
            stores[0].forget(user).await.unwrap();
        }
        stores[1].remove_channel(&news).await.unwrap();
        let rows = "SELECT (SELECT count(*) FROM webpush_channels.users) + \
            (SELECT count(*) FROM webpush_channels.subscriptions) + \
            (SELECT count(*) FROM webpush_channels.members) + \
            (SELECT count(*) FROM webpush_channels.channels) + \
            (SELECT count(*) FROM webpush_channels.former_ids)";
        let left: i64 = database.client().await.query_one(rows, &[]).await.unwrap().get(0);
        assert_eq!(left, 0);
    }

    /// What one of several callers does, told apart by a number.
    async fn busy(store: &PostgresStore, users: &[UserId], news: &ChannelName, number: usize) {
        let (mine, endpoint) = (&users[number % 4], u32::try_from(number % 9).unwrap());
        match number % 7 {
            0 => store.forget(mine).await.unwrap(),
            1 => store.leave(news, users).await.unwrap(),
            2 => store.remove_channel(news).await.unwrap(),
            3 => {
                let old = new(mine.as_str(), endpoint + 1).subscription.id();
                store.replace(mine, &old, &new(mine.as_str(), endpoint)).await.map(drop).unwrap();
            }
            4 => store.join(news, users).await.unwrap(),
            _ => {
                let entries: Vec<NewEntry> = users.iter().rev().map(|u| new(u.as_str(), endpoint)).collect();
                store.put(&entries).await.map(drop).unwrap();
                store.join(news, &users[number % 3..]).await.unwrap();
            }
        }
    }
}

mod large_batches {
    use std::num::NonZeroU16;

    use webpush_channels::UserId;
    use webpush_channels::store::{Audience, Change, NewEntry, Put, SubscriptionStore};

    use super::kit::{assert_consistent, channel, new, user};
    use super::postgres::Database;

    #[tokio::test]
    async fn more_than_one_transaction_takes() {
        let database = Database::new().await;
        let store = database.store().await;
        let names: Vec<String> = (0..2500).map(|i| format!("user{i}")).collect();
        let mut entries: Vec<NewEntry> = (0..).zip(&names).map(|(i, name)| new(name, i)).collect();
        entries.push(new("last", 2499));
        let puts = store.put(&entries).await.unwrap();
        assert!(puts[..2500].iter().all(|put| *put == Put::New));
        assert_eq!(puts[2500], Put::Moved);

        let users: Vec<UserId> = names.iter().map(|name| user(name)).collect();
        store.join(&channel("news"), &users).await.unwrap();
        let to = Audience::Channel(channel("news"));
        let ranges = store.split(&to, NonZeroU16::new(4).unwrap()).await.unwrap();
        assert_eq!(ranges.len(), 4);
        let mut read = Vec::new();
        for range in &ranges {
            let page = store.page(&to, range, None, NonZeroU16::MAX).await.unwrap();
            assert_eq!(page.next, None);
            read.extend(page.entries);
        }
        assert_eq!(read.len(), 2499, "one moved to a user who is no member");

        // Marks of a later part and keys of an earlier one take effect together.
        let key = webpush_channels::KeyId::from_bytes([1; 16]);
        let mut changes: Vec<_> = read.iter().map(|e| (e.reference(), Change::UseKey(key))).collect();
        changes.extend(read.iter().map(|e| (e.reference(), Change::LimitPayload(3000))));
        assert!(store.apply(&changes).await.unwrap().into_iter().all(|done| done));
        let kept = &store.subscriptions(&users[0]).await.unwrap()[0];
        assert_eq!((kept.key, kept.payload_limit), (Some(key), Some(3000)));

        store.remove_channel(&channel("news")).await.unwrap();
        assert!(store.channels(&users[0]).await.unwrap().is_empty());
        assert_consistent(&database).await;
    }

    #[tokio::test]
    async fn who_only_had_what_another_took_is_forgotten() {
        let database = Database::new().await;
        let store = database.store().await;
        let puts = store.put(&[new("ann", 1), new("bob", 1), new("cid", 1)]).await.unwrap();
        assert_eq!(puts, [Put::New, Put::Moved, Put::Moved]);
        assert_consistent(&database).await;
        assert_eq!(store.put(&[new("ann", 1)]).await.unwrap(), [Put::Moved]);
        assert_consistent(&database).await;
        assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_empty_batch_does_nothing() {
        let store = super::postgres::fresh().await;
        assert_eq!(store.put(&[]).await.unwrap(), []);
        assert!(store.apply(&[]).await.unwrap().is_empty());
        store.join(&channel("news"), &[]).await.unwrap();
        store.leave(&channel("news"), &[]).await.unwrap();
    }
}

mod unseen {
    use std::time::Duration;

    use webpush_channels::store::SubscriptionStore;
    use webpush_channels::testing::store_suite;

    use super::kit::new;
    use super::postgres::Database;

    const LATER: &str = "UPDATE webpush_channels.subscriptions SET seen = seen - $1";

    #[tokio::test]
    async fn who_stays_away_is_found() {
        let database = Database::new().await;
        let store = database.store().await;
        let pass = async |by: Duration| {
            let seconds = i64::try_from(by.as_secs()).unwrap();
            database.client().await.execute(LATER, &[&seconds]).await.unwrap();
        };
        store_suite::who_stays_away_is_unseen(&store, pass).await;
    }

    /// Five thousand rows are more than one page looks at.
    #[tokio::test]
    async fn a_page_ends_before_the_rows_do() {
        let database = Database::new().await;
        let store = database.store().await;
        let all: Vec<_> = (0..5000).map(|number| new(&format!("u{number}"), number)).collect();
        store.put(&all).await.unwrap();
        let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
        let last = "UPDATE webpush_channels.subscriptions SET seen = seen - 1000 WHERE number = \
            (SELECT max(number) FROM webpush_channels.subscriptions)";
        assert_eq!(database.client().await.execute(last, &[]).await.unwrap(), 1);
        loop {
            let limit = 10.try_into().unwrap();
            let page = store.unseen(Duration::from_secs(500), after.as_ref(), limit).await.unwrap();
            (pages, after) = (pages + 1, page.next);
            found.extend(page.entries);
            if after.is_none() {
                break;
            }
        }
        assert_eq!((pages, found.len()), (2, 1));
        assert!(found[0].age >= Duration::from_secs(1000));
    }
}

mod damaged_rows {
    use std::num::NonZeroU16;

    use webpush_channels::store::{Audience, Change, Put, StoreErrorKind, SubscriptionStore};

    use super::kit::{new, user};
    use super::postgres::Database;

    #[tokio::test]
    async fn one_is_left_out_until_it_is_put_again() {
        let database = Database::new().await;
        let store = database.store().await;
        store.put(&[new("ann", 1), new("ann", 2), new("ann", 3)]).await.unwrap();
        let second = store.subscriptions(&user("ann")).await.unwrap()[1].reference();
        let sql =
            "UPDATE webpush_channels.subscriptions SET p256dh = '\\x00', needs_renewal = TRUE WHERE id = $1";
        let id = second.id.as_bytes().as_slice();
        assert_eq!(database.client().await.execute(sql, &[&id]).await.unwrap(), 1);

        let to = Audience::User(user("ann"));
        let range = store.split(&to, NonZeroU16::MIN).await.unwrap()[0];
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = store.page(&to, &range, after.as_ref(), NonZeroU16::MIN).await.unwrap();
            read.extend(page.entries);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read.len(), 2);
        assert!(store.needing_renewal(None, NonZeroU16::MAX).await.unwrap().entries.is_empty());
        let error = store.subscriptions(&user("ann")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Backend);
        assert!(format!("{error:?}").contains("p256dh"), "the column is named");
        // Marks are not read with the rest: they are set, and seen by nobody.
        store.apply(&[(second, Change::NeedsRenewal), (second, Change::LimitPayload(9))]).await.unwrap();
        assert_eq!(store.apply(&[(second, Change::Remove)]).await.unwrap(), [false]);

        assert_eq!(store.put(&[new("ann", 2)]).await.unwrap(), [Put::Renewed]);
        assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 3);
    }
}

mod marks {
    use webpush_channels::store::{Change, SubscriptionStore};

    use super::kit::{new, user};
    use super::postgres::Database;

    const WAITING: &str = "SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";

    #[tokio::test]
    async fn an_entry_that_became_another_while_its_owner_was_waited_for_is_left_alone() {
        let database = Database::new().await;
        let store = database.store().await;
        store.put(&[new("ann", 1), new("ann", 2)]).await.unwrap();
        let entries = store.subscriptions(&user("ann")).await.unwrap();
        let changes = [0, 1].map(|at: usize| (entries[at].reference(), Change::LimitPayload(3000)));
        let mut other = database.client().await;
        let tx = other.transaction().await.unwrap();
        tx.execute("SELECT FROM webpush_channels.users WHERE name = 'ann' FOR UPDATE", &[]).await.unwrap();
        let marked = tokio::spawn(async move { store.apply(&changes).await });
        while database.client().await.query(WAITING, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let version =
            "UPDATE webpush_channels.subscriptions SET version = '\\x00112233445566778899aabbccddeeff'
            WHERE id = $1";
        let id = entries[0].subscription.id();
        assert_eq!(tx.execute(version, &[&id.as_bytes().as_slice()]).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(marked.await.unwrap().unwrap(), [false, true]);
        let entries = database.store().await.subscriptions(&user("ann")).await.unwrap();
        assert_eq!(entries.iter().map(|it| it.payload_limit).collect::<Vec<_>>(), [None, Some(3000)]);
    }
}

mod kit {
    use webpush_channels::store::NewEntry;
    use webpush_channels::{AuthSecret, ChannelName, PublicKey, Subscription, SubscriptionKeys, UserId};

    use super::postgres::Database;

    pub(crate) fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    pub(crate) fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    /// A subscription of this user, its endpoint told from others by a number.
    pub(crate) fn new(owner: &str, endpoint: u32) -> NewEntry {
        let key = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        let keys =
            SubscriptionKeys::new(PublicKey::from_base64url(key).unwrap(), AuthSecret::from_bytes([7; 16]));
        let endpoint = format!("https://push.example.net/p/{endpoint}").parse().unwrap();
        NewEntry::new(user(owner), Subscription::new(endpoint, keys))
    }

    /// What must hold of the tables at any time: counts are right, and nothing belongs to nobody.
    pub(crate) async fn assert_consistent(database: &Database) {
        let client = database.client().await;
        for wrong in [
            "webpush_channels.users u WHERE subscriptions <> \
             (SELECT count(*) FROM webpush_channels.subscriptions s WHERE s.owner = u.number)",
            "webpush_channels.subscriptions s WHERE NOT EXISTS \
             (SELECT FROM webpush_channels.users u WHERE u.number = s.owner)",
            "webpush_channels.members m WHERE NOT EXISTS \
             (SELECT FROM webpush_channels.users u WHERE u.number = m.owner)",
            "webpush_channels.members m WHERE NOT EXISTS \
             (SELECT FROM webpush_channels.channels c WHERE c.number = m.channel)",
            "webpush_channels.users u WHERE subscriptions = 0 AND NOT EXISTS \
             (SELECT FROM webpush_channels.members m WHERE m.owner = u.number)",
            "webpush_channels.former_ids f WHERE NOT EXISTS (SELECT FROM webpush_channels.subscriptions s \
             WHERE s.owner = f.owner AND s.number = f.number) OR EXISTS \
             (SELECT FROM webpush_channels.subscriptions s WHERE s.id = f.id)",
        ] {
            let row = client.query_one(&format!("SELECT count(*) FROM {wrong}"), &[]).await.unwrap();
            assert_eq!(row.get::<_, i64>(0), 0, "{wrong}");
        }
    }
}
