//! `apply` and `needing_renewal`.

use super::kit::*;
use crate::store::{Change, EntryRef, SubscriptionStore};

/// A removed entry is nowhere any more; the others stay.
pub async fn a_removal_removes(store: &dyn SubscriptionStore) {
    store.put(&[new("ann", 1), new("ann", 2), new("ann", 3)]).await.expect("put");
    for name in ["news", "sport"] {
        join(store, name, &["ann"]).await;
    }
    for gone in [2, 1, 3] {
        let entries = list(store, "ann").await;
        let entry = entries.iter().find(|entry| number(entry) == gone).expect("it is there");
        assert!(apply_one(store, entry.reference(), Change::Remove).await);
        assert!(!apply_one(store, entry.reference(), Change::Remove).await);

        let left: Vec<u32> = numbers(&entries).into_iter().filter(|n| *n != gone).collect();
        assert_eq!(numbers(&list(store, "ann").await), left);
        for name in ["news", "sport"] {
            assert_eq!(numbers(&scan(store, &members(name), 2).await), left);
            let count = store.count(&members(name)).await.expect("count");
            assert_eq!(count.subscriptions, left.len() as u64);
        }
    }
    assert_eq!(put(store, new("ann", 2)).await, crate::store::Put::New);
}

/// A change that was decided on a former version does nothing.
pub async fn a_change_needs_the_version(store: &dyn SubscriptionStore) {
    assert_eq!(store.apply(&[]).await.expect("apply"), [false; 0]);
    let old = stored(store, new("ann", 1)).await;
    put(store, new_with_keys("ann", 1, 9)).await;
    let before = only(store, "ann").await;
    let unknown = EntryRef { id: subscription(2, 0).id(), version: before.version };
    for to in [old.reference(), unknown] {
        for change in [Change::Remove, Change::LimitPayload(7), Change::NeedsRenewal, Change::UseKey(key(1))]
        {
            assert!(!apply_one(store, to, change).await, "{change:?}");
        }
    }
    assert_unchanged(&before, &only(store, "ann").await);

    let results = store
        .apply(&[(old.reference(), Change::Remove), (before.reference(), Change::LimitPayload(7))])
        .await;
    assert_eq!(results.expect("apply"), [false, true]);
    put(store, new_with_keys("bob", 1, 9)).await;
    assert!(!apply_one(store, before.reference(), Change::Remove).await, "it is another user's now");
    only(store, "bob").await;
}

/// A client that registers again meanwhile does not keep a dead subscription alive.
pub async fn a_change_survives_an_identical_put(store: &dyn SubscriptionStore) {
    let entry = stored(store, new("ann", 1).with_key(key(1))).await;
    put(store, new("ann", 1).with_key(key(1))).await;
    put(store, new("ann", 1)).await;
    assert!(apply_one(store, entry.reference(), Change::Remove).await);
    assert!(list(store, "ann").await.is_empty());
}

/// Limit and mark are kept, change no version, and can be set again.
pub async fn limits_and_marks_are_kept(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1)).await;
    for limit in [3000, 0, 4096] {
        assert!(apply_one(store, before.reference(), Change::LimitPayload(limit)).await);
        assert_eq!(only(store, "ann").await.payload_limit, Some(limit));
    }
    for _ in 0..2 {
        assert!(apply_one(store, before.reference(), Change::NeedsRenewal).await);
        assert!(only(store, "ann").await.needs_renewal);
    }
    assert_eq!(only(store, "ann").await.version, before.version);
}

/// The key that was found is kept; the entry is then another version, and waits no longer.
pub async fn a_found_key_changes_the_version_and_clears_the_mark(store: &dyn SubscriptionStore) {
    let before = stored(store, new("ann", 1)).await;
    assert!(apply_one(store, before.reference(), Change::NeedsRenewal).await);
    assert!(apply_one(store, before.reference(), Change::UseKey(key(4))).await);

    let after = only(store, "ann").await;
    assert_eq!((after.key, after.needs_renewal), (Some(key(4)), false));
    assert_ne!(after.version, before.version);
    assert!(!apply_one(store, before.reference(), Change::Remove).await);
    assert!(apply_one(store, after.reference(), Change::UseKey(key(5))).await);
    assert_eq!(only(store, "ann").await.key, Some(key(5)));
}

/// A key that is known already is no change, and no reason to send again.
pub async fn a_known_key_changes_nothing(store: &dyn SubscriptionStore) {
    let entry = stored(store, new("ann", 1).with_key(key(4))).await;
    assert!(apply_one(store, entry.reference(), Change::NeedsRenewal).await);
    let before = only(store, "ann").await;
    assert!(apply_one(store, entry.reference(), Change::UseKey(key(4))).await);
    assert_unchanged(&before, &only(store, "ann").await);
}

/// Several changes of one version all take effect, in whatever order they are named.
pub async fn a_batch_of_changes_applies_keys_last(store: &dyn SubscriptionStore) {
    let ann = stored(store, new("ann", 1)).await.reference();
    let bob = stored(store, new("bob", 2)).await.reference();
    let changes = [
        (ann, Change::UseKey(key(4))),
        (bob, Change::UseKey(key(4))),
        (ann, Change::LimitPayload(3000)),
        (bob, Change::Remove),
        (ann, Change::NeedsRenewal),
        (bob, Change::LimitPayload(3000)),
    ];
    let done = store.apply(&changes).await.expect("apply");
    assert_eq!(done, [true, false, true, true, true, true], "a removed entry takes no key");

    let entry = only(store, "ann").await;
    assert_eq!((entry.key, entry.payload_limit), (Some(key(4)), Some(3000)));
    assert!(!entry.needs_renewal, "the key comes after the mark");
    assert!(list(store, "bob").await.is_empty());
}

/// The marked entries of all users, and only those, each once.
pub async fn needing_renewal_pages_through_the_marked(store: &dyn SubscriptionStore) {
    populate(store, 5, 4).await;
    for owner in ["u0", "u1", "u3"] {
        for entry in list(store, owner).await.iter().filter(|entry| number(entry).is_multiple_of(2)) {
            assert!(apply_one(store, entry.reference(), Change::NeedsRenewal).await);
        }
    }
    for page in [1, 2, 4, 100] {
        assert_eq!(marked(store, page).await, [0, 2, 10, 12, 30, 32], "pages of {page}");
    }

    let entry = list(store, "u1").await.remove(0);
    assert!(apply_one(store, entry.reference(), Change::Remove).await);
    put(store, new("u3", 30).with_key(key(1))).await;
    put(store, new("u0", 32)).await;
    assert_eq!(marked(store, 2).await, [0, 2, 12, 32], "removed, renewed, moved");
}

async fn marked(store: &dyn SubscriptionStore, page: u16) -> Vec<u32> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.needing_renewal(after.as_ref(), limit(page)).await.expect("needing_renewal");
        assert!(page.entries.iter().all(|entry| entry.needs_renewal), "only marked entries");
        found.extend(page.entries);
        assert!(found.len() < 100, "a scan ends");
        let Some(next) = page.next else { return sorted(&found) };
        after = Some(next);
    }
}
