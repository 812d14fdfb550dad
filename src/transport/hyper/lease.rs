//! The right to one request on one connection.

use std::sync::Arc;

use super::connection::Sender;
use super::io::Meter;
use super::origin::Origin;

/// One stream of one connection. Dropping it gives the stream back: on HTTP/2 the next request
/// may use it, on HTTP/1.1 the connection is closed unless [`finish`](Self::finish) was called.
#[derive(Debug)]
pub(super) struct Lease {
    origin: Arc<Origin>,
    id: u64,
    /// Taken by `drop` only.
    sender: Option<Sender>,
    meter: Arc<Meter>,
    finished: bool,
}

impl Lease {
    pub(super) const fn new(origin: Arc<Origin>, id: u64, sender: Sender, meter: Arc<Meter>) -> Self {
        Self { origin, id, sender: Some(sender), meter, finished: false }
    }

    pub(super) const fn sender(&mut self) -> &mut Sender {
        self.sender.as_mut().expect("only drop takes the sender")
    }

    pub(super) const fn is_http1(&self) -> bool {
        matches!(self.sender, Some(Sender::Http1(_)))
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The response was read to its end: an HTTP/1.1 connection can serve again.
    pub(super) const fn finish(&mut self) {
        self.finished = true;
    }

    /// No further request is to use this connection.
    pub(super) fn retire(&self) {
        self.origin.remove(self.id);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let sender = self.sender.take().filter(|sender| self.finished && matches!(sender, Sender::Http1(_)));
        self.origin.give_back(self.id, sender);
    }
}
