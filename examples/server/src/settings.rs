//! What the operator chose: flags over environment over file over defaults, parsed once into types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use webpush_channels::engine::vapid::Contact;

mod grants;
mod options;

pub use self::grants::{Grant, GrantError, Grants};
pub use self::options::{Options, SettingsError};
use crate::auth::BearerOptions;

/// Everything that can be chosen, checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The origin that clients see, without a final slash; without it the request's `Host` says it.
    pub public_url: Option<String>,
    /// Where the database file and the VAPID key are. Made when it is missing.
    pub data_dir: PathBuf,
    /// Which database.
    pub database: Database,
    /// The VAPID key's file. Made when it is missing.
    pub vapid_key: PathBuf,
    /// How push services reach the operator (V-8).
    pub contact: Option<Contact>,
    /// Who may publish where.
    pub grants: Grants,
    /// Which policies tell who calls.
    pub auth: AuthSettings,
    /// Bounds.
    pub limits: LimitSettings,
    /// What the original's clients are told in headers.
    pub notices: Notices,
    /// The origins of pages that may call; `*` is all.
    pub cors_origins: Vec<String>,
    /// Refuse whatever changes something.
    pub read_only: bool,
    /// What `__version__` shows.
    pub version_json: PathBuf,
    /// Whether `/metrics` is there.
    pub metrics: bool,
    /// How broadcasts are sent.
    pub sending: Sending,
    /// How much is logged: `error`, `warn`, `info`, `debug` or `trace`.
    pub log: tracing::Level,
}

/// Where subscriptions and broadcasts are kept.
#[derive(Clone)]
#[non_exhaustive]
pub enum Database {
    /// One file.
    Sqlite(PathBuf),
    /// A server's URL, which may hold a password.
    Postgres(String),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres(..)"),
        }
    }
}

/// Which policies tell who calls.
#[derive(Clone)]
#[non_exhaustive]
pub struct AuthSettings {
    /// Basic authentication, with the key of its HMAC.
    pub basic: Option<String>,
    /// Bearer tokens.
    pub bearer: Option<BearerOptions>,
}

impl std::fmt::Debug for AuthSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthSettings")
            .field("basic", &self.basic.is_some())
            .field("bearer", &self.bearer)
            .finish()
    }
}

/// Bounds on what a client may ask for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LimitSettings {
    /// Octets of a request's body.
    pub body_octets: usize,
    /// Subscriptions that one user may hold.
    pub subscriptions_per_user: usize,
    /// Channels that one user may be in.
    pub channels_per_user: usize,
    /// Publications that one publisher may make in a second, on average; as many may come at once.
    pub publishes_per_second: u32,
    /// Connections at once.
    pub connections: usize,
}

/// What the original's clients are told in headers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notices {
    /// Seconds in the `Backoff` header of every response.
    pub backoff: Option<u32>,
    /// When the service ends: before that `Alert` warns, after it everything answers 410.
    pub end: Option<std::time::SystemTime>,
    /// What `Alert` says.
    pub end_message: Option<String>,
    /// Where `Alert` leads.
    pub end_url: Option<String>,
    /// Seconds in `Retry-After` of a 503.
    pub retry_after: u32,
}

/// How broadcasts are sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sending {
    /// Whether this process sends, or only takes requests.
    pub worker: bool,
    /// How long a worker that says nothing keeps its part of a broadcast.
    pub term: Duration,
    /// Deliveries in hand, at most.
    pub in_flight: Option<usize>,
    /// Percent of a push service's subscriptions that are removed when they are gone at once; 100 is any number.
    pub prune_percent: u8,
    /// So many are removed in any case.
    pub prune_anyway: u32,
    /// Accept endpoints on this host, in cleartext. For tests.
    pub allow_loopback_endpoints: bool,
    /// Accept the endpoints of the browser vendors only.
    pub known_vendors_only: bool,
    /// A file of certificates in PEM that push services may have besides the web's.
    pub extra_ca: Option<PathBuf>,
}

impl Settings {
    /// The settings of a command line, with the environment and the file that it names.
    ///
    /// # Errors
    ///
    /// [`SettingsError`], which names the setting and says what it must be. `--help` and wrong flags are clap's
    /// errors in it.
    pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, SettingsError> {
        Options::read(args)?.with_file()?.try_into()
    }

    /// The address that this service has for a request to `host`, without a final slash.
    pub(crate) fn base_url(&self, host: Option<&str>) -> String {
        match (&self.public_url, host) {
            (Some(url), _) => url.clone(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => format!("http://{}", self.listen),
        }
    }
}
