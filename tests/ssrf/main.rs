//! The address guard, attacked (S-1 to S-8): whatever an endpoint says, whatever its name resolves to, and whatever
//! its host answers, no forbidden address sees a connection, and ten thousand such endpoints cost no more than a few.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "a test has no callers")]

mod answers;
mod flood;
#[cfg(target_os = "linux")]
mod lookups;
mod names;
mod private;
mod proxies;
mod rebinding;
mod spellings;
mod vectors;
mod world;
