//! Mozilla's crate ece, which encrypts and does nothing else.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use webpush_channels::Subscription;

use super::Sender;
use crate::{Result, setup};

pub(super) struct Ece {
    keys: Vec<([u8; 65], [u8; 16])>,
}

impl Ece {
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let subscriptions: Vec<Subscription> =
            serde_json::from_slice(&fs::read(setup::subscriptions(directory))?)?;
        let keys = subscriptions.iter().map(Subscription::keys);
        Ok(Self { keys: keys.map(|keys| (*keys.p256dh().as_bytes(), *keys.auth().as_bytes())).collect() })
    }
}

impl Sender for Ece {
    fn message(&mut self, payload: &[u8], times: usize) -> Result<Vec<u8>> {
        let mut last = Vec::new();
        for (public, auth) in self.keys.iter().cycle().take(times) {
            last = black_box(::ece::encrypt(public, auth, payload)?);
        }
        Ok(last)
    }
}
