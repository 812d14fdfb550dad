//! This crate: a channel in memory, published to as its README says.

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;
use webpush_channels::channel::{Channel as _, Channels};
use webpush_channels::engine::encryption::{Encryptor, Plaintext};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::store::{MemoryStore, NewEntry, SubscriptionStore as _};
use webpush_channels::transport::HyperTransport;
use webpush_channels::{
    AddressPolicy, ChannelName, EndpointPolicy, Message, OutcomeKind, Padding, Payload, Subscription, Ttl,
    UserId,
};

use super::Sender;
use crate::{Result, setup};

/// Phone and laptop.
const DEVICES: usize = 2;
const TTL: Ttl = Ttl::hours(1);

pub(super) struct Sending<E> {
    runtime: Runtime,
    channels: Channels,
    /// By the number of their subscriptions.
    prepared: HashMap<usize, ChannelName>,
    users: Vec<UserId>,
    encryptor: Arc<E>,
    vapid: Vapid,
    subscriptions: Vec<Subscription>,
}

impl<E: Encryptor> Sending<E> {
    pub(super) fn new(directory: &Path, encryptor: E) -> Result<Self> {
        let runtime = super::runtime()?;
        let encryptor = Arc::new(encryptor);
        let key = VapidKey::from_octets(&fs::read(setup::key_pem(directory))?)?;
        let vapid = Vapid::new(key, setup::CONTACT.parse()?);
        let transport = HyperTransport::builder()
            .address_policy(AddressPolicy::loopback_for_tests())
            .extra_root_pem(&fs::read(setup::authority(directory))?)?
            .build()?;
        let sender = webpush_channels::sender::Sender::builder(vapid.clone(), transport)
            .encryptor(Arc::clone(&encryptor))
            .policy(EndpointPolicy::loopback_for_tests())
            .build();
        let subscriptions: Vec<Subscription> =
            serde_json::from_slice(&fs::read(setup::subscriptions(directory))?)?;
        let store = MemoryStore::new();
        let mut users = Vec::new();
        for (n, devices) in subscriptions.chunks(DEVICES).enumerate() {
            let user = UserId::new(format!("user-{n}"))?;
            let entries: Vec<_> =
                devices.iter().map(|device| NewEntry::new(user.clone(), device.clone())).collect();
            runtime.block_on(store.put(&entries))?;
            users.push(user);
        }
        let channels = Channels::new(store, sender);
        Ok(Self { runtime, channels, prepared: HashMap::new(), users, encryptor, vapid, subscriptions })
    }
}

impl<E: Encryptor> Sender for Sending<E> {
    fn prepare(&mut self, recipients: usize) -> Result<()> {
        let name = ChannelName::new(format!("news-{recipients}"))?;
        let users = self.users.get(..recipients / DEVICES).ok_or("there are not so many")?;
        self.runtime.block_on(self.channels.store().join(&name, users))?;
        self.prepared.insert(recipients, name);
        Ok(())
    }

    fn push(&mut self, payload: &[u8], times: usize) -> Result<()> {
        let name = self.prepared.get(&times).ok_or("not prepared")?;
        let message = Message::new(Payload::new(payload.to_vec())?, TTL);
        let report = self.runtime.block_on(self.channels.channel(name).publish(message.into()))?;
        if report.counts[OutcomeKind::Accepted] == times as u64 {
            Ok(())
        } else {
            Err(report.to_string().into())
        }
    }

    fn message(&mut self, payload: &[u8], times: usize) -> Result<Vec<u8>> {
        let payload = Payload::new(payload.to_vec())?;
        let plaintext = Plaintext::new(&payload, Padding::default(), self.encryptor.max_plaintext_len())?;
        let mut last = None;
        for subscription in self.subscriptions.iter().cycle().take(times) {
            let mut body = Vec::new();
            let encoded = self.encryptor.encrypt(subscription.keys(), &plaintext, &mut body)?;
            let token = self.vapid.authorization(&subscription.endpoint().origin())?;
            let request = PushRequest::new(subscription.endpoint(), TTL, token.header)
                .with_body(Body::encrypted(encoded, body.into()));
            last = Some(black_box(request.into_http()));
        }
        Ok(last.ok_or("nothing was made")?.into_body().into())
    }
}
