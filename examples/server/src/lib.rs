//! The channels service: the HTTP API of Kinto's `webpush-channels`, on the crate of that name.
//!
//! It is a binary; this library is the same for tests, and for those who build their own from its parts.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use webpush_channels_server::{Service, Settings};
//!
//! let settings = Settings::parse(["server", "--listen", "127.0.0.1:0"].map(Into::into))?;
//! let service = Service::start(settings).await?;
//! println!("listening on {}", service.url());
//! service.shutdown().await?;
//! # Ok(())
//! # }
//! ```

pub mod auth;
mod canonical;
mod chain;
mod error;
mod hub;
mod janitor;
mod json;
mod limiter;
mod metrics;
mod popular;
mod publisher;
mod reply;
mod routes;
mod serve;
pub mod settings;
mod state;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use webpush_channels::channel::{DurableChannel, Worker};
use webpush_channels::engine::vapid::{ContactError, VapidKeyError};
use webpush_channels::store::StoreError;
use webpush_channels::store::journal::JournalError;
use webpush_channels::transport::HyperTransportError;

use self::auth::{Authenticate, Basic, Bearer, BearerError};
use self::limiter::Limiter;
use self::metrics::Metrics;
use self::popular::Popular;
pub use self::settings::{Settings, SettingsError};
use self::state::App;

/// A service that runs: it takes requests, and unless it is told not to, it sends broadcasts.
///
/// Dropping it ends both at once, as a crash would: nothing is lost, but a dead worker's part of a broadcast waits for
/// the end of its lease. [`shutdown`](Self::shutdown) is the way to end it.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: AbortOnDrop<()>,
    worker: Option<AbortOnDrop<Result<(), JournalError>>>,
    _upkeep: AbortOnDrop<()>,
}

impl Service {
    /// Opens the database, reads or makes the VAPID key, and listens.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let policies = policies(&settings)?;
        Self::start_with(settings, policies).await
    }

    /// As [`start`](Self::start), with other policies of authentication than the settings name.
    pub async fn start_with(
        settings: Settings,
        policies: Vec<Arc<dyn Authenticate>>,
    ) -> Result<Self, StartError> {
        let data_dir = &settings.data_dir;
        hub::data_dir(data_dir)?;
        let key = hub::vapid_key(&settings.vapid_key)?;
        let application_server_key = key.application_server_key();
        let journal = hub::open(&settings).await?;
        let metrics = Metrics::new(settings.metrics);
        let channels = metrics.counting(|| hub::channels(&settings, key, &journal))?;
        let listener = TcpListener::bind(settings.listen).await.map_err(StartError::Listen)?;
        let address = listener.local_addr().map_err(StartError::Listen)?;

        let (stop, stopped) = watch::channel(false);
        tokio::spawn(janitor::forget_old(Arc::clone(&journal), wait(stopped.clone())));
        let worker = settings.sending.worker.then(|| {
            let worker =
                Worker::builder(channels.clone(), Arc::clone(&journal)).term(settings.sending.term).build();
            AbortOnDrop(tokio::spawn(send(worker, stop.clone())))
        });
        let durable = DurableChannel::new(Arc::clone(&journal));
        let upkeep = AbortOnDrop(tokio::spawn(metrics.upkeep()));
        let app = App {
            limiter: Limiter::new(settings.limits.publishes_per_second),
            popular: Popular::new(),
            streams: Arc::default(),
            stopped: stopped.clone(),
            settings,
            journal,
            channels,
            durable,
            metrics,
            application_server_key,
            policies,
        };
        let server = serve::serve(listener, Arc::new(app), wait(stopped));
        Ok(Self { address, stop, server: AbortOnDrop(tokio::spawn(server)), worker, _upkeep: upkeep })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of its page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits until the service ends by itself: its worker failed for good, and requests are taken no more. What went
    /// wrong is the error of [`shutdown`](Self::shutdown).
    pub async fn failed(&self) {
        wait(self.stop.subscribe()).await;
    }

    /// Takes no more requests, finishes those that it has, and puts down the broadcasts in hand so that others go on
    /// with them at once.
    ///
    /// # Errors
    ///
    /// The worker's own end was an error, such as a schema that it does not know.
    pub async fn shutdown(mut self) -> Result<(), JournalError> {
        // An error means that both have ended by themselves.
        let _ = self.stop.send(true);
        let _ = (&mut self.server.0).await;
        match &mut self.worker {
            Some(worker) => (&mut worker.0).await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends until the service ends. A service that takes broadcasts and never sends them would look well: where sending
/// is over, so is the rest.
async fn send(worker: Worker, stop: watch::Sender<bool>) -> Result<(), JournalError> {
    let ended = worker.run(wait(stop.subscribe())).await;
    if let Err(error) = &ended {
        tracing::error!(error = %chain::Chain(error), "sending failed for good: the service ends");
        let _ = stop.send(true);
    }
    ended
}

/// Waits until the service ends.
pub(crate) async fn wait(mut stopped: watch::Receiver<bool>) {
    // An error means that the service is gone.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn policies(settings: &Settings) -> Result<Vec<Arc<dyn Authenticate>>, StartError> {
    let mut policies: Vec<Arc<dyn Authenticate>> = Vec::new();
    if let Some(bearer) = &settings.auth.bearer {
        policies.push(Arc::new(Bearer::new(bearer).map_err(StartError::Bearer)?));
    }
    if let Some(secret) = &settings.auth.basic {
        policies.push(Arc::new(Basic::new(secret)));
    }
    Ok(policies)
}

/// Why a service did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The keys for bearer tokens.
    #[error("the keys for bearer tokens are not usable")]
    Bearer(#[source] BearerError),
    /// The contact that stands in for a missing one.
    #[error("the contact is not usable")]
    Contact(#[source] ContactError),
    /// The database.
    #[error("the database cannot be opened")]
    Database(#[source] StoreError),
    /// A file or the data directory.
    #[error("{0} cannot be used")]
    File(PathBuf, #[source] std::io::Error),
    /// The address.
    #[error("the address cannot be listened on: choose another with --listen")]
    Listen(#[source] std::io::Error),
    /// The HTTP client.
    #[error("the HTTP client cannot be made")]
    Transport(#[source] HyperTransportError),
    /// The VAPID key.
    #[error("{0} holds no usable VAPID key")]
    VapidKey(PathBuf, #[source] VapidKeyError),
}
