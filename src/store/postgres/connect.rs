//! From a URL to connections.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::Config;

use super::error::PgError;
use super::tls::Tls;

/// How connections are made.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

/// A server that vanished without a word is noticed after about this long.
const SILENCE: Duration = Duration::from_secs(20);
const PROBES: u32 = 4;
/// What every connection of ours begins with. A statement takes milliseconds, on a busy server a
/// second; the planner's guesses about arrays of parameters must not start a compiler.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
     SET idle_in_transaction_session_timeout = '60s'; SET jit = off";

impl Server {
    pub(super) fn new(url: &str, roots: &[Vec<u8>], timeout: Duration) -> Result<Self, PgError> {
        // Its error is not kept: it quotes parts of the URL.
        let mut config: Config = url.parse().map_err(|_| PgError::Url)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(PgError::Url);
        }
        if config.get_application_name().is_none() {
            config.application_name("webpush-channels");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(timeout);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE);
        }
        config.keepalives(true).keepalives_idle(SILENCE / 2);
        config.keepalives_interval(SILENCE / 2 / PROBES).keepalives_retries(PROBES);
        Ok(Self { config, tls: Tls::new(roots)? })
    }

    /// A pool of at most this many connections. None is opened yet.
    pub(super) fn pool(&self, connections: usize, timeout: Duration) -> Result<Pool, PgError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), recycling);
        let settings = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, _| {
            Box::pin(async { client.batch_execute(SETTINGS).await.map_err(HookError::Backend) })
        });
        Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(timeout))
            .create_timeout(Some(timeout))
            .recycle_timeout(Some(timeout))
            .post_create(settings)
            .build()
            .map_err(|_| PgError::Pool("it has timeouts but no runtime"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    #[test]
    fn a_url_that_is_none_is_refused_without_being_quoted() {
        for url in ["", "mysql://alice:secret@host/db", "postgres://alice:secret@host:port/db", "postgres://"]
        {
            let error = Server::new(url, &[], TIMEOUT).err().unwrap();
            assert!(matches!(error, PgError::Url), "{url}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn what_the_url_says_is_kept() {
        let url = "postgres://alice@host/db?application_name=mine&connect_timeout=3";
        let server = Server::new(url, &[], TIMEOUT).unwrap();
        assert_eq!(server.config.get_application_name(), Some("mine"));
        assert_eq!(server.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert!(server.config.get_keepalives());
    }
}
