//! How a push service is set up.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::answer::Answer;
use super::server::{ConnectionChooser, ConnectionFault, Serving};
use super::service::{Chooser, Expectation, Rules, Service, Settings};
use super::tls::Tls;
use super::{AbortOnDrop, PushService};
use crate::{Clock, Endpoint, SystemClock};

/// Sets up a [`PushService`].
#[must_use]
#[allow(clippy::struct_excessive_bools, reason = "independent switches, each with its setter")]
pub struct PushServiceBuilder {
    tls: bool,
    http1_only: bool,
    localhost: bool,
    max_streams: u32,
    clock: Arc<dyn Clock>,
    latency: Duration,
    keep: bool,
    decrypt: bool,
    expect: Option<Expectation>,
    choose: Option<Chooser>,
    faults: Option<ConnectionChooser>,
    rules: Rules,
}

impl PushServiceBuilder {
    pub(super) fn new() -> Self {
        Self {
            tls: false,
            http1_only: false,
            localhost: false,
            max_streams: 100,
            clock: Arc::new(SystemClock),
            latency: Duration::ZERO,
            keep: true,
            decrypt: true,
            expect: None,
            choose: None,
            faults: None,
            rules: Rules::default(),
        }
    }

    /// Speaks TLS, with a certificate for `localhost` and 127.0.0.1 of an authority made at the
    /// start. Default: cleartext.
    pub const fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Speaks HTTP/1.1 only. Default: HTTP/2 too, by ALPN or, in cleartext, by prior knowledge.
    pub const fn http1_only(mut self, http1_only: bool) -> Self {
        self.http1_only = http1_only;
        self
    }

    /// Is called `localhost`, not `127.0.0.1`, in its origin.
    pub const fn localhost(mut self, localhost: bool) -> Self {
        self.localhost = localhost;
        self
    }

    /// How many streams an HTTP/2 connection may have open. Default: 100.
    pub const fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_streams = streams;
        self
    }

    /// What judges `exp` and lets stored messages expire. Default: the system's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Waits so long before each answer, on tokio's clock. Default: not at all.
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Whether messages are kept for [`PushService::received`]. Default: yes. Tens of thousands
    /// of them are better only counted.
    pub const fn keep_payloads(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Whether messages are opened by their user agent. Default: yes. Opening one takes about
    /// 200 microseconds in a release build.
    pub const fn decrypt(mut self, decrypt: bool) -> Self {
        self.decrypt = decrypt;
        self
    }

    /// Checks each message that was opened: the number of the subscription and what the page sees
    /// (`None` is the null payload). `false` counts as [`mismatched`](super::Counters::mismatched).
    pub fn expect(mut self, check: impl Fn(usize, Option<&[u8]>) -> bool + Send + Sync + 'static) -> Self {
        self.expect = Some(Arc::new(check));
        self
    }

    /// Chooses the answer to each push that no script answers, by the number of the subscription.
    pub fn answer(mut self, choose: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        self.choose = Some(Arc::new(choose));
        self
    }

    /// Chooses what each connection gets, by its number from 0.
    pub fn connection_fault(
        mut self,
        choose: impl Fn(u64) -> ConnectionFault + Send + Sync + 'static,
    ) -> Self {
        self.faults = Some(Arc::new(choose));
        self
    }

    /// Follows Mozilla's rules and no stricter ones, with its statuses, errors and paths, and
    /// speaks with browsers over its WebSocket: see [`PushService::websocket_url`]. Default: as
    /// strict as the strictest vendor, and for [`UserAgent`](crate::testing::UserAgent)s only.
    ///
    /// The rules are those of autopush 1.83, measured; in particular VAPID may be in the form of
    /// its drafts, `sub` is not looked at, messages with one topic share one `Location`, and a
    /// subscription without a key ([`PushService::subscribe`]) takes messages
    /// without VAPID, too.
    #[cfg(feature = "testing-browser")]
    pub const fn mozilla(mut self) -> Self {
        self.rules = Rules::Mozilla;
        self
    }

    /// Starts the service on a free port of 127.0.0.1, in the tokio runtime that runs this.
    ///
    /// # Errors
    ///
    /// No port, no randomness, or no certificate.
    pub async fn start(self) -> io::Result<PushService> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let tls = if self.tls { Some(Tls::new(self.http1_only)?) } else { None };
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.localhost { "localhost" } else { "127.0.0.1" };
        let origin: Endpoint =
            format!("{scheme}://{host}:{}", address.port()).parse().map_err(io::Error::other)?;
        let secret = getrandom::u64().map_err(io::Error::other)?;
        let settings = Settings {
            rules: self.rules,
            clock: self.clock,
            latency: self.latency,
            keep: self.keep,
            decrypt: self.decrypt,
            expect: self.expect,
            choose: self.choose,
            max_streams: self.max_streams,
        };
        let service = Arc::new(Service::new(origin.origin(), secret, settings));
        let serving = Serving {
            service: Arc::clone(&service),
            acceptor: tls.as_ref().map(|tls| tls.acceptor.clone()),
            http1_only: self.http1_only,
            faults: self.faults,
        };
        let server = AbortOnDrop(tokio::spawn(serving.accept(listener)));
        Ok(PushService { service, address, ca_pem: tls.map(|tls| tls.ca_pem), _server: server })
    }
}

impl std::fmt::Debug for PushServiceBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushServiceBuilder")
            .field("tls", &self.tls)
            .field("http1_only", &self.http1_only)
            .field("latency", &self.latency)
            .finish_non_exhaustive()
    }
}
