//! A file with a JWK Set, watched.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use jsonwebtoken::Header;
use jsonwebtoken::jwk::Jwk;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::BearerError;
use super::key::{Key, read};
use crate::chain::Chain;

/// How often the file is looked at, at most.
const EVERY: Duration = Duration::from_secs(1);

/// The keys of a file, read again when it changes.
#[derive(Debug)]
pub(super) struct Jwks {
    path: PathBuf,
    keys: RwLock<Arc<Vec<Key>>>,
    watch: Mutex<Watch>,
}

#[derive(Debug)]
struct Watch {
    next: Instant,
    /// Of the file as it was last looked at.
    stamp: Option<Stamp>,
    /// Whether it was usable.
    usable: bool,
}

/// What changes with a file: when it was written, and its length.
type Stamp = (SystemTime, u64);

impl Jwks {
    pub(super) fn open(path: PathBuf) -> Result<Self, BearerError> {
        let stamp = stamp(&path);
        let keys = RwLock::new(Arc::new(load(&path)?));
        let watch = Watch { next: Instant::now() + EVERY, stamp, usable: true };
        Ok(Self { path, keys, watch: Mutex::new(watch) })
    }

    /// The keys of now. While one request looks at the file, others go on with the keys that are there; and so do all
    /// when the file is gone or damaged.
    pub(super) async fn keys(&self) -> Arc<Vec<Key>> {
        if let Ok(mut watch) = self.watch.try_lock()
            && watch.next <= Instant::now()
        {
            watch.next = Instant::now() + EVERY;
            self.look(&mut watch).await;
        }
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn look(&self, watch: &mut Watch) {
        let (path, known) = (self.path.clone(), watch.stamp.filter(|_| watch.usable));
        let looked = tokio::task::spawn_blocking(move || {
            // Before the content: what is written in between is seen the next time.
            let stamp = stamp(&path);
            (stamp, (stamp.is_none() || stamp != known).then(|| load(&path)))
        });
        // An error means that the runtime ends.
        let Ok((stamp, Some(loaded))) = looked.await else { return };
        let usable = loaded.is_ok();
        match loaded {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "the JWK Set was read again");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            // Once is enough.
            Err(error) if watch.usable || watch.stamp != stamp => {
                tracing::warn!(error = %Chain(&error), "the JWK Set is not usable: its former keys stay in use");
            }
            Err(_) => {}
        }
        (watch.stamp, watch.usable) = (stamp, usable);
    }
}

/// The keys that may have made a token: those of its `kid`. A token without one fits only where there is no choice.
pub(super) fn choose<'a>(set: &'a [Key], header: &Header) -> Vec<&'a Key> {
    let mut fitting: Vec<_> = set.iter().filter(|key| key.verifies(header.alg)).collect();
    match &header.kid {
        Some(id) => fitting.retain(|key| key.id.as_ref() == Some(id)),
        None if fitting.len() > 1 => fitting.clear(),
        None => {}
    }
    fitting
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn load(path: &Path) -> Result<Vec<Key>, BearerError> {
    let octets = read(path)?;
    parse(&octets).map_err(|problem| BearerError::Key { path: path.to_owned(), problem })
}

fn parse(octets: &[u8]) -> Result<Vec<Key>, &'static str> {
    let mut set: Value = serde_json::from_slice(octets).map_err(|_| "it is no JSON")?;
    let Some(Value::Array(members)) = set.get_mut("keys").map(Value::take) else {
        return Err("a JWK Set is an object with the member keys, a list");
    };
    let keys: Vec<_> = members
        .into_iter()
        .filter_map(|member| serde_json::from_value::<Jwk>(member).ok())
        .filter_map(|jwk| Key::from_jwk(&jwk))
        .collect();
    if keys.is_empty() {
        return Err("none of its keys can be used: RSA of 2048 bits or more, P-256, P-384, Ed25519, \
            or a secret of 32 octets or more, for signatures");
    }
    Ok(keys)
}
