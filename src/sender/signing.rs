//! Waits for signers: one question for each key and origin, whatever number of pushes wait.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, ready};
use lru::LruCache;
use tokio::time::{Instant, timeout};

use crate::engine::vapid::{SignError, SignErrorKind, Vapid};
use crate::{KeyId, Origin};

/// The longest that one signature is waited for.
const LIMIT: Duration = Duration::from_secs(30);
/// After a failure the signer is left alone for this long, twice as long after the next, and so
/// on: thousands of pushes that are repeated must not become as many questions.
const FIRST_REST: Duration = Duration::from_secs(1);
const MAX_REST: Duration = Duration::from_secs(60);
/// Origins come from endpoints that strangers chose: the table is bounded.
const CAPACITY: usize = 4096;

/// What all that wait for one signature have in common.
pub(crate) type Signed = Shared<Answer>;

type Answer = BoxFuture<'static, Result<(), Unsigned>>;

/// There is no token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsigned {
    /// The signer is not asked again before.
    pub(crate) until: Instant,
}

/// What a question is about. The last: whether the token is for the time after the present one's.
type About = (KeyId, Origin, bool);

/// The questions to signers. Each is a task of its own that ends within 30 seconds, whoever waits:
/// what a lease had to put off finds the token there, and nobody has to ask again.
#[derive(Clone)]
pub(crate) struct Signing(Arc<Mutex<LruCache<About, Asked>>>);

#[derive(Default)]
struct Asked {
    /// And since when.
    running: Option<(Signed, Instant)>,
    failures: u8,
    /// Until when the last failure is the answer.
    rest: Option<Instant>,
}

impl Signing {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(LruCache::unbounded())))
    }

    /// Waits until there is a token for this key and origin. Also returns since when somebody waits.
    pub(crate) fn token(&self, vapid: &Vapid, origin: &Origin) -> (Signed, Instant) {
        self.ask(vapid, origin, false)
    }

    /// Has one signed for the time after the present one's. Nobody waits for it.
    pub(crate) fn next_token(&self, vapid: &Vapid, origin: &Origin) {
        drop(self.ask(vapid, origin, true));
    }

    fn ask(&self, vapid: &Vapid, origin: &Origin, next: bool) -> (Signed, Instant) {
        let about = (vapid.key_id(), origin.clone(), next);
        let mut table = self.lock();
        let asked = asked(&mut table, &about);
        if let Some(running) = &asked.running {
            return running.clone();
        }
        let now = Instant::now();
        if let Some(until) = asked.rest.filter(|until| *until > now) {
            return (ready(Err(Unsigned { until })).boxed().shared(), now);
        }
        let task = tokio::spawn(self.clone().question(vapid.clone(), about.clone()));
        let signing = self.clone();
        let signed = async move {
            match task.await {
                Ok(answer) => answer,
                // Its runtime has ended, and another one may go on.
                Err(_) => Err(signing.forget(&about)),
            }
        };
        let signed = signed.boxed().shared();
        asked.running = Some((signed.clone(), now));
        (signed, now)
    }

    async fn question(self, vapid: Vapid, about: About) -> Result<(), Unsigned> {
        let (_, origin, next) = &about;
        let answer = async {
            if *next { vapid.authorize_ahead(origin).await } else { vapid.authorize(origin).await.map(drop) }
        };
        let unavailable = |error| SignError::new(SignErrorKind::Unavailable).with_source(error);
        let answer = match AssertUnwindSafe(timeout(LIMIT, answer)).catch_unwind().await {
            Ok(Ok(answer)) => answer,
            Ok(Err(elapsed)) => Err(unavailable(elapsed)),
            Err(_) => Err(SignError::new(SignErrorKind::Faulty).with_source("the signer panicked")),
        };
        match answer {
            Ok(()) => drop(self.lock().pop(&about)),
            Err(error) => return Err(self.failed(about, &error)),
        }
        Ok(())
    }

    fn forget(&self, about: &About) -> Unsigned {
        drop(self.lock().pop(about));
        Unsigned { until: Instant::now() }
    }

    fn failed(&self, about: About, error: &SignError) -> Unsigned {
        let mut table = self.lock();
        let asked = asked(&mut table, &about);
        let rest = FIRST_REST.saturating_mul(1 << asked.failures.min(6)).min(MAX_REST);
        asked.failures = asked.failures.saturating_add(1);
        asked.running = None;
        let until = Instant::now() + rest;
        asked.rest = Some(until);
        drop(table);
        let (key, origin, _) = about;
        let cause = std::error::Error::source(error).map(tracing::field::display);
        tracing::error!(%key, %origin, seconds = rest.as_secs(), %error, cause, "a VAPID token was not signed: the signer is asked again later");
        Unsigned { until }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<About, Asked>> {
        // A panic elsewhere leaves whole entries.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a question. Its table does not grow, whoever is forgotten for it.
fn asked<'a>(table: &'a mut LruCache<About, Asked>, about: &About) -> &'a mut Asked {
    if table.len() >= CAPACITY && !table.contains(about) {
        table.pop_lru();
    }
    table.get_or_insert_mut(about.clone(), Asked::default)
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("asked", &self.lock().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::PublicKey;
    use crate::engine::vapid::{Signer, TopicKey, VapidKey};

    #[derive(Debug)]
    struct Broken(PublicKey);

    #[async_trait]
    impl Signer for Broken {
        fn public_key(&self) -> &PublicKey {
            &self.0
        }

        fn topic_key(&self) -> TopicKey {
            TopicKey::from_bytes([7; 32])
        }

        async fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
            Err(SignError::new(SignErrorKind::Unavailable))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn questions_that_were_forgotten_while_they_ran_do_not_make_the_table_grow() {
        let key = PublicKey::from_bytes(VapidKey::from_scalar(&[1; 32]).unwrap().public_key()).unwrap();
        let vapid = Vapid::with_signer(Broken(key), "mailto:ops@example.org".parse().unwrap());
        let signing = Signing::new();
        let ask = |n: usize| {
            let endpoint: crate::Endpoint = format!("https://h{n}.example.net/x").parse().unwrap();
            signing.token(&vapid, &endpoint.origin()).0
        };
        // None of them runs before all are asked.
        let asked: Vec<_> = (0..CAPACITY + 10).map(ask).collect();
        for answer in asked {
            assert!(answer.await.is_err());
        }
        assert_eq!(signing.lock().len(), CAPACITY);
        for n in 0..10 {
            assert!(ask(2 * CAPACITY + n).await.is_err());
        }
        assert_eq!(signing.lock().len(), CAPACITY);
    }
}
