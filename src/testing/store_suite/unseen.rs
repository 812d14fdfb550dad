//! `unseen`.

use std::time::Duration;

use super::kit::*;
use crate::store::{Change, Put, SubscriptionStore, Unseen};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Zero means everybody's entries, each once, whatever the size of a page.
pub async fn unseen_pages_through_all_users(store: &dyn SubscriptionStore) {
    assert!(read(store, Duration::ZERO, 2).await.is_empty());
    let all = populate(store, 5, 4).await;
    put(store, new("in no channel", 70)).await;
    let all: Vec<u32> = all.into_iter().chain([70]).collect();
    for page in [1, 2, 7, 100] {
        let entries = read(store, Duration::ZERO, page).await;
        assert_eq!(endpoints(&entries), all, "pages of {page}");
    }
}

/// Who was put a moment ago is not found, and an entry's age says that it was a moment.
pub async fn unseen_looks_at_the_age(store: &dyn SubscriptionStore) {
    populate(store, 2, 3).await;
    for long in [DAY, Duration::MAX] {
        assert!(read(store, long, 2).await.is_empty());
    }
    assert!(read(store, Duration::ZERO, 2).await.iter().all(|unseen| unseen.age < DAY));
}

/// What is put, replaced, moved or removed meanwhile takes nobody else's turn.
pub async fn changes_while_unseen_is_read_neither_repeat_nor_lose(store: &dyn SubscriptionStore) {
    let mut all = populate(store, 4, 3).await;
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.unseen(Duration::ZERO, after.as_ref(), limit(2)).await.expect("unseen");
        found.extend(page.entries);
        pages += 1;
        match pages {
            1 => {
                let gone = &found[0].entry;
                assert!(apply_one(store, gone.reference(), Change::Remove).await);
                put(store, new("u0", 1)).await;
                put(store, new("u3", 32)).await;
            }
            2 => {
                // One that was not read yet comes under its new name.
                let read = endpoints(&found);
                let old = *all.iter().find(|number| !read.contains(number)).expect("there are more");
                let by = new(&format!("u{}", old / 10), 99);
                let put = store.replace(&by.user, &subscription(old, 0).id(), &by).await.expect("replace");
                assert_eq!(put, Put::Renewed);
                all.retain(|number| *number != old);
                all.push(99);
            }
            _ => {}
        }
        let Some(next) = page.next else { break };
        assert!(pages < MOST_PAGES, "a scan ends");
        after = Some(next);
    }
    assert_eq!(endpoints(&found), all);
}

/// For a store whose clock a test moves: `pass` lets so much time go by. Only a client that puts or
/// replaces its subscription is seen; what a broadcast finds out is no sign of life.
pub async fn who_stays_away_is_unseen(store: &dyn SubscriptionStore, pass: impl AsyncFn(Duration)) {
    for endpoint in 1..=6 {
        put(store, new("ann", endpoint)).await;
    }
    pass(55 * DAY).await;
    let old = read(store, 55 * DAY, 4).await;
    assert_eq!(endpoints(&old), [1, 2, 3, 4, 5, 6]);
    assert!(old.iter().all(|unseen| unseen.age >= 55 * DAY && unseen.age < 56 * DAY));
    assert!(read(store, 56 * DAY, 4).await.is_empty());

    put(store, new("ann", 1)).await;
    put(store, new_with_keys("ann", 2, 9)).await;
    let by = new("ann", 7);
    store.replace(&by.user, &subscription(3, 0).id(), &by).await.expect("replace");
    put(store, new("bob", 4)).await;
    let marked = old.iter().find(|unseen| number(&unseen.entry) == 5).expect("it was there");
    for change in [Change::LimitPayload(3000), Change::NeedsRenewal, Change::UseKey(key(4))] {
        assert!(apply_one(store, marked.entry.reference(), change).await);
    }
    assert_eq!(endpoints(&read(store, DAY, 4).await), [5, 6]);

    pass(DAY).await;
    assert_eq!(endpoints(&read(store, DAY, 4).await), [1, 2, 4, 5, 6, 7]);
    let old = read(store, 56 * DAY, 4).await;
    assert_eq!(endpoints(&old), [5, 6]);
    assert!(old.iter().all(|unseen| unseen.age >= 56 * DAY && unseen.age < 57 * DAY));
}

pub(super) async fn read(store: &dyn SubscriptionStore, for_at_least: Duration, page: u16) -> Vec<Unseen> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let read = store.unseen(for_at_least, after.as_ref(), limit(page)).await.expect("unseen");
        assert!(read.entries.len() <= usize::from(page), "a page has at most `limit` entries");
        assert!(read.entries.iter().all(|unseen| unseen.age >= for_at_least), "only the old ones");
        found.extend(read.entries);
        let Some(next) = read.next else { return found };
        after = Some(next);
    }
    panic!("a scan ends");
}

pub(super) fn endpoints(found: &[Unseen]) -> Vec<u32> {
    let mut numbers: Vec<u32> = found.iter().map(|unseen| number(&unseen.entry)).collect();
    numbers.sort_unstable();
    numbers
}
