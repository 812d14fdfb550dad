//! `MemoryStore` and the pointers to it pass the suite.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod plain {
    use std::num::NonZeroU32;

    use webpush_channels::store::MemoryStore;

    fn limited() -> MemoryStore {
        MemoryStore::builder().max_subscriptions_per_user(NonZeroU32::new(3).unwrap()).build()
    }

    webpush_channels::store_suite!(MemoryStore::new(), limit 3: limited());
}

mod behind_an_arc {
    use std::sync::Arc;

    use webpush_channels::store::{MemoryStore, SubscriptionStore};

    webpush_channels::store_suite!(Arc::new(MemoryStore::new()) as Arc<dyn SubscriptionStore>);
}

mod behind_a_box {
    use webpush_channels::store::{MemoryStore, SubscriptionStore};

    webpush_channels::store_suite!(Box::new(MemoryStore::new()) as Box<dyn SubscriptionStore>);
}
