//! The origins of a transport, at most 256 of them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use lru::LruCache;

use super::exchange::{Failure, exchange, prepare};
use super::origin::{Origin, Shared};
use crate::transport::target::{AsOrigin, OriginKey, Target};
use crate::transport::{Processed, TransportError, TransportErrorKind};

/// How often a request that no connection took is handed to another one.
const TRIES: usize = 3;

pub(super) struct Pool {
    shared: Arc<Shared>,
    origins: Mutex<LruCache<OriginKey, Arc<Origin>>>,
}

impl Pool {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, origins: Mutex::new(LruCache::unbounded()) }
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let invalid = || TransportError::new(TransportErrorKind::InvalidRequest);
        let origin = self.origin(&Target::of(request.uri()).ok_or_else(invalid)?);
        let mut request = prepare(request)?;
        for _ in 0..TRIES {
            let lease = origin.lease().await?;
            match exchange(lease, request, self.shared.config.total_timeout).await {
                Ok(response) => return Ok(response),
                Err(Failure::Failed(error)) => return Err(error),
                // No repetition: the connection had ended and handed the request back unread.
                Err(Failure::Unsent(unsent)) => request = *unsent,
            }
        }
        Err(TransportError::new(TransportErrorKind::Interrupted).with_processed(Processed::No))
    }

    fn origins(&self) -> MutexGuard<'_, LruCache<OriginKey, Arc<Origin>>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn origin(&self, target: &Target<'_>) -> Arc<Origin> {
        let mut origins = self.origins();
        if let Some(origin) = origins.get(target as &dyn AsOrigin) {
            return Arc::clone(origin);
        }
        while origins.len() >= self.shared.config.max_origins {
            evict(&mut origins);
        }
        let key = target.to_key();
        let origin = Origin::new(key.clone(), Arc::clone(&self.shared));
        origins.put(key, Arc::clone(&origin));
        origin
    }
}

/// Drops the origin that was not used for longest, passing over those that are in use if another
/// can go. Requests in flight keep theirs until they end.
fn evict(origins: &mut LruCache<OriginKey, Arc<Origin>>) {
    let idle = origins.iter().rev().find(|(_, origin)| origin.is_idle()).map(|(key, _)| key.clone());
    let evicted = match idle {
        Some(key) => origins.pop(&key),
        None => origins.pop_lru().map(|(_, origin)| origin),
    };
    if let Some(origin) = evicted {
        origin.evict();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::IpAddr;
    use std::task::{Context, Waker};

    use async_trait::async_trait;

    use super::*;
    use crate::transport::{HyperTransport, Resolve, Transport as _};

    #[derive(Debug)]
    struct NoAnswer;

    #[async_trait]
    impl Resolve for NoAnswer {
        async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
            pending().await
        }
    }

    fn request(host: &str) -> Request<Bytes> {
        Request::post(format!("https://{host}/secret")).body(Bytes::new()).unwrap()
    }

    #[tokio::test]
    async fn ten_thousand_origins_leave_a_bounded_pool_that_spares_those_in_use() {
        let transport = HyperTransport::builder().resolver(Arc::new(NoAnswer)).build().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting = transport.send(request("waiting.example"));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        for n in 0..10_000 {
            let mut dropped = transport.send(request(&format!("push{n}.example")));
            assert!(dropped.as_mut().poll(&mut cx).is_pending());
        }
        let origins = transport.pool.origins();
        assert_eq!(origins.len(), 256);
        let kept = |host: &str| {
            let uri = format!("https://{host}/").parse().unwrap();
            origins.contains(&Target::of(&uri).unwrap() as &dyn AsOrigin)
        };
        assert!(kept("waiting.example") && kept("push9999.example") && !kept("push0.example"));
        assert!(!format!("{:?}", *origins).contains("secret"));
        drop(waiting);
    }
}
