//! What a push service counts.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a push service saw since its start.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(super) struct Counts {
            $(pub(super) $name: Count,)*
        }

        impl Counts {
            pub(super) fn read(&self) -> Counters {
                Counters { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Requests whose client went away before the answer.
    abandoned,
    /// Messages answered with 201.
    accepted,
    /// Messages that a browser acknowledged, whatever became of them.
    browser_acks,
    /// Frames from browsers that are none of the protocol, and were ignored.
    browser_bad_frames,
    /// Messages that a browser acknowledged as not delivered to a page (code 102).
    browser_failed,
    /// Messages sent to browsers: once more each time that one had not acknowledged it before its
    /// connection ended.
    browser_sent,
    /// Messages removed by a DELETE of their `Location` before delivery.
    cancelled,
    /// Connections accepted.
    connections,
    /// Connections open now.
    connections_open,
    /// Messages opened by their user agent, the null payload included. A browser says so itself
    /// (code 100).
    decrypted,
    /// Messages that reached their user agent, opened or not. A browser says so itself.
    delivered,
    /// Messages dropped because nobody was online within their TTL.
    expired,
    /// Requests in progress now.
    in_flight,
    /// The most requests that were in progress at once.
    in_flight_max,
    /// Messages opened whose content was not the expected.
    mismatched,
    /// Requests refused by the rules.
    rejected,
    /// Messages replaced by a newer one with their Topic before delivery.
    replaced,
    /// Requests begun.
    requests,
    /// Requests answered by a script instead of the rules.
    scripted,
    /// Messages that their user agent could not open. A browser says so itself (code 101).
    undecryptable,
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn subtract(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn raise_to(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
