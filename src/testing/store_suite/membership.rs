//! Who is in which channel.

use super::kit::*;
use crate::store::{Audience, Count, Put, SubscriptionStore};

async fn channels(store: &dyn SubscriptionStore, owner: &str) -> Vec<String> {
    let names = store.channels(&user(owner)).await.expect("channels");
    let mut names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.sort();
    names
}

/// Joining twice is joining once, and leaving where one is not a member is nothing.
pub async fn joining_is_idempotent(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1)).await;
    join(store, "news", &[]).await;
    join(store, "news", &["ann", "ann"]).await;
    join(store, "news", &["ann"]).await;
    join(store, "sport", &["ann"]).await;
    assert_eq!(channels(store, "ann").await, ["news", "sport"]);
    assert_eq!(scan(store, &members("news"), 10).await.len(), 1);

    leave(store, "news", &["ann", "bob", "ann"]).await;
    leave(store, "nowhere", &["ann"]).await;
    leave(store, "news", &["ann"]).await;
    assert_eq!(channels(store, "ann").await, ["sport"]);
    assert!(channels(store, "bob").await.is_empty());
}

/// Every subscription of a member is reached, also one that came after joining.
pub async fn membership_is_by_user(store: &dyn SubscriptionStore) {
    join(store, "news", &["ann"]).await;
    assert_eq!(channels(store, "ann").await, ["news"]);
    assert!(scan(store, &members("news"), 10).await.is_empty());

    store.put(&[new("ann", 1), new("ann", 2), new("bob", 3)]).await.expect("put");
    assert_eq!(sorted(&scan(store, &members("news"), 10).await), [1, 2]);
    join(store, "news", &["bob"]).await;
    join(store, "sport", &["bob"]).await;
    assert_eq!(sorted(&scan(store, &members("news"), 10).await), [1, 2, 3]);
    assert_eq!(sorted(&scan(store, &members("sport"), 10).await), [3]);
}

/// Leaving ends membership in one channel and nothing else.
pub async fn leaving_keeps_subscriptions(store: &dyn SubscriptionStore) {
    store.put(&[new("ann", 1), new("bob", 2)]).await.expect("put");
    for name in ["news", "sport"] {
        join(store, name, &["ann", "bob"]).await;
    }
    leave(store, "news", &["ann"]).await;
    assert_eq!(sorted(&scan(store, &members("news"), 10).await), [2]);
    assert_eq!(sorted(&scan(store, &members("sport"), 10).await), [1, 2]);
    assert_eq!(number(&only(store, "ann").await), 1);
}

/// Names are compared octet by octet, whatever a database makes of them.
pub async fn similar_names_are_different(store: &dyn SubscriptionStore) {
    let long = "x".repeat(255);
    let names = ["ann", "Ann", "ann ", "a%", "a_n", "\u{e4}nn", "a\u{308}nn", "'ann", "1", "01", &long];
    for (endpoint, name) in (1..).zip(names) {
        assert_eq!(put(store, new(name, endpoint)).await, Put::New);
        join(store, name, &[name]).await;
    }
    let long_channel = "y".repeat(1024);
    join(store, &long_channel, &["ann"]).await;
    assert_eq!(scan(store, &members(&long_channel), 10).await.len(), 1);
    for (endpoint, name) in (1..).zip(names) {
        assert_eq!(number(&only(store, name).await), endpoint, "{name:?}");
        assert_eq!(numbers(&scan(store, &members(name), 10).await), [endpoint], "{name:?}");
    }
}

/// Removing a channel ends its memberships; the name can be used again.
pub async fn a_removed_channel_is_empty(store: &dyn SubscriptionStore) {
    store.put(&[new("ann", 1), new("bob", 2)]).await.expect("put");
    for name in ["news", "sport"] {
        join(store, name, &["ann", "bob", "nobody"]).await;
    }
    let doomed = channel("news");
    store.remove_channel(&doomed).await.expect("remove_channel");
    store.remove_channel(&doomed).await.expect("remove_channel again");
    assert!(scan(store, &members("news"), 10).await.is_empty());
    assert_eq!(channels(store, "ann").await, ["sport"]);
    assert_eq!(sorted(&scan(store, &members("sport"), 10).await), [1, 2]);
    only(store, "ann").await;

    join(store, "news", &["bob"]).await;
    assert_eq!(numbers(&scan(store, &members("news"), 10).await), [2]);
}

/// Nothing is left of a forgotten user; the others keep everything.
pub async fn forgetting_a_user_removes_everything(store: &dyn SubscriptionStore) {
    populate(store, 3, 4).await;
    join(store, "sport", &["u1", "u2", "nobody"]).await;
    for name in ["u1", "nobody", "unknown"] {
        store.forget(&user(name)).await.expect("forget");
        assert!(list(store, name).await.is_empty());
        assert!(channels(store, name).await.is_empty());
    }
    assert_eq!(sorted(&scan(store, &members("news"), 10).await), [0, 1, 2, 3, 20, 21, 22, 23]);
    assert_eq!(sorted(&scan(store, &members("sport"), 10).await), [20, 21, 22, 23]);

    stored(store, new("u1", 10)).await;
    assert!(channels(store, "u1").await.is_empty(), "a new user of this name is in no channel");
}

/// Counts are those of a scan.
pub async fn counts_are_exact(store: &dyn SubscriptionStore) {
    let expect = async |to: &Audience, members, subscriptions| {
        let count = store.count(to).await.expect("count");
        assert_eq!(count, Count { members, subscriptions }, "{to:?}");
    };
    store.check().await.expect("the store is usable");
    expect(&members("news"), 0, 0).await;
    populate(store, 7, 3).await;
    expect(&members("news"), 7, 21).await;
    expect(&Audience::User(user("u3")), 1, 3).await;
    expect(&Audience::User(user("unknown")), 0, 0).await;

    leave(store, "news", &["u0", "u1"]).await;
    put(store, new("u6", 20)).await;
    put(store, new("u5", 99)).await;
    store.forget(&user("u4")).await.expect("forget");
    expect(&members("news"), 4, 13).await;
    join(store, "sport", &["u0", "u6"]).await;
    expect(&members("sport"), 2, 7).await;
}
