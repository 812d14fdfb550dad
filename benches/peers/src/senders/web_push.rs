//! The crate web-push: as its README sends one message, with the key read once and its one client for all of them.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::runtime::Runtime;
use web_push::{
    ContentEncoding, HyperWebPushClient, IsahcWebPushClient, PartialVapidSignatureBuilder, SubscriptionInfo,
    VapidSignatureBuilder, WebPushClient, WebPushError, WebPushMessage, WebPushMessageBuilder,
    request_builder,
};

use super::{IN_FLIGHT, Sender};
use crate::{Result, setup};

pub(super) struct WebPush<C> {
    runtime: Runtime,
    client: C,
    key: PartialVapidSignatureBuilder,
    subscriptions: Vec<SubscriptionInfo>,
}

pub(super) fn isahc(directory: &Path) -> Result<WebPush<IsahcWebPushClient>> {
    WebPush::new(directory, IsahcWebPushClient::new()?)
}

pub(super) fn hyper(directory: &Path) -> Result<WebPush<HyperWebPushClient>> {
    WebPush::new(directory, HyperWebPushClient::new())
}

impl<C> WebPush<C> {
    fn new(directory: &Path, client: C) -> Result<Self> {
        Ok(Self {
            runtime: super::runtime()?,
            client,
            key: VapidSignatureBuilder::from_pem_no_sub(fs::File::open(setup::key_pem(directory))?)?,
            subscriptions: serde_json::from_slice(&fs::read(setup::subscriptions(directory))?)?,
        })
    }

    fn make(
        &self,
        to: &SubscriptionInfo,
        payload: &[u8],
    ) -> std::result::Result<WebPushMessage, WebPushError> {
        let mut signature = self.key.clone().add_sub_info(to);
        signature.add_claim("sub", setup::CONTACT);
        let mut message = WebPushMessageBuilder::new(to);
        message.set_payload(ContentEncoding::Aes128Gcm, payload);
        message.set_vapid_signature(signature.build()?);
        message.build()
    }
}

impl<C: WebPushClient> Sender for WebPush<C> {
    fn push(&mut self, payload: &[u8], times: usize) -> Result<()> {
        let all = stream::iter(&self.subscriptions[..times])
            .map(|to| async { self.client.send(self.make(to, payload)?).await })
            .buffer_unordered(IN_FLIGHT)
            .try_for_each(|()| std::future::ready(Ok(())));
        Ok(self.runtime.block_on(all)?)
    }

    fn message(&mut self, payload: &[u8], times: usize) -> Result<Vec<u8>> {
        let mut last = None;
        for to in self.subscriptions.iter().cycle().take(times) {
            last = Some(black_box(request_builder::build_request::<Vec<u8>>(self.make(to, payload)?)));
        }
        Ok(last.ok_or("nothing was made")?.into_body())
    }
}
