//! Limits and their defaults (H-24).

use std::time::Duration;

/// Everything that bounds a [`HyperTransport`](super::HyperTransport), apart from what the
/// connector needs.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) connect_timeout: Duration,
    pub(super) total_timeout: Duration,
    pub(super) stream_wait: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) max_streams: usize,
    pub(super) max_origins: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(30),
            stream_wait: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(90),
            max_connections: 12,
            max_streams: 100,
            max_origins: 256,
        }
    }
}

/// A response's headers may be this long (H-24). In HTTP/1.1 it is the size of hyper's buffer, which one
/// read may overshoot.
pub(super) const HEADER_CAP: u32 = 12 * 1024;

/// What an answer that has begun and not ended may hold in any case: its headers, as they lie in
/// memory, and its body. More than a push service has to say, as a rule.
pub(super) const HELD_EACH: usize = 2 * 1024;

/// What all such answers of a connection may hold beyond that. One may have the whole; what would
/// need more is not waited for, since a peer that never ends its answers could fill the memory with
/// them (S-30).
pub(super) const HELD_CAP: usize = 22 * 1024;
