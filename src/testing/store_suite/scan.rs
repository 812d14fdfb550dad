//! Pages.

use std::collections::HashSet;

use super::kit::*;
use crate::store::{Audience, Change, NewEntry, Put, SubscriptionStore};

/// Whatever the size of the pages, also inside one user, each entry comes once.
pub async fn a_scan_yields_everything_once_at_any_limit(store: &dyn SubscriptionStore) {
    let mut all = populate(store, 6, 5).await;
    stored(store, new("stranger", 999)).await;
    all.sort_unstable();
    for page in [1, 2, 3, 5, 7, 29, 30, 31, u16::MAX] {
        assert_eq!(sorted(&scan(store, &members("news"), page).await), all, "pages of {page}");
    }
}

/// One order for all scans, with the entries of a user together.
pub async fn the_order_is_one(store: &dyn SubscriptionStore) {
    populate(store, 6, 3).await;
    // Late ones, so that no store can rely on the order of insertion.
    store.put(&[new("u2", 28), new("u0", 8), new("u5", 58)]).await.expect("put");
    let order = scan(store, &members("news"), 1000).await;
    for page in [1, 2, 4] {
        assert_eq!(numbers(&scan(store, &members("news"), page).await), numbers(&order));
    }

    let mut done = HashSet::new();
    for of_one in order.chunk_by(|a, b| a.user == b.user) {
        let owner = &of_one[0].user;
        assert!(done.insert(owner.clone()), "the entries of a user stand together");
        assert_eq!(numbers(of_one), numbers(&list(store, owner.as_str()).await));
    }
}

/// One user's subscriptions are an audience as well.
pub async fn an_audience_may_be_one_user(store: &dyn SubscriptionStore) {
    populate(store, 3, 5).await;
    let to = Audience::User(user("u1"));
    for page in [1, 2, 10] {
        assert_eq!(numbers(&scan(store, &to, page).await), numbers(&list(store, "u1").await));
    }
}

/// A channel or user that nobody heard of has no entries, and that is no error.
pub async fn an_unknown_audience_is_empty(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1)).await;
    for to in [members("nowhere"), Audience::User(user("nobody"))] {
        for range in split(store, &to, 4).await {
            assert!(Scan::of(store, &to, range, 10).rest().await.is_empty());
        }
    }
}

/// Many members without a subscription between two with one: a scan finds both.
pub async fn members_without_subscriptions_do_not_end_a_scan(store: &dyn SubscriptionStore) {
    put(store, new("first", 1)).await;
    join(store, "news", &["first"]).await;
    for start in (0..3000).step_by(500) {
        let names: Vec<String> = (start..start + 500).map(|i| format!("silent{i}")).collect();
        join(store, "news", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    join(store, "news", &["last"]).await;
    put(store, new("last", 2)).await;
    for page in [1, 100] {
        assert_eq!(sorted(&scan(store, &members("news"), page).await), [1, 2]);
    }
}

/// What is put, renewed, replaced or added during a scan neither repeats an entry nor loses one.
pub async fn changes_during_a_scan_neither_repeat_nor_lose(store: &dyn SubscriptionStore) {
    let all = populate(store, 5, 3).await;
    let mut scan = Scan::new(store, &members("news"), 2).await;
    let mut round = 100;
    while scan.page().await {
        let again: Vec<NewEntry> =
            scan.read.iter().map(|entry| new(entry.user.as_str(), number(entry))).collect();
        store.put(&again).await.expect("put");
        put(store, new("u4", round)).await;
        put(store, new("u0", round + 1)).await;
        // One that was read, and one that was not, with new keys.
        for owner in ["u0", "u4"] {
            let entry = list(store, owner).await.remove(0);
            put(store, new_with_keys(owner, number(&entry), u8::try_from(round).expect("few rounds"))).await;
        }
        let entry = list(store, "u2").await.remove(1);
        let key = key(u8::try_from(round).expect("few rounds"));
        assert!(apply_one(store, entry.reference(), Change::UseKey(key)).await);
        round += 2;
    }
    assert_eq!(sorted(&scan.read), all);

    let mut scan = Scan::new(store, &members("news"), 1).await;
    scan.until(1).await;
    let (first, order) = (scan.read[0].clone(), list(store, "u3").await);
    for (old, by) in [(&first, new(first.user.as_str(), 901)), (&order[1], new("u3", 902))] {
        let owner = old.user.clone();
        let put = store.replace(&owner, &old.subscription.id(), &by).await.expect("replace");
        assert_eq!(put, Put::Renewed);
    }
    let read = numbers(&scan.rest().await);
    assert!(!read.contains(&901), "its place was read already");
    assert_eq!(read.iter().filter(|n| **n == 902).count(), 1, "its place was still to come");
    assert!(!read.contains(&number(&order[1])));
}

/// What is removed during a scan does not come any more, and takes no other with it.
pub async fn removals_during_a_scan_do_not_lose_others(store: &dyn SubscriptionStore) {
    populate(store, 5, 4).await;
    let order = scan(store, &members("news"), 100).await;
    let mut scan = Scan::new(store, &members("news"), 3).await;
    scan.until(6).await;
    let read = scan.read.len();
    // Every second one, in front of the position and behind it; the one at the position as well.
    let removed = |i: usize| i.is_multiple_of(2) || i == read - 1;
    for (_, entry) in order.iter().enumerate().filter(|(i, _)| removed(*i)) {
        assert!(apply_one(store, entry.reference(), Change::Remove).await);
    }
    leave(store, "news", &["u0"]).await;
    let rest = scan.rest().await;
    let expected: Vec<u32> = (read..)
        .zip(&order[read..])
        .filter(|(i, e)| !removed(*i) && e.user != user("u0"))
        .map(|(_, e)| number(e))
        .collect();
    assert_eq!(numbers(&rest[read..]), expected);
}

/// An entry that another member takes over during a scan is not read as both.
pub async fn a_move_during_a_scan_is_not_sent_twice(store: &dyn SubscriptionStore) {
    populate(store, 4, 3).await;
    let order = scan(store, &members("news"), 100).await;
    let mut scan = Scan::new(store, &members("news"), 1).await;
    scan.until(1).await;
    // One that was read goes to the last user, the last one to the user being read.
    let (first, last) = (&order[0], &order[order.len() - 1]);
    assert_eq!(put(store, new(last.user.as_str(), number(first))).await, Put::Moved);
    assert_eq!(put(store, new(first.user.as_str(), number(last))).await, Put::Moved);

    let read = numbers(&scan.rest().await);
    assert_eq!(read, numbers(&order[..order.len() - 1]), "what moved is new, hence not in the range");
}
