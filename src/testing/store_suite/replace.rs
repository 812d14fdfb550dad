//! `replace`.

use super::kit::*;
use crate::SubscriptionId;
use crate::store::{Change, Coding, NewEntry, Put, StoreErrorKind, SubscriptionStore};

fn id(endpoint: u32) -> SubscriptionId {
    subscription(endpoint, 0).id()
}

async fn replace(store: &dyn SubscriptionStore, old: u32, new: &NewEntry) -> Put {
    store.replace(&new.user, &id(old), new).await.expect("replace")
}

/// The replaced entry has a new id and version, and stands where the old one stood.
pub async fn a_replacement_keeps_its_place(store: &dyn SubscriptionStore) {
    let batch = [new("ann", 1), new("ann", 2).with_key(key(1)), new("ann", 3)];
    store.put(&batch).await.expect("put");
    join(store, "news", &["ann"]).await;
    let before = list(store, "ann").await;
    let place = before.iter().position(|entry| number(entry) == 2).expect("it is there");

    let by = new_with_keys("ann", 9, 9).with_coding(Coding::AesGcm);
    assert_eq!(replace(store, 2, &by).await, Put::Renewed);
    let after = list(store, "ann").await;
    assert_eq!(after.len(), 3);
    assert_eq!(*after[place].subscription, subscription(9, 9));
    assert_eq!((after[place].key, after[place].coding), (None, Coding::AesGcm));
    assert_eq!(after[place].version, by.version());
    assert_eq!(after[place].created, before[place].created);
    assert_eq!(numbers(&scan(store, &members("news"), 2).await), numbers(&after));
}

/// What was learned of the old endpoint is void.
pub async fn a_replacement_clears_limit_and_mark(store: &dyn SubscriptionStore) {
    let entry = stored(store, new("ann", 1)).await;
    assert!(apply_one(store, entry.reference(), Change::LimitPayload(3000)).await);
    assert!(apply_one(store, entry.reference(), Change::NeedsRenewal).await);
    assert_eq!(replace(store, 1, &new("ann", 2)).await, Put::Renewed);

    let after = only(store, "ann").await;
    assert_eq!((after.payload_limit, after.needs_renewal), (None, false));
    let page = store.needing_renewal(None, limit(10)).await.expect("needing_renewal");
    assert!(page.entries.is_empty());
}

/// A client that asks again after a lost answer changes nothing.
pub async fn a_replacement_can_be_repeated(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1)).await;
    assert_eq!(replace(store, 1, &new("ann", 2)).await, Put::Renewed);
    let before = only(store, "ann").await;
    assert_eq!(replace(store, 1, &new("ann", 2)).await, Put::Same);
    assert_unchanged(&before, &only(store, "ann").await);
}

/// A former id leads to the entry that took its place, however often that was replaced.
pub async fn replacements_chain(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1)).await;
    assert_eq!(replace(store, 1, &new("ann", 2)).await, Put::Renewed);
    assert_eq!(replace(store, 2, &new("ann", 3)).await, Put::Renewed);
    assert_eq!(replace(store, 1, &new("ann", 4)).await, Put::Renewed);
    assert_eq!(number(&only(store, "ann").await), 4);
    assert_eq!(replace(store, 3, &new("ann", 5)).await, Put::Renewed);
    assert_eq!(number(&only(store, "ann").await), 5);
}

/// At least the last eight former ids of an entry are known.
pub async fn eight_former_ids_are_remembered(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 0)).await;
    for old in 0..8 {
        assert_eq!(replace(store, old, &new("ann", old + 1)).await, Put::Renewed);
    }
    assert_eq!(replace(store, 0, &new("ann", 100)).await, Put::Renewed);
    assert_eq!(number(&only(store, "ann").await), 100);
}

/// A replacement that arrives after the next one does not turn the clock back.
pub async fn an_outdated_replacement_changes_nothing(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1)).await;
    replace(store, 1, &new("ann", 2)).await;
    replace(store, 2, &new("ann", 3)).await;
    let before = only(store, "ann").await;
    assert_eq!(replace(store, 1, &new("ann", 2)).await, Put::Same);
    assert_unchanged(&before, &only(store, "ann").await);
}

/// A result for the old endpoint does not touch the new one.
pub async fn a_former_id_is_unknown_to_apply(store: &dyn SubscriptionStore) {
    let old = stored(store, new("ann", 1)).await.reference();
    replace(store, 1, &new("ann", 2)).await;
    assert!(!apply_one(store, old, Change::Remove).await);
    let now = only(store, "ann").await;
    let mixed = crate::store::EntryRef { id: old.id, version: now.version };
    assert!(!apply_one(store, mixed, Change::Remove).await);
    assert_unchanged(&now, &only(store, "ann").await);
}

/// An endpoint that was replaced and comes back is an entry of its own.
pub async fn a_put_of_a_former_id_is_new(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1)).await;
    replace(store, 1, &new("ann", 2)).await;
    assert_eq!(put(store, new("ann", 1)).await, Put::New);
    assert_eq!(sorted(&list(store, "ann").await), [1, 2]);
    assert_eq!(replace(store, 1, &new("ann", 3)).await, Put::Renewed);
    assert_eq!(sorted(&list(store, "ann").await), [2, 3]);
}

/// When an entry is removed, its former ids lead nowhere.
pub async fn former_ids_go_with_their_entry(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1)).await;
    replace(store, 1, &new("ann", 2)).await;
    let entry = only(store, "ann").await;
    assert!(apply_one(store, entry.reference(), Change::Remove).await);
    assert_eq!(replace(store, 1, &new("ann", 3)).await, Put::New);

    replace(store, 3, &new("ann", 4)).await;
    assert_eq!(put(store, new("bob", 4)).await, Put::Moved);
    assert_eq!(replace(store, 3, &new("bob", 5)).await, Put::New);
    assert_eq!(sorted(&list(store, "bob").await), [4, 5]);
}

/// Where the old endpoint is unknown, the new one is just put.
pub async fn replacing_an_unknown_subscription_is_a_put(store: &dyn SubscriptionStore) {
    assert_eq!(replace(store, 1, &new("ann", 2)).await, Put::New);
    assert_eq!(replace(store, 1, &new("ann", 2)).await, Put::Same);
    assert_eq!(replace(store, 2, &new_with_keys("ann", 2, 9)).await, Put::Renewed);
    assert_eq!(*only(store, "ann").await.subscription, subscription(2, 9));
}

/// Knowing an endpoint gives no right to it.
pub async fn replacing_what_another_user_owns_is_a_put(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1)).await;
    assert_eq!(replace(store, 1, &new("eve", 2)).await, Put::New);
    assert_unchanged(&before, &only(store, "ann").await);
    replace(store, 1, &new("ann", 3)).await;
    let before = only(store, "ann").await;
    assert_eq!(replace(store, 1, &new("eve", 4)).await, Put::New);
    assert_unchanged(&before, &only(store, "ann").await);
}

/// When the new endpoint was put before the old one is replaced, it stays where it is.
pub async fn replacing_by_an_own_subscription_keeps_that_one(store: &dyn SubscriptionStore) {
    store.put(&[new("ann", 1), new("ann", 2), new("ann", 3)]).await.expect("put");
    replace(store, 1, &new("ann", 0)).await;
    let before = list(store, "ann").await;
    assert_eq!(replace(store, 0, &new("ann", 2)).await, Put::Same);
    let after = list(store, "ann").await;
    assert_eq!(numbers(&after), numbers(&before).into_iter().filter(|n| *n != 0).collect::<Vec<_>>());
    for former in [1, 0] {
        assert_eq!(replace(store, former, &new("ann", 2)).await, Put::Same);
    }
    assert_eq!(sorted(&list(store, "ann").await), [2, 3]);
}

/// When the new endpoint is another user's, it moves into the place of the old one.
pub async fn replacing_by_a_foreign_subscription_moves_it(store: &dyn SubscriptionStore) {
    store.put(&[new("ann", 1), new("ann", 2), new("bob", 3), new("bob", 4)]).await.expect("put");
    let place = list(store, "ann").await.iter().position(|entry| number(entry) == 1);
    assert_eq!(replace(store, 1, &new("ann", 3)).await, Put::Moved);
    let after = list(store, "ann").await;
    assert_eq!(sorted(&after), [2, 3]);
    assert_eq!(after.iter().position(|entry| number(entry) == 3), place);
    assert_eq!(number(&only(store, "bob").await), 4);
}

/// The user who asks and the owner of the new subscription are one.
pub async fn replacing_for_another_user_is_refused(store: &dyn SubscriptionStore) {
    stored(store, new("ann", 1)).await;
    let error = store.replace(&user("ann"), &id(1), &new("bob", 2)).await.expect_err("another user");
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert_eq!(number(&only(store, "ann").await), 1);
    assert!(list(store, "bob").await.is_empty());
}
