//! How much is in hand at once.

use std::thread::available_parallelism;

/// How much of a broadcast is in hand at once. The defaults suit a server of any size; memory
/// grows with them and not with the audience.
///
/// ```
/// use webpush_channels::channel::Limits;
///
/// let small = Limits::default().with_in_flight(64);
/// assert_eq!((small.in_flight, small.window), (64, 4096));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Entries that were read and are neither settled nor deferred. 4096. A broadcast reads on as
    /// they settle. For a lease of a [`Worker`](super::Worker): entries that were read and that no
    /// checkpoint covers, which bounds what is sent again when the worker vanishes.
    pub window: usize,
    /// Requests in flight, over all broadcasts of one hub. 2048. While several broadcasts want
    /// more than there are, each has an equal share; one whose stream is not polled keeps its
    /// share as long as it is not dropped. Requests that got no answer for two seconds do not
    /// count: each broadcast may hold as many of those again.
    pub in_flight: usize,
    /// Entries that wait for a later try outside the window. 65 536; when it is full, reading
    /// waits, and where other push services could go on, whoever waits for a broken one uses up a try every five
    /// seconds. A [`Worker`](super::Worker) leaves them in the journal instead.
    pub deferred: usize,
    /// Threads that encrypt. As many as the machine has cores. Zero encrypts on the task that
    /// polls the broadcast: for tests with a paused clock.
    pub encryption_threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 4096,
            in_flight: 2048,
            deferred: 65_536,
            encryption_threads: available_parallelism().map_or(1, usize::from),
        }
    }
}

impl Limits {
    /// The same limits with another window; at least 1.
    #[must_use]
    pub const fn with_window(mut self, entries: usize) -> Self {
        self.window = if entries == 0 { 1 } else { entries };
        self
    }

    /// The same limits with another number of requests in flight; at least 1.
    #[must_use]
    pub const fn with_in_flight(mut self, requests: usize) -> Self {
        self.in_flight = if requests == 0 { 1 } else { requests };
        self
    }

    /// The same limits with another number of deferred entries.
    #[must_use]
    pub const fn with_deferred(mut self, entries: usize) -> Self {
        self.deferred = entries;
        self
    }

    /// The same limits with another number of encrypting threads.
    #[must_use]
    pub const fn with_encryption_threads(mut self, threads: usize) -> Self {
        self.encryption_threads = threads;
        self
    }
}
