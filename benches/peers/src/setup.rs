//! What all senders are given: subscriptions, a VAPID key in the forms that they read, and who signed the push
//! service's certificate. Files, because not all of them are written in Rust.

use std::fs;
use std::path::{Path, PathBuf};

use webpush_channels::Endpoint;
use webpush_channels::engine::vapid::VapidKey;
use webpush_channels::testing::UserAgent;

use crate::Result;

/// Browsers that the subscriptions are from, in turns.
const BROWSERS: usize = 64;
pub(crate) const CONTACT: &str = "mailto:push@example.com";

pub(crate) fn authority(directory: &Path) -> PathBuf {
    directory.join("authority.pem")
}

pub(crate) fn subscriptions(directory: &Path) -> PathBuf {
    directory.join("subscriptions.json")
}

/// The first of them alone.
pub(crate) fn subscription(directory: &Path) -> PathBuf {
    directory.join("subscription.json")
}

pub(crate) fn key_pem(directory: &Path) -> PathBuf {
    directory.join("vapid.pem")
}

/// `publicKey` and `privateKey` in base64url.
pub(crate) fn key_pair(directory: &Path) -> PathBuf {
    directory.join("vapid.json")
}

/// Who can open what was sent to the subscription of this number.
pub(crate) fn browser(subscription: usize) -> Browser {
    let n = u8::try_from(subscription % BROWSERS + 1).expect("there are few");
    // Any scalar below the order of the group will do.
    let (private, auth) = ([n; 32], [n; 16]);
    Browser { agent: UserAgent::from_keys(private, auth).expect("the scalar is good"), private, auth }
}

/// A user agent, and its keys for others.
#[derive(Debug)]
pub(crate) struct Browser {
    pub(crate) agent: UserAgent,
    pub(crate) private: [u8; 32],
    pub(crate) auth: [u8; 16],
}

/// The endpoint of the subscription of this number, as long as those of vendors.
pub(crate) fn endpoint(origin: &str, subscription: usize) -> Result<Endpoint> {
    Ok(format!("{origin}/p/{subscription:0154}").parse()?)
}

/// Writes all files but the authority's, which the push service wrote.
pub(crate) fn write(directory: &Path, origin: &str, count: usize) -> Result<()> {
    let browsers: Vec<_> = (0..BROWSERS).map(browser).collect();
    let all = (0..count).map(|n| Ok(browsers[n % BROWSERS].agent.subscribe(endpoint(origin, n)?)));
    let all = all.collect::<Result<Vec<_>>>()?;
    fs::write(subscription(directory), serde_json::to_string(&all[0])?)?;
    fs::write(subscriptions(directory), serde_json::to_string(&all)?)?;
    let key = VapidKey::generate()?;
    fs::write(key_pem(directory), key.to_pkcs8_pem().expose())?;
    fs::write(key_pair(directory), key.to_json_pair().expose())?;
    Ok(())
}
