//! The address policy as a resolver of other clients (S-3, S-4).

use std::error::Error as StdError;
use std::net::SocketAddr;

use super::lookup::{ADDRESSES_TRIED, SystemResolver};
use super::{TransportError, TransportErrorKind};
use crate::address::AddressPolicy;

/// A resolver that answers only with addresses that an [`AddressPolicy`] allows.
///
/// It goes between a client and the resolver that the client would ask, so that a connection goes
/// to an address that was checked, and no name is looked up twice (S-3). One forbidden address
/// refuses the whole answer (S-4): the client fails with a [`TransportError`] of the kind
/// [`TransportErrorKind::AddressRefused`] among its causes, where `ReqwestTransport` and
/// `TowerTransport` find it. Of an answer that passes, the client gets the first 16.
///
/// With the feature `reqwest` it is a `reqwest::dns::Resolve`, around another one or around the
/// system's; with `tower` it is a `Service` from a name to addresses, around another one: a
/// resolver for hyper-util's `HttpConnector`.
///
/// A client does not ask its resolver about addresses that stand in the URL. The transports check
/// those.
#[derive(Clone, Debug)]
pub struct AddressGuard<R = SystemResolver> {
    resolver: R,
    policy: AddressPolicy,
}

impl AddressGuard {
    /// Around the system's resolver: 32 lookups at once, on threads of their own; the others wait.
    #[must_use]
    pub fn system(policy: AddressPolicy) -> Self {
        Self::new(SystemResolver::default(), policy)
    }
}

impl<R> AddressGuard<R> {
    /// Around `resolver`.
    #[must_use]
    pub const fn new(resolver: R, policy: AddressPolicy) -> Self {
        Self { resolver, policy }
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

fn check(
    policy: &AddressPolicy,
    found: impl IntoIterator<Item = SocketAddr>,
) -> Result<std::vec::IntoIter<SocketAddr>, BoxError> {
    let mut found: Vec<_> = found.into_iter().collect();
    if found.iter().all(|address| policy.allows(address.ip())) {
        found.truncate(ADDRESSES_TRIED);
        Ok(found.into_iter())
    } else {
        Err(TransportError::new(TransportErrorKind::AddressRefused).into())
    }
}

#[cfg(feature = "reqwest")]
mod for_reqwest {
    use std::net::SocketAddr;

    use reqwest::dns::{Addrs, Name, Resolve, Resolving};

    use super::{AddressGuard, check};
    use crate::transport::lookup::SystemResolver;

    impl Resolve for SystemResolver {
        fn resolve(&self, name: Name) -> Resolving {
            let this = self.clone();
            Box::pin(async move {
                let found = this.lookup(name.as_str().to_owned()).await?;
                Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
            })
        }
    }

    impl<R: Resolve> Resolve for AddressGuard<R> {
        fn resolve(&self, name: Name) -> Resolving {
            let (found, policy) = (self.resolver.resolve(name), self.policy.clone());
            Box::pin(async move { Ok(Box::new(check(&policy, found.await?)?) as Addrs) })
        }
    }
}

#[cfg(feature = "tower")]
mod for_tower {
    use std::future::Future;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper_util::client::legacy::connect::dns::Name;
    use tower_service::Service;

    use super::{AddressGuard, BoxError, check};
    use crate::transport::lookup::SystemResolver;

    impl Service<Name> for SystemResolver {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = std::io::Error;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, name: Name) -> Self::Future {
            let this = self.clone();
            Box::pin(async move {
                let found = this.lookup(name.as_str().to_owned()).await?;
                let found: Vec<_> = found.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
                Ok(found.into_iter())
            })
        }
    }

    impl<R, N> Service<N> for AddressGuard<R>
    where
        R: Service<N>,
        R::Response: IntoIterator<Item = SocketAddr>,
        R::Error: Into<BoxError>,
        R::Future: Send + 'static,
    {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = BoxError;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

        fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            self.resolver.poll_ready(context).map_err(Into::into)
        }

        fn call(&mut self, name: N) -> Self::Future {
            let (found, policy) = (self.resolver.call(name), self.policy.clone());
            Box::pin(async move { check(&policy, found.await.map_err(Into::into)?) })
        }
    }
}
