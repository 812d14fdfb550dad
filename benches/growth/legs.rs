//! What is measured: channels of one size after the other, more push services, slower ones, more
//! threads.

use std::time::Duration;

/// One thing that each round measures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) name: &'static str,
    /// Subscriptions of the channel.
    pub(crate) size: usize,
    /// At so many push services.
    pub(crate) origins: usize,
    /// In whole milliseconds.
    pub(crate) latency: Duration,
    pub(crate) threads: usize,
    /// How many in all: small channels are published to more often.
    pub(crate) pushes: usize,
    /// The transport may keep connections to all origins.
    pub(crate) keeps_all: bool,
    /// Each push is timed by the wall clock until the transport has it.
    pub(crate) waits: bool,
}

const USUAL: Leg = Leg {
    name: "",
    size: 100_000,
    origins: 1,
    latency: Duration::ZERO,
    threads: 1,
    pushes: 100_000,
    keeps_all: true,
    waits: false,
};
const MILLISECOND: Duration = Duration::from_millis(1);
const FIFTY: Duration = Duration::from_millis(50);
const TWO_HUNDRED: Duration = Duration::from_millis(200);

pub(crate) const LEGS: [Leg; 17] = [
    Leg { name: "size-1k", size: 1_000, ..USUAL },
    Leg { name: "size-10k", size: 10_000, ..USUAL },
    Leg { name: "size-100k", ..USUAL },
    Leg { name: "size-1m", size: 1_000_000, pushes: 1_000_000, ..USUAL },
    Leg { name: "ten-1k", size: 1_000, origins: 10, ..USUAL },
    Leg { name: "ten-100k", origins: 10, ..USUAL },
    Leg { name: "thousand-1k", size: 1_000, origins: 1_000, ..USUAL },
    Leg { name: "thousand-100k", origins: 1_000, ..USUAL },
    Leg {
        name: "thousand-defaults",
        size: 10_000,
        pushes: 10_000,
        origins: 1_000,
        keeps_all: false,
        ..USUAL
    },
    Leg { name: "rate-1", latency: MILLISECOND, ..USUAL },
    Leg { name: "rate-50", latency: FIFTY, ..USUAL },
    Leg { name: "rate-200", latency: TWO_HUNDRED, ..USUAL },
    Leg { name: "two-1", latency: MILLISECOND, threads: 2, ..USUAL },
    Leg { name: "two-50", latency: FIFTY, threads: 2, ..USUAL },
    Leg { name: "two-200", latency: TWO_HUNDRED, threads: 2, ..USUAL },
    Leg { name: "wait", waits: true, ..USUAL },
    Leg { name: "wait-ten", origins: 10, waits: true, ..USUAL },
];

impl Leg {
    /// Only to see that everything runs.
    pub(crate) const fn tiny(self) -> Self {
        let size = if self.size > 1_000 { self.size / 400 } else { 20 };
        let origins = if self.origins > 10 { 20 } else { self.origins };
        Self { size, origins, pushes: size, ..self }
    }

    pub(crate) const fn broadcasts(&self) -> usize {
        self.pushes / self.size
    }
}
