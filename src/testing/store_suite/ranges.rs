//! `split`, ranges and positions.

use std::time::Duration;

use super::kit::*;
use crate::store::{Audience, Position, Range, StoreError, StoreErrorKind, SubscriptionStore};

/// The ranges of one split have every entry once.
pub async fn ranges_cover_an_audience_once(store: &dyn SubscriptionStore) {
    let all = populate(store, 20, 2).await;
    leave(store, "news", &["u7", "u0", "u19"]).await;
    let all: Vec<u32> = all.into_iter().filter(|n| ![7, 0, 19].contains(&(n / 10))).collect();
    for to in [members("news"), Audience::User(user("u3"))] {
        let all = if matches!(to, Audience::User(_)) { vec![30, 31] } else { all.clone() };
        for parts in [1, 2, 3, 16, 1000, u16::MAX] {
            let mut read = Vec::new();
            for range in split(store, &to, parts).await {
                read.extend(Scan::of(store, &to, range, 3).rest().await);
            }
            assert_eq!(sorted(&read), all, "{parts} parts");
        }
    }
}

/// Whoever joins after the split is not part of the broadcast.
pub async fn who_joins_later_is_not_in_a_range(store: &dyn SubscriptionStore) {
    store.put(&[new("early", 1), new("late", 2), new("new", 3)]).await.expect("put");
    join(store, "news", &["new"]).await;
    let ranges = split(store, &members("news"), 4).await;
    join(store, "news", &["early", "late"]).await;
    let mut read = Vec::new();
    for range in ranges {
        read.extend(Scan::of(store, &members("news"), range, 2).rest().await);
    }
    assert_eq!(numbers(&read), [3]);
    assert_eq!(sorted(&scan(store, &members("news"), 2).await), [1, 2, 3], "but of the next one");

    let empty = split(store, &members("sport"), 1).await;
    join(store, "sport", &["early"]).await;
    assert!(Scan::of(store, &members("sport"), empty[0], 2).rest().await.is_empty());
}

/// Leaving and joining again is joining later.
pub async fn who_joins_again_is_not_in_a_range(store: &dyn SubscriptionStore) {
    store.put(&[new("ann", 1), new("bob", 2), new("cid", 3)]).await.expect("put");
    join(store, "news", &["ann", "bob", "cid"]).await;
    let scan = Scan::new(store, &members("news"), 2).await;
    leave(store, "news", &["bob"]).await;
    join(store, "news", &["bob", "ann"]).await;
    assert_eq!(sorted(&scan.rest().await), [1, 3], "joining without having left changes nothing");

    let scan = Scan::new(store, &members("news"), 2).await;
    store.remove_channel(&channel("news")).await.expect("remove_channel");
    join(store, "news", &["ann", "bob"]).await;
    assert!(scan.rest().await.is_empty());
}

/// A subscription that a member adds after the split is not part of the broadcast.
pub async fn a_subscription_added_later_is_not_in_a_range(store: &dyn SubscriptionStore) {
    populate(store, 2, 2).await;
    for to in [members("news"), Audience::User(user("u0"))] {
        let mut scan = Scan::new(store, &to, 1).await;
        let before = numbers(&self::scan(store, &to, 10).await);
        scan.until(1).await;
        let base = if matches!(to, Audience::User(_)) { 60 } else { 50 };
        store.put(&[new("u0", base), new("u1", base + 1)]).await.expect("put");
        assert_eq!(numbers(&scan.rest().await), before);
    }
    let gone = Scan::new(store, &Audience::User(user("u0")), 1).await;
    store.forget(&user("u0")).await.expect("forget");
    put(store, new("u0", 70)).await;
    assert!(gone.rest().await.is_empty(), "a user who comes back is new");
}

/// A scan can be interrupted and go on from octets that were kept.
pub async fn positions_and_ranges_survive_as_octets(store: &dyn SubscriptionStore) {
    let all = populate(store, 4, 3).await;
    let mut scan = Scan::new(store, &members("news"), 2).await;
    loop {
        scan.through_octets();
        if !scan.page().await {
            break;
        }
    }
    assert_eq!(sorted(&scan.read), all);

    // A page can be read again from its position.
    let range = split(store, &members("news"), 1).await[0];
    let first = store.page(&members("news"), &range, None, limit(2)).await.expect("page");
    for _ in 0..2 {
        let again = store.page(&members("news"), &range, first.next.as_ref(), limit(2)).await.expect("page");
        assert!(!again.entries.is_empty());
        assert_ne!(numbers(&again.entries), numbers(&first.entries));
    }
}

/// Octets of another store are an error, not a scan of something else.
pub async fn foreign_octets_are_refused(store: &dyn SubscriptionStore) {
    populate(store, 2, 2).await;
    let to = members("news");
    let range = split(store, &to, 1).await[0];
    for foreign in [Range::encode(*b"foreign!", [0, 1, 2, 3]), Range::encode(*b"foreign!", [])] {
        refused(store.page(&to, &foreign, None, limit(2)).await);
    }
    for foreign in [Position::encode(*b"foreign!", [0, 1]), Position::encode(*b"foreign!", [])] {
        refused(store.page(&to, &range, Some(&foreign), limit(2)).await);
        refused(store.needing_renewal(Some(&foreign), limit(2)).await);
        refused(store.unseen(Duration::ZERO, Some(&foreign), limit(2)).await);
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.expect_err("the octets belong to another store");
    assert_eq!(error.kind(), StoreErrorKind::Position);
    assert!(!error.is_retryable());
}
