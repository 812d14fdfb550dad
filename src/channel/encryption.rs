//! Encrypts batches on threads of its own: never on async threads, never on tokio's blocking
//! pool.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::{fmt, thread};

use tokio::sync::oneshot;

use super::content::Content;
use crate::Ttl;
use crate::engine::encryption::{EncryptError, Lane};
use crate::engine::request::Body;
use crate::engine::vapid::{Token, Vapid};
use crate::sender::{Core, Fitted, Fitting, Job, Prepared};
use crate::store::Entry;
use crate::telemetry::Stopwatch;

/// Lanes of one batch: eight at once fill AVX-512, and eight times that amortises the hand-over.
pub(super) const BATCH: usize = 64;

/// A broadcast's content for several subscriptions.
pub(super) struct Batch {
    pub(super) core: Arc<Core>,
    pub(super) content: Arc<Content>,
    pub(super) lanes: Vec<BatchLane>,
}

pub(super) struct BatchLane {
    pub(super) entry: Entry,
    pub(super) vapid: Vapid,
    /// The token of a signer; none where the key is at hand.
    pub(super) token: Option<Token>,
    pub(super) ttl: Ttl,
    /// The octets of body that the subscription takes.
    pub(super) limit: Option<u16>,
    /// The payload was too large for it.
    pub(super) refused: bool,
}

/// A request for one lane.
pub(super) struct Sealed {
    pub(super) prepared: Prepared,
    /// There is a shorter payload, should this one be refused.
    pub(super) has_fallback: bool,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Unsent {
    Engine(EncryptError),
    /// There is no payload for this subscription.
    Filtered,
    /// The caller's function, or the encryptor, panicked.
    Panicked,
    TooLarge {
        has_fallback: bool,
    },
}

/// The result for one lane.
pub(super) type Encrypted = Result<Sealed, Unsent>;

/// Lanes that get the same, by number.
struct Group<'a> {
    fitting: Fitting<'a>,
    fitted: Fitted,
    lanes: Vec<usize>,
}

impl Batch {
    fn run(&self) -> Vec<Encrypted> {
        if let Some(usual) = self.content.shared(&self.lanes)
            && let Some(first) = self.lanes.first()
            && let Some(fitting) = self.fitting(first)
        {
            return self.seal(&fitting, usual, self.lanes.iter());
        }
        let mut results: Vec<_> = std::iter::repeat_with(|| None).take(self.lanes.len()).collect();
        for group in self.groups(&mut results) {
            let lanes = group.lanes.iter().map(|number| &self.lanes[*number]);
            let sealed = self.seal(&group.fitting, &group.fitted, lanes);
            for (number, sealed) in group.lanes.into_iter().zip(sealed) {
                results[number] = Some(sealed);
            }
        }
        let left_out = || Err(Unsent::Engine(EncryptError::backend("a lane was left out")));
        results.into_iter().map(|result| result.unwrap_or_else(left_out)).collect()
    }

    /// Finds the lanes that can be encrypted together. The others have their results then.
    fn groups(&self, results: &mut [Option<Encrypted>]) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (number, (lane, result)) in self.lanes.iter().zip(results).enumerate() {
            let Some(fitting) = self.fitting(lane) else { continue };
            let fitted = match self.content.choose(&fitting, &lane.entry) {
                Ok(fitted) => fitted,
                Err(unsent) => {
                    *result = Some(Err(unsent));
                    continue;
                }
            };
            let same =
                |group: &&mut Group<'_>| group.fitting.coding == fitting.coding && group.fitted == fitted;
            match groups.iter_mut().find(same) {
                Some(group) => group.lanes.push(number),
                None => groups.push(Group { fitting, fitted, lanes: vec![number] }),
            }
        }
        groups
    }

    fn fitting(&self, lane: &BatchLane) -> Option<Fitting<'_>> {
        self.core.fitting(lane.entry.coding, lane.limit, lane.refused)
    }

    /// Encrypts one plaintext for some lanes.
    fn seal<'a>(
        &self,
        fitting: &Fitting<'_>,
        fitted: &Fitted,
        lanes: impl Iterator<Item = &'a BatchLane> + Clone,
    ) -> Vec<Encrypted> {
        let sealed = |lane: &BatchLane, body| Sealed {
            prepared: self.job(lane).finish(body),
            has_fallback: fitted.has_fallback,
        };
        if fitted.plaintext.as_bytes().is_empty() {
            return lanes.map(|lane| Ok(sealed(lane, Body::Empty))).collect();
        }
        let mut encrypted: Vec<_> =
            lanes.clone().map(|lane| Lane::new(lane.entry.subscription.keys())).collect();
        fitting.encryptor.encrypt_batch(&fitted.plaintext, &mut encrypted);
        let finish = |(lane, encrypted): (&BatchLane, Lane<'_>)| {
            let result = encrypted
                .result
                .unwrap_or_else(|| Err(EncryptError::backend("the encryptor left a lane out")));
            let encoded = result.map_err(Unsent::Engine)?;
            // Some encryptors pad by a rule of their own.
            if lane.limit.is_some_and(|limit| encrypted.out.len() > usize::from(limit)) {
                return Err(Unsent::TooLarge { has_fallback: fitted.has_fallback });
            }
            Ok(sealed(lane, Body::encrypted(encoded, encrypted.out.into())))
        };
        lanes.zip(encrypted).map(finish).collect()
    }

    fn job<'a>(&'a self, lane: &'a BatchLane) -> Job<'a> {
        Job {
            subscription: &lane.entry.subscription,
            vapid: &lane.vapid,
            token: lane.token.as_ref(),
            ttl: lane.ttl,
            message: &self.content.message,
            content_type: self.core.content_type.as_ref(),
            broadcast: self.content.broadcast.as_ref(),
        }
    }
}

/// A batch, and where its requests go: a result for each lane, in their order.
type Work = (Batch, oneshot::Sender<Vec<Encrypted>>);

/// Does it, unless nobody waits any more. A panic of the encryptor ends here, without a reply.
fn run((batch, reply): Work) {
    let watch = Stopwatch::start();
    if !reply.is_closed()
        && let Ok(results) = catch_unwind(AssertUnwindSafe(|| batch.run()))
    {
        batch.core.instruments.encrypted(results.len(), watch);
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
