//! Encrypts batches on threads of its own: never on async threads, never on tokio's blocking
//! pool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::{fmt, thread};

use http::HeaderValue;
use tokio::sync::oneshot;

use crate::engine::encryption::{EncryptError, Encryptor, Lane, Plaintext};
use crate::engine::request::Body;
use crate::engine::vapid::Vapid;
use crate::sender::{Job, Prepared};
use crate::{BroadcastId, Message, Subscription, Ttl};

/// Lanes of one batch: eight at once fill AVX-512, and eight times that amortises the hand-over.
pub(super) const BATCH: usize = 64;

/// One message for several subscriptions.
pub(super) struct Batch {
    pub(super) encryptor: Arc<dyn Encryptor>,
    pub(super) message: Arc<Message>,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) broadcast: Option<BroadcastId>,
    pub(super) plaintext: Plaintext,
    pub(super) lanes: Vec<BatchLane>,
}

pub(super) struct BatchLane {
    pub(super) subscription: Arc<Subscription>,
    pub(super) vapid: Vapid,
    pub(super) ttl: Ttl,
}

/// The result for one lane.
pub(super) type Encrypted = Result<Prepared, EncryptError>;

impl Batch {
    fn run(&self) -> Vec<Encrypted> {
        if self.message.payload().is_empty() {
            return self.lanes.iter().map(|lane| Ok(self.job(lane).finish(Body::Empty))).collect();
        }
        let mut lanes: Vec<_> = self.lanes.iter().map(|lane| Lane::new(lane.subscription.keys())).collect();
        self.encryptor.encrypt_batch(&self.plaintext, &mut lanes);
        let finish = |(lane, encrypted): (&BatchLane, Lane<'_>)| {
            let result = encrypted
                .result
                .unwrap_or_else(|| Err(EncryptError::backend("the encryptor left a lane out")));
            let body = result.map(|encoded| Body::encrypted(encoded, encrypted.out.into()));
            body.map(|body| self.job(lane).finish(body))
        };
        self.lanes.iter().zip(lanes).map(finish).collect()
    }

    fn job<'a>(&'a self, lane: &'a BatchLane) -> Job<'a> {
        Job {
            subscription: &lane.subscription,
            vapid: &lane.vapid,
            ttl: lane.ttl,
            message: &self.message,
            content_type: self.content_type.as_ref(),
            broadcast: self.broadcast.as_ref(),
        }
    }
}

/// A batch, and where its requests go: a result for each lane, in their order.
type Work = (Batch, oneshot::Sender<Vec<Encrypted>>);

/// Does it, unless nobody waits any more. A panic of the encryptor ends here, without a reply.
fn run((batch, reply): Work) {
    if !reply.is_closed()
        && let Ok(results) = catch_unwind(AssertUnwindSafe(|| batch.run()))
    {
        let _ = reply.send(results);
    }
}

fn serve(work: &Mutex<mpsc::Receiver<Work>>) {
    loop {
        let next = work.lock().expect("no panic while waiting for work").recv();
        let Ok(work) = next else { return };
        run(work);
    }
}

/// The threads. They end when the pool is dropped.
pub(super) struct EncryptionPool {
    threads: usize,
    queue: Option<mpsc::Sender<Work>>,
}

impl EncryptionPool {
    /// Starts the threads; with none, batches are encrypted where they are submitted.
    pub(super) fn new(threads: usize) -> Self {
        let (queue, work) = mpsc::channel();
        let work = Arc::new(Mutex::new(work));
        let start = |i| {
            let work = Arc::clone(&work);
            thread::Builder::new().name(format!("webpush-encrypt-{i}")).spawn(move || serve(&work))
        };
        let started = (0..threads).map_while(|i| start(i).ok()).count();
        if started < threads {
            tracing::warn!(started, threads, "the machine gives fewer threads for encryption than asked for");
        }
        Self { threads: started, queue: (started > 0).then_some(queue) }
    }

    pub(super) const fn threads(&self) -> usize {
        self.threads
    }

    /// Encrypts a batch. The receiver fails when the encryptor panicked.
    pub(super) fn submit(&self, batch: Batch) -> oneshot::Receiver<Vec<Encrypted>> {
        let (reply, results) = oneshot::channel();
        match &self.queue {
            Some(queue) => drop(queue.send((batch, reply))),
            None => run((batch, reply)),
        }
        results
    }
}

impl fmt::Debug for EncryptionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionPool").field("threads", &self.threads).finish_non_exhaustive()
    }
}
