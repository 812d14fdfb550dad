//! What other tests have, too.

#[path = "../support/consistency.rs"]
pub mod consistency;
#[path = "../support/consistent.rs"]
pub mod consistent;
#[path = "../support/pg_consistency.rs"]
pub mod pg_consistency;
#[path = "../support/postgres.rs"]
pub mod postgres;
#[path = "../support/temp.rs"]
pub mod temp;
