//! Stores that limit how many subscriptions a user has.

use futures_util::future::join_all;

use super::kit::*;
use crate::store::{Change, Put, SubscriptionStore};

/// For a store with this limit per user (at least 2): what is above it is refused and changes
/// nothing.
pub async fn a_limit_ends_at_the_user(store: &dyn SubscriptionStore, limit: u32) {
    for endpoint in 0..limit {
        assert_eq!(put(store, new("ann", endpoint)).await, Put::New);
    }
    assert_eq!(put(store, new("ann", 100)).await, Put::LimitReached);
    assert_eq!(put(store, new("ann", 0)).await, Put::Same, "what is there can be put again");
    assert_eq!(put(store, new_with_keys("ann", 0, 9)).await, Put::Renewed);
    assert_eq!(put(store, new("bob", 101)).await, Put::New, "the limit is for each user");

    let before = only(store, "bob").await;
    assert_eq!(put(store, new("ann", 101)).await, Put::LimitReached);
    assert_unchanged(&before, &only(store, "bob").await);
    let by = new("ann", 102);
    let replaced = store.replace(&by.user, &subscription(1, 0).id(), &by).await.expect("replace");
    assert_eq!(replaced, Put::Renewed, "a replacement is not one more");

    let entry = list(store, "ann").await.remove(0);
    assert!(apply_one(store, entry.reference(), Change::Remove).await);
    assert_eq!(put(store, new("ann", 101)).await, Put::Moved);
    assert_eq!(put(store, new("ann", 103)).await, Put::LimitReached);
}

/// For a store with this limit per user: puts at the same time do not exceed it.
pub async fn a_limit_holds_for_concurrent_puts(store: &dyn SubscriptionStore, limit: u32) {
    let puts = join_all((0..limit * 4).map(|endpoint| put(store, new("ann", endpoint)))).await;
    let new = puts.iter().filter(|put| **put == Put::New).count();
    assert_eq!(new, limit as usize);
    assert_eq!(list(store, "ann").await.len(), limit as usize);
}
