//! The one list of settings, as flags, as variables and as the file's keys.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use http::uri::Authority;
use serde::Deserialize;
use webpush_channels::engine::vapid::{Contact, ContactError};

use super::{AuthSettings, Database, Grant, GrantError, Grants, LimitSettings, Notices, Sending, Settings};
use crate::auth::BearerOptions;

macro_rules! options {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        /// The settings as they were written. Each is a flag, an environment variable and a key of the file.
        #[derive(Clone, Default, Deserialize, Parser)]
        #[command(
            name = "webpush-channels-server",
            about = "Publish one message to a channel; every device of every member gets it, over Web Push",
            after_help = "`webpush-channels-server user-id` [SETTINGS] reads USER:PASSWORD from its input and prints the user id."
        )]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Options {
            /// A TOML file with any of these settings: the flag's name, with _ for -
            #[arg(long, env = "WEBPUSH_CHANNELS_CONFIG")]
            #[serde(skip)]
            pub config: Option<PathBuf>,
            $($(#[$meta])* pub $name: $type,)*
        }

        impl Options {
            /// These, and where one is missing the other's.
            fn or(self, other: Self) -> Self {
                Self { config: self.config, $($name: self.$name.or(other.$name),)* }
            }
        }
    };
}

options! {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:9999]
    #[arg(long, env = "WEBPUSH_CHANNELS_LISTEN")]
    listen: Option<SocketAddr>,
    /// The URL that clients reach this under [default: from the request]
    #[arg(long, env = "WEBPUSH_CHANNELS_PUBLIC_URL")]
    public_url: Option<String>,
    /// The directory of the database file and the VAPID key [default: webpush-channels-data]
    #[arg(long, env = "WEBPUSH_CHANNELS_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// postgres://... instead of the file in the data directory
    #[arg(long, env = "WEBPUSH_CHANNELS_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The VAPID key in PEM, made if missing [default: vapid.pem in the data directory]
    #[arg(long, env = "WEBPUSH_CHANNELS_VAPID_KEY")]
    vapid_key: Option<PathBuf>,
    /// How push services reach you: mailto:... or https://...
    #[arg(long, env = "WEBPUSH_CHANNELS_CONTACT")]
    contact: Option<String>,
    /// Who may publish where: USER=PATTERN,PATTERN; a final * stands for the rest; USER alone may everywhere
    #[arg(long = "publisher", env = "WEBPUSH_CHANNELS_PUBLISHERS")]
    publishers: Option<Vec<String>>,
    /// The ways to sign in, of basic and bearer [default: basic, and bearer if there is a key]
    #[arg(long, env = "WEBPUSH_CHANNELS_AUTH", value_delimiter = ',')]
    auth: Option<Vec<String>>,
    /// The key of the user ids of basic authentication [default: empty, as the original]
    #[arg(long, env = "WEBPUSH_CHANNELS_USERID_HMAC_SECRET", hide_env_values = true)]
    userid_hmac_secret: Option<String>,
    /// A public key in PEM, or a file with a shared secret, for bearer tokens
    #[arg(long, env = "WEBPUSH_CHANNELS_JWT_KEY")]
    jwt_key: Option<PathBuf>,
    /// A JWK Set, for bearer tokens
    #[arg(long, env = "WEBPUSH_CHANNELS_JWKS")]
    jwks: Option<PathBuf>,
    /// The iss that bearer tokens must have
    #[arg(long, env = "WEBPUSH_CHANNELS_JWT_ISSUER")]
    jwt_issuer: Option<String>,
    /// The aud that bearer tokens must have
    #[arg(long, env = "WEBPUSH_CHANNELS_JWT_AUDIENCE")]
    jwt_audience: Option<String>,
    /// The claim of bearer tokens that names the user [default: sub]
    #[arg(long, env = "WEBPUSH_CHANNELS_JWT_USER_CLAIM")]
    jwt_user_claim: Option<String>,
    /// Octets of a request's body, at most [default: 262144]
    #[arg(long, env = "WEBPUSH_CHANNELS_BODY_OCTETS")]
    body_octets: Option<usize>,
    /// Subscriptions of one user, at most [default: 64]
    #[arg(long, env = "WEBPUSH_CHANNELS_SUBSCRIPTIONS_PER_USER")]
    subscriptions_per_user: Option<usize>,
    /// Channels of one user, at most [default: 1000]
    #[arg(long, env = "WEBPUSH_CHANNELS_CHANNELS_PER_USER")]
    channels_per_user: Option<usize>,
    /// Publications of one publisher in a second, at most [default: 10]
    #[arg(long, env = "WEBPUSH_CHANNELS_PUBLISHES_PER_SECOND")]
    publishes_per_second: Option<u32>,
    /// Connections at once, at most [default: 4096]
    #[arg(long, env = "WEBPUSH_CHANNELS_CONNECTIONS")]
    connections: Option<usize>,
    /// Seconds of the Backoff header of every response
    #[arg(long, env = "WEBPUSH_CHANNELS_BACKOFF")]
    backoff: Option<u32>,
    /// When the service ends: an HTTP date or YYYY-MM-DD
    #[arg(long, env = "WEBPUSH_CHANNELS_EOS")]
    eos: Option<String>,
    /// What clients are told about the end
    #[arg(long, env = "WEBPUSH_CHANNELS_EOS_MESSAGE")]
    eos_message: Option<String>,
    /// Where clients find more about the end
    #[arg(long, env = "WEBPUSH_CHANNELS_EOS_URL")]
    eos_url: Option<String>,
    /// Seconds of Retry-After [default: 3]
    #[arg(long, env = "WEBPUSH_CHANNELS_RETRY_AFTER_SECONDS")]
    retry_after_seconds: Option<u32>,
    /// The origins of the pages that may call [default: *]
    #[arg(long, env = "WEBPUSH_CHANNELS_CORS_ORIGINS", value_delimiter = ' ')]
    cors_origins: Option<Vec<String>>,
    /// Refuse whatever changes something
    #[arg(long, env = "WEBPUSH_CHANNELS_READONLY", num_args = 0..=1, default_missing_value = "true")]
    readonly: Option<bool>,
    /// The file behind __version__ [default: version.json]
    #[arg(long, env = "WEBPUSH_CHANNELS_VERSION_JSON_PATH")]
    version_json_path: Option<PathBuf>,
    /// Whether /metrics is there [default: true]
    #[arg(long, env = "WEBPUSH_CHANNELS_METRICS")]
    metrics: Option<bool>,
    /// Whether this process sends, or only takes requests [default: true]
    #[arg(long, env = "WEBPUSH_CHANNELS_WORKER")]
    worker: Option<bool>,
    /// Seconds after which another worker takes over from one that is dead [default: 30]
    #[arg(long, env = "WEBPUSH_CHANNELS_TERM")]
    term: Option<u64>,
    /// Pushes in hand, at most [default: the library's]
    #[arg(long, env = "WEBPUSH_CHANNELS_IN_FLIGHT")]
    in_flight: Option<usize>,
    /// Percent of a push service's subscriptions that are removed when they are gone at once; 100 is any number [default: 20]
    #[arg(long, env = "WEBPUSH_CHANNELS_PRUNE_PERCENT")]
    prune_percent: Option<u8>,
    /// So many gone subscriptions of a push service are removed, whatever percent they are [default: 49]
    #[arg(long, env = "WEBPUSH_CHANNELS_PRUNE_ANYWAY")]
    prune_anyway: Option<u32>,
    /// Accept endpoints on this host, in cleartext; for tests
    #[arg(long, env = "WEBPUSH_CHANNELS_ALLOW_LOOPBACK_ENDPOINTS", num_args = 0..=1, default_missing_value = "true")]
    allow_loopback_endpoints: Option<bool>,
    /// Accept the endpoints of the browser vendors only
    #[arg(long, env = "WEBPUSH_CHANNELS_KNOWN_VENDORS_ONLY", num_args = 0..=1, default_missing_value = "true")]
    known_vendors_only: Option<bool>,
    /// Certificates in PEM that push services may have besides the web's
    #[arg(long, env = "WEBPUSH_CHANNELS_EXTRA_CA")]
    extra_ca: Option<PathBuf>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, env = "WEBPUSH_CHANNELS_LOG")]
    log: Option<String>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Several hold secrets.
        f.debug_struct("Options").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Why the settings are not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The command line or a variable; or help was asked for.
    #[error(transparent)]
    Flags(clap::Error),
    /// The file cannot be read.
    #[error("the settings file {0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// The file is not TOML, or holds a key that is no setting. The text may hold secrets: only the place is told.
    #[error("the settings file {path} is wrong{place}: {message}")]
    File {
        /// Which.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What.
        message: String,
    },
    /// `--contact`.
    #[error("the setting contact is not usable")]
    Contact(#[source] ContactError),
    /// `--publisher`.
    #[error("the setting publisher is not usable")]
    Publisher(#[source] GrantError),
    /// Another setting.
    #[error("the setting {name} is not usable: {problem}")]
    Value {
        /// Which.
        name: &'static str,
        /// What it must be.
        problem: &'static str,
    },
}

impl Options {
    /// The command line and the environment. A variable holds all publishers, separated by blanks; a flag holds one,
    /// whose name may have blanks: cut into pieces, its first would be somebody else who may publish everywhere.
    pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, SettingsError> {
        let matches = Self::command().try_get_matches_from(args).map_err(SettingsError::Flags)?;
        let mut options = Self::from_arg_matches(&matches).map_err(SettingsError::Flags)?;
        if matches.value_source("publishers") == Some(ValueSource::EnvVariable) {
            let texts = options.publishers.iter().flatten();
            let each = texts.flat_map(|text| text.split_whitespace().map(str::to_owned));
            options.publishers = Some(each.collect());
        }
        Ok(options)
    }

    /// With the settings of the file that they name.
    pub(super) fn with_file(self) -> Result<Self, SettingsError> {
        let Some(path) = self.config.clone() else { return Ok(self) };
        let text =
            std::fs::read_to_string(&path).map_err(|error| SettingsError::Read(path.clone(), error))?;
        let file: Self = toml::from_str(&text).map_err(|error| wrong(path, &text, &error))?;
        Ok(self.or(file))
    }
}

/// What is wrong with a file, and where; never what stands there.
fn wrong(path: PathBuf, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = error.span().and_then(|span| text.get(..span.end));
    let place = before.map_or_else(String::new, |before| {
        let key = before.lines().rev().find_map(key).map_or_else(String::new, |key| format!(" ({key})"));
        format!(" in line {}{key}", before.trim_end().lines().count().max(1))
    });
    SettingsError::File { path, place, message: without_value(error.message()).to_owned() }
}

/// The setting of a line, if it is one's. Any other word may be a piece of a text that goes over several lines.
fn key(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    Options::command().get_arguments().any(|argument| argument.get_id() == key).then_some(key)
}

/// serde quotes what it found before it says what it wants.
fn without_value(message: &str) -> &str {
    let quotes = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    message.rfind("expected ").filter(|_| quotes).map_or(message, |at| &message[at..])
}

impl TryFrom<Options> for Settings {
    type Error = SettingsError;

    fn try_from(options: Options) -> Result<Self, SettingsError> {
        let data_dir = options.data_dir.clone().unwrap_or_else(|| "webpush-channels-data".into());
        let grants: Result<Vec<Grant>, _> =
            options.publishers.iter().flatten().map(|text| text.parse()).collect();
        Ok(Self {
            listen: options.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9999))),
            public_url: options.public_url.as_deref().map(public_url).transpose()?,
            database: database(options.database_url.as_deref(), &data_dir)?,
            vapid_key: options.vapid_key.clone().unwrap_or_else(|| data_dir.join("vapid.pem")),
            contact: options
                .contact
                .as_deref()
                .map(str::parse::<Contact>)
                .transpose()
                .map_err(SettingsError::Contact)?,
            grants: Grants::new(grants.map_err(SettingsError::Publisher)?),
            auth: auth(&options)?,
            limits: limits(&options)?,
            notices: notices(&options)?,
            cors_origins: options.cors_origins.clone().unwrap_or_else(|| vec!["*".to_owned()]),
            read_only: options.readonly.unwrap_or(false),
            version_json: options.version_json_path.clone().unwrap_or_else(|| "version.json".into()),
            metrics: options.metrics.unwrap_or(true),
            sending: sending(&options)?,
            log: level(options.log.as_deref())?,
            data_dir,
        })
    }
}

fn public_url(text: &str) -> Result<String, SettingsError> {
    let wrong = SettingsError::Value {
        name: "public_url",
        problem: "it must be http://HOST or https://HOST, without a path",
    };
    let origin = text.trim_end_matches('/');
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains('@') && host.parse::<Authority>().is_ok() => {
            Ok(origin.to_owned())
        }
        _ => Err(wrong),
    }
}

fn database(url: Option<&str>, data_dir: &std::path::Path) -> Result<Database, SettingsError> {
    match url {
        None => Ok(Database::Sqlite(data_dir.join("push.sqlite"))),
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Ok(Database::Postgres(url.to_owned()))
        }
        // It may hold a password: not repeated.
        Some(_) => Err(SettingsError::Value {
            name: "database_url",
            problem: "it must begin with postgres://; without it a file in the data directory is used",
        }),
    }
}

fn auth(options: &Options) -> Result<AuthSettings, SettingsError> {
    let has_key = options.jwt_key.is_some() || options.jwks.is_some();
    let (mut basic, mut bearer) = (options.auth.is_none(), options.auth.is_none() && has_key);
    for name in options.auth.iter().flatten() {
        match name.as_str() {
            "basic" => basic = true,
            "bearer" => bearer = true,
            _ => {
                return Err(SettingsError::Value { name: "auth", problem: "it lists basic, bearer or both" });
            }
        }
    }
    if bearer && !has_key {
        return Err(SettingsError::Value { name: "auth", problem: "bearer needs jwt_key or jwks" });
    }
    if !basic && !bearer {
        return Err(SettingsError::Value {
            name: "auth",
            problem: "nobody could sign in: it lists basic, bearer or both",
        });
    }
    let mut options_of_bearer = BearerOptions::default();
    options_of_bearer.key.clone_from(&options.jwt_key);
    options_of_bearer.jwks.clone_from(&options.jwks);
    options_of_bearer.issuer.clone_from(&options.jwt_issuer);
    options_of_bearer.audience.clone_from(&options.jwt_audience);
    options_of_bearer.user_claim.clone_from(&options.jwt_user_claim);
    Ok(AuthSettings {
        basic: basic.then(|| options.userid_hmac_secret.clone().unwrap_or_default()),
        bearer: bearer.then_some(options_of_bearer),
    })
}

fn level(name: Option<&str>) -> Result<tracing::Level, SettingsError> {
    let problem = "it must be error, warn, info, debug or trace";
    name.map_or(Ok(tracing::Level::INFO), str::parse)
        .map_err(|_| SettingsError::Value { name: "log", problem })
}

fn limits(options: &Options) -> Result<LimitSettings, SettingsError> {
    let publishes_per_second = options.publishes_per_second.unwrap_or(10);
    let connections = options.connections.unwrap_or(4096);
    let subscriptions_per_user = options.subscriptions_per_user.unwrap_or(64);
    let channels_per_user = options.channels_per_user.unwrap_or(1000);
    let body_octets = options.body_octets.unwrap_or(256 * 1024);
    for (name, is_zero) in [
        ("body_octets", body_octets == 0),
        ("channels_per_user", channels_per_user == 0),
        ("publishes_per_second", publishes_per_second == 0),
        ("connections", connections == 0),
        ("subscriptions_per_user", subscriptions_per_user == 0),
    ] {
        if is_zero {
            return Err(SettingsError::Value { name, problem: "it must be at least 1" });
        }
    }
    Ok(LimitSettings {
        body_octets,
        subscriptions_per_user,
        channels_per_user,
        publishes_per_second,
        connections,
    })
}

fn notices(options: &Options) -> Result<Notices, SettingsError> {
    Ok(Notices {
        backoff: options.backoff,
        end: options.eos.as_deref().map(date).transpose()?,
        end_message: options.eos_message.clone(),
        end_url: options.eos_url.clone(),
        retry_after: options.retry_after_seconds.unwrap_or(3),
    })
}

/// An HTTP date, or a day of ISO 8601 as the original takes it.
fn date(text: &str) -> Result<std::time::SystemTime, SettingsError> {
    httpdate::parse_http_date(text)
        .ok()
        .or_else(|| day(text))
        .ok_or(SettingsError::Value { name: "eos", problem: "it must be YYYY-MM-DD or an HTTP date" })
}

fn day(text: &str) -> Option<std::time::SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let month = MONTHS.get(month.checked_sub(1)? as usize)?;
    // An HTTP date has the day of the week, and only the right one is read.
    ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].into_iter().find_map(|weekday| {
        httpdate::parse_http_date(&format!("{weekday}, {day:02} {month} {year:04} 00:00:00 GMT")).ok()
    })
}

/// Who is dead for an hour is replaced too late for most messages.
const MAX_TERM: u64 = 3600;

fn sending(options: &Options) -> Result<Sending, SettingsError> {
    let term = options.term.unwrap_or(30);
    if !(1..=MAX_TERM).contains(&term) {
        return Err(SettingsError::Value { name: "term", problem: "it must be from 1 to 3600" });
    }
    if options.in_flight == Some(0) {
        return Err(SettingsError::Value { name: "in_flight", problem: "it must be at least 1" });
    }
    let prune_percent = options.prune_percent.unwrap_or(20);
    // Zero might be meant as "remove none", which is not offered: what is gone stays gone.
    if !(1..=100).contains(&prune_percent) {
        return Err(SettingsError::Value { name: "prune_percent", problem: "it must be from 1 to 100" });
    }
    Ok(Sending {
        worker: options.worker.unwrap_or(true),
        term: Duration::from_secs(term),
        in_flight: options.in_flight,
        prune_percent,
        prune_anyway: options.prune_anyway.unwrap_or(49),
        allow_loopback_endpoints: options.allow_loopback_endpoints.unwrap_or(false),
        known_vendors_only: options.known_vendors_only.unwrap_or(false),
        extra_ca: options.extra_ca.clone(),
    })
}
