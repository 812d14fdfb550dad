//! The system's name resolution, bounded.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How many lookups of the system's resolver may run at once: each blocks a thread, and names
/// come from endpoints that strangers chose (S-31).
const LOOKUPS_AT_ONCE: usize = 32;

/// A thread that had nothing to look up for this long ends.
const IDLE: Duration = Duration::from_secs(10);

/// How many addresses of one answer are tried. All are checked, but whoever answers for a name chooses
/// how many there are: thousands would make each request a scan of other people's hosts (S-31).
pub(super) const ADDRESSES_TRIED: usize = 16;

/// `getaddrinfo`, on up to 32 threads of its own, which all clones share.
///
/// The runtime's blocking threads would not do: a lookup may take half a minute, which a runtime
/// that ends waits for, and a pool that sees its threads busy for a moment longer than their
/// lookups starts others.
#[derive(Clone)]
pub struct SystemResolver {
    permits: Arc<Semaphore>,
    threads: Arc<Threads>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)), threads: Arc::default() }
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemResolver").finish_non_exhaustive()
    }
}

impl SystemResolver {
    /// All addresses of `host`.
    pub(super) async fn lookup(&self, host: String) -> io::Result<Vec<IpAddr>> {
        // Whoever gives up while it waits leaves nothing behind.
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let (answer, answered) = oneshot::channel();
        self.threads.ask(Question { host, answer, _permit: permit })?;
        answered.await.map_err(io::Error::other)?
    }
}

/// The permit goes with the thread: a caller who gave up does not end `getaddrinfo`.
struct Question {
    host: String,
    answer: oneshot::Sender<io::Result<Vec<IpAddr>>>,
    _permit: OwnedSemaphorePermit,
}

impl Question {
    fn answer(self) {
        let found = (self.host.as_str(), 0).to_socket_addrs();
        // Nobody may be left to hear it.
        drop(self.answer.send(found.map(|found| found.map(|address| address.ip()).collect())));
    }
}

#[derive(Default)]
struct Threads {
    queue: Mutex<Queue>,
    asked: Condvar,
}

#[derive(Default)]
struct Queue {
    questions: VecDeque<Question>,
    threads: usize,
    idle: usize,
}

impl Threads {
    /// Hands a question to an idle thread, or to a new one while there are fewer than may be.
    fn ask(self: &Arc<Self>, question: Question) -> io::Result<()> {
        let mut queue = self.lock();
        queue.questions.push_back(question);
        if queue.idle >= queue.questions.len() {
            self.asked.notify_one();
            return Ok(());
        }
        if queue.threads == LOOKUPS_AT_ONCE {
            // One of them has answered, and looks here next.
            return Ok(());
        }
        let threads = Arc::clone(self);
        let named = thread::Builder::new().name("webpush-lookup".to_owned());
        match named.spawn(move || threads.work()) {
            Ok(_) => queue.threads += 1,
            Err(error) if queue.threads == 0 => {
                queue.questions.clear();
                return Err(error);
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn work(&self) {
        while let Some(question) = self.next() {
            question.answer();
        }
    }

    /// The next question; none for a while ends the thread.
    fn next(&self) -> Option<Question> {
        let mut queue = self.lock();
        if queue.questions.is_empty() {
            queue.idle += 1;
            let nothing = |queue: &mut Queue| queue.questions.is_empty();
            let waited = self.asked.wait_timeout_while(queue, IDLE, nothing);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.idle -= 1;
        }
        let question = queue.questions.pop_front();
        if question.is_none() {
            queue.threads -= 1;
        }
        question
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn every_question_is_answered_by_a_thread_that_is_there_or_starts() {
        let resolver = SystemResolver::default();
        for round in 0..20_u32 {
            // Numbers are addresses to the system: no network is needed.
            let numbers = 0..round * 10;
            let lookups =
                join_all(numbers.clone().map(|n| resolver.lookup(format!("{}", (10 << 24) + n)))).await;
            for (n, found) in numbers.zip(lookups) {
                assert_eq!(found.unwrap(), [IpAddr::from(((10 << 24) + n).to_be_bytes())]);
            }
            assert!(resolver.threads.lock().threads <= LOOKUPS_AT_ONCE);
        }
        let lost = resolver.lookup("no\0name".to_owned()).await;
        assert!(lost.is_err(), "{lost:?}");
    }

    #[tokio::test]
    async fn who_gives_up_frees_a_place() {
        let resolver = SystemResolver::default();
        for _ in 0..100 {
            let all = join_all((0..100).map(|_| resolver.lookup("127.0.0.1".to_owned())));
            drop(timeout(Duration::ZERO, all).await);
        }
        let found = resolver.lookup("127.0.0.1".to_owned()).await.unwrap();
        assert_eq!(found, [IpAddr::from([127, 0, 0, 1])]);
    }
}
