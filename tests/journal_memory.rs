//! `MemoryStore` and the pointers to it pass the suite of journals.

#[path = "support/journal_harness.rs"]
mod harness;

mod plain {
    use webpush_channels::store::MemoryStore;

    use super::harness::OnPausedClock;

    webpush_channels::journal_suite!(OnPausedClock::new(MemoryStore::new()));
}

mod behind_pointers {
    use std::sync::Arc;

    use webpush_channels::store::MemoryStore;
    use webpush_channels::store::journal::Journal;

    use super::harness::OnPausedClock;

    webpush_channels::journal_suite!({
        let boxed: Box<dyn Journal> = Box::new(Arc::new(MemoryStore::new()));
        OnPausedClock::new(boxed)
    });
}

mod paired {
    use webpush_channels::store::{MemoryStore, Paired};

    use super::harness::OnPausedClock;

    webpush_channels::journal_suite!(OnPausedClock::new(Paired::new(MemoryStore::new(), MemoryStore::new())));
}
