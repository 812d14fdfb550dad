//! What all requests share.

use std::sync::Arc;

use tokio::sync::watch;
use webpush_channels::channel::{Channels, DurableChannel};
use webpush_channels::store::journal::Journal;

use crate::auth::Authenticate;
use crate::limiter::Limiter;
use crate::metrics::Metrics;
use crate::popular::Popular;
use crate::routes::Places;
use crate::settings::Settings;

/// One service.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) settings: Settings,
    /// Store and journal.
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) channels: Channels,
    pub(crate) durable: DurableChannel,
    pub(crate) metrics: Metrics,
    /// What browsers subscribe with.
    pub(crate) application_server_key: String,
    /// Asked in order.
    pub(crate) policies: Vec<Arc<dyn Authenticate>>,
    /// How fast each publisher may publish.
    pub(crate) limiter: Limiter,
    /// The numbers of large channels.
    pub(crate) popular: Popular,
    /// A place for each event stream that may be open.
    pub(crate) streams: Arc<Places>,
    /// True when the service ends: what would go on for ever ends then.
    pub(crate) stopped: watch::Receiver<bool>,
}
