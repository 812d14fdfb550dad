//! `put`.

use std::time::{Duration, SystemTime};

use super::kit::*;
use crate::store::{Change, Coding, NewEntry, Put, SubscriptionStore};

/// A new subscription has the parts that it was put with, and no limit or mark.
pub async fn a_new_subscription_is_stored_as_it_was_given(store: &dyn SubscriptionStore) {
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let given = subscription(1, 7).with_expiration_time(Some(expires));
    let new = NewEntry::new(user("ann"), given.clone()).with_key(key(3)).with_coding(Coding::AesGcm);
    let version = new.version();
    assert_eq!(put(store, new).await, Put::New);

    let entry = only(store, "ann").await;
    assert_eq!(*entry.subscription, given);
    assert_eq!((entry.key, entry.coding), (Some(key(3)), Coding::AesGcm));
    assert_eq!((entry.payload_limit, entry.needs_renewal), (None, false));
    assert_eq!(entry.version, version);
    assert!(list(store, "bob").await.is_empty());
}

/// Putting the same again is [`Put::Same`] and changes nothing but `seen`.
pub async fn an_identical_put_changes_nothing_else(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1).with_key(key(1))).await;
    assert!(apply_one(store, before.reference(), Change::LimitPayload(3000)).await);
    assert!(apply_one(store, before.reference(), Change::NeedsRenewal).await);
    let before = only(store, "ann").await;

    assert_eq!(put(store, new("ann", 1).with_key(key(1))).await, Put::Same);
    assert_unchanged(&before, &only(store, "ann").await);
}

/// The expiration time is in no version, and the last one counts.
pub async fn an_identical_put_takes_over_the_expiration_time(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1)).await;
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let renewed = subscription(1, 0).with_expiration_time(Some(expires));
    assert_eq!(put(store, NewEntry::new(user("ann"), renewed)).await, Put::Same);

    let after = only(store, "ann").await;
    assert_eq!(after.subscription.expiration_time(), Some(expires));
    assert_eq!(after.version, before.version);
}

/// New keys are [`Put::Renewed`], and what was learned of the old ones is void.
pub async fn new_keys_renew_and_clear_limit_and_mark(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1)).await;
    assert!(apply_one(store, before.reference(), Change::LimitPayload(3000)).await);
    assert!(apply_one(store, before.reference(), Change::NeedsRenewal).await);

    assert_eq!(put(store, new_with_keys("ann", 1, 9)).await, Put::Renewed);
    let after = only(store, "ann").await;
    assert_eq!(*after.subscription, subscription(1, 9));
    assert_eq!((after.payload_limit, after.needs_renewal), (None, false));
    assert_ne!(after.version, before.version);
    assert_eq!(after.created, before.created);
}

/// Another VAPID key is [`Put::Renewed`] and clears the mark; the limit stays.
pub async fn another_vapid_key_renews_and_clears_the_mark(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1).with_key(key(1))).await;
    assert!(apply_one(store, before.reference(), Change::LimitPayload(3000)).await);
    assert!(apply_one(store, before.reference(), Change::NeedsRenewal).await);

    assert_eq!(put(store, new("ann", 1).with_key(key(2))).await, Put::Renewed);
    let after = only(store, "ann").await;
    assert_eq!(after.key, Some(key(2)));
    assert_eq!((after.payload_limit, after.needs_renewal), (Some(3000), false));
    assert_ne!(after.version, before.version);
}

/// Another coding is [`Put::Renewed`]; limit and mark stay.
pub async fn another_coding_renews_and_clears_nothing(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1).with_key(key(1))).await;
    assert!(apply_one(store, before.reference(), Change::LimitPayload(3000)).await);
    assert!(apply_one(store, before.reference(), Change::NeedsRenewal).await);

    assert_eq!(put(store, new("ann", 1).with_coding(Coding::AesGcm)).await, Put::Renewed);
    let after = only(store, "ann").await;
    assert_eq!((after.key, after.coding), (Some(key(1)), Coding::AesGcm));
    assert_eq!((after.payload_limit, after.needs_renewal), (Some(3000), true));
    assert_ne!(after.version, before.version);
}

/// A page that sends its `toJSON()` again does not lose the key that was learned.
pub async fn a_put_without_vapid_key_keeps_the_known_one(store: &dyn SubscriptionStore) {
    let entry = stored(store, new("ann", 1)).await;
    assert!(apply_one(store, entry.reference(), Change::UseKey(key(5))).await);
    let before = only(store, "ann").await;

    assert_eq!(put(store, new("ann", 1)).await, Put::Same);
    assert_unchanged(&before, &only(store, "ann").await);
}

/// With new keys, the known VAPID key proves nothing any more.
pub async fn new_keys_without_vapid_key_forget_the_known_one(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1).with_key(key(5))).await;
    assert_eq!(put(store, new_with_keys("ann", 1, 9)).await, Put::Renewed);
    assert_eq!(only(store, "ann").await.key, None);
}

/// The last user who puts an endpoint owns it; what its push service said of it stays.
pub async fn another_user_takes_an_endpoint_over(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1).with_key(key(5))).await;
    assert!(apply_one(store, before.reference(), Change::LimitPayload(3000)).await);
    assert!(apply_one(store, before.reference(), Change::NeedsRenewal).await);
    join(store, "news", &["ann"]).await;

    assert_eq!(put(store, new("bob", 1)).await, Put::Moved);
    assert!(list(store, "ann").await.is_empty());
    let after = only(store, "bob").await;
    assert_eq!(after.key, None, "the key is kept for the same user only");
    assert_eq!((after.payload_limit, after.needs_renewal), (Some(3000), true));
    assert_ne!(after.version, before.version);
    assert!(scan(store, &members("news"), 10).await.is_empty(), "only ann is a member");

    assert_eq!(put(store, new_with_keys("ann", 1, 9)).await, Put::Moved);
    let back = only(store, "ann").await;
    assert_eq!((back.payload_limit, back.needs_renewal), (None, false));
    assert_eq!(scan(store, &members("news"), 10).await.len(), 1);
}

/// A batch has a result for each entry, and the last entry with an endpoint wins.
pub async fn a_batch_is_put_in_order(store: &dyn SubscriptionStore) {
    assert_eq!(store.put(&[]).await.expect("put"), []);
    let batch = [new("ann", 1), new("ann", 2), new("bob", 1), new_with_keys("ann", 2, 9), new("bob", 1)];
    let puts = store.put(&batch).await.expect("put");
    assert_eq!(puts, [Put::New, Put::New, Put::Moved, Put::Renewed, Put::Same]);
    assert_eq!(*only(store, "ann").await.subscription, subscription(2, 9));
    assert_eq!(*only(store, "bob").await.subscription, subscription(1, 0));
}
