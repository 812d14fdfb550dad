//! Tokens that were signed. Apart from the rest, because signing needs no sender.

#[cfg(feature = "metrics")]
use metrics::Counter;

/// Counts what is signed with one key.
#[derive(Clone, Debug)]
pub(crate) struct Signed(#[cfg(feature = "metrics")] Counter);

#[cfg(feature = "metrics")]
impl Signed {
    pub(crate) fn new() -> Self {
        super::series::describe();
        Self(metrics::counter!(super::series::TOKENS))
    }

    pub(crate) fn count(&self) {
        self.0.increment(1);
    }
}

#[cfg(not(feature = "metrics"))]
impl Signed {
    pub(crate) const fn new() -> Self {
        Self()
    }

    #[allow(clippy::unused_self, reason = "the other side of the seam counts")]
    pub(crate) const fn count(&self) {}
}
