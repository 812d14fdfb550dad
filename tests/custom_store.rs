//! The store of the example passes the suite.

#[path = "../examples/custom_store.rs"]
mod custom_store;

webpush_channels::store_suite!(custom_store::MapStore::default());
