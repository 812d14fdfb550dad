//! The library's parts, put together as the settings say.

use std::fs;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use webpush_channels::channel::{Channels, Limits, MassPruneBreaker};
use webpush_channels::engine::vapid::{Contact, Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::{Journal, WorkerId};
use webpush_channels::store::{PostgresStore, SqliteStore};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{AddressPolicy, EndpointPolicy};

use crate::StartError;
use crate::settings::{Database, Sending, Settings};

/// Whom push services may turn to where the operator named nobody. It is true, and of little use to them.
const PROJECT: &str = "https://github.com/webpush-channels/webpush-channels";

/// Makes the data directory where it is missing: what will lie in it is for the operator's eyes only.
pub(crate) fn data_dir(path: &Path) -> Result<(), StartError> {
    let mut directory = fs::DirBuilder::new();
    directory.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
    directory.create(path).map_err(|error| StartError::File(path.to_owned(), error))
}

pub(crate) async fn open(settings: &Settings) -> Result<Arc<dyn Journal>, StartError> {
    // The store counts: only it can when several nodes put subscriptions of one user.
    let limit = u32::try_from(settings.limits.subscriptions_per_user).unwrap_or(u32::MAX);
    let limit = NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
    match &settings.database {
        Database::Sqlite(path) => {
            let store = SqliteStore::builder(path).max_subscriptions_per_user(limit);
            let store = store.open().await.map_err(StartError::Database)?;
            Ok(Arc::new(store))
        }
        Database::Postgres(url) => {
            let store = PostgresStore::builder().url(url).max_subscriptions_per_user(limit);
            let store = store.connect().await.map_err(StartError::Database)?;
            Ok(Arc::new(store))
        }
    }
}

pub(crate) fn channels(
    settings: &Settings,
    key: VapidKey,
    journal: &Arc<dyn Journal>,
) -> Result<Channels, StartError> {
    let vapid = Vapid::new(key, contact(settings)?);
    let transport = transport(&settings.sending)?;
    let sender = Sender::builder(vapid, transport).policy(policy(&settings.sending)).build();
    let mut limits = Limits::default();
    if let Some(requests) = settings.sending.in_flight {
        limits = limits.with_in_flight(requests);
    }
    let channels = Channels::builder(Arc::clone(journal), sender).limits(limits);
    Ok(match breaker(&settings.sending) {
        Some(breaker) => channels.removal_hook(breaker),
        None => channels.without_removal_hook(),
    }
    .build())
}

/// What keeps a push service's mistake from removing everybody. Where all may go there is none, because the
/// library's withholds where all are gone, whatever the percent.
fn breaker(sending: &Sending) -> Option<MassPruneBreaker> {
    let breaker = MassPruneBreaker::new().with_minimum(sending.prune_anyway.saturating_add(1));
    (sending.prune_percent < 100).then(|| breaker.with_percent(sending.prune_percent))
}

fn contact(settings: &Settings) -> Result<Contact, StartError> {
    if let Some(contact) = &settings.contact {
        return Ok(contact.clone());
    }
    tracing::warn!("push services are told the project's address: name yours with --contact mailto:...");
    let url = settings.public_url.as_deref().filter(|url| url.starts_with("https://"));
    url.and_then(|url| url.parse().ok()).map_or_else(|| PROJECT.parse().map_err(StartError::Contact), Ok)
}

fn transport(sending: &Sending) -> Result<HyperTransport, StartError> {
    let mut transport = HyperTransport::builder();
    if sending.allow_loopback_endpoints {
        transport = transport.address_policy(AddressPolicy::loopback_for_tests()).http2_prior_knowledge(true);
    }
    if let Some(path) = &sending.extra_ca {
        let pem = fs::read(path).map_err(|error| StartError::File(path.clone(), error))?;
        transport = transport.extra_root_pem(&pem).map_err(StartError::Transport)?;
    }
    transport.build().map_err(StartError::Transport)
}

/// Which endpoints are taken.
pub(crate) fn policy(sending: &Sending) -> EndpointPolicy {
    if sending.allow_loopback_endpoints {
        EndpointPolicy::loopback_for_tests()
    } else if sending.known_vendors_only {
        EndpointPolicy::known_vendors()
    } else {
        EndpointPolicy::public_internet()
    }
}

/// The VAPID key in `path`, made if there is none: for its owner's eyes only, and complete or not there at all.
pub(crate) fn vapid_key(path: &Path) -> Result<VapidKey, StartError> {
    let failed = |error| StartError::File(path.to_owned(), error);
    match fs::read(path) {
        Ok(file) => {
            tell_whether_others_read(path);
            VapidKey::from_octets(&file).map_err(|error| StartError::VapidKey(path.to_owned(), error))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = make_key(path)?;
            // Two servers may have begun at once: the file that is there now is the key of both.
            let file = fs::read(path).map_err(failed)?;
            tracing::info!(path = %path.display(), made, "a VAPID key was made: keep a copy, browsers are bound to it");
            VapidKey::from_octets(&file).map_err(|error| StartError::VapidKey(path.to_owned(), error))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Somebody else on this host may send in our name: it is said, and not refused, because a container's file may have
/// the mode of those who mount it.
#[cfg_attr(not(unix), expect(unused_variables, reason = "no modes"))]
fn tell_whether_others_read(path: &Path) {
    #[cfg(unix)]
    if let Ok(file) = fs::metadata(path) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            let mode = format_args!("{mode:03o}");
            tracing::warn!(path = %path.display(), %mode, "others can read the VAPID key: chmod 600");
        }
    }
}

/// Opens a file; one that is made is for its owner's eyes only.
fn private(path: &Path, options: &mut fs::OpenOptions) -> Result<fs::File, StartError> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path).map_err(|error| StartError::File(path.to_owned(), error))
}

/// False: somebody else was faster.
fn make_key(path: &Path) -> Result<bool, StartError> {
    let failed = |error| StartError::File(path.to_owned(), error);
    let key = VapidKey::generate().map_err(|error| StartError::VapidKey(path.to_owned(), error))?;
    // A name that nobody else has: the ids of processes repeat, in containers always.
    let unique: String = WorkerId::random().as_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
    let temporary = path.with_extension(format!("new-{unique}"));
    let mut file = private(&temporary, fs::OpenOptions::new().write(true).create_new(true))?;
    file.write_all(key.to_pkcs8_pem().expose().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    // A link, not a rename: it does not replace the key that another process made meanwhile.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(failed)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}
