//! The crate web-push-native, which makes requests for any client: here reqwest, over HTTP/2.

use std::fs;
use std::hint::black_box;
use std::path::Path;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::{Certificate, Client};
use tokio::runtime::Runtime;
use web_push_native::WebPushBuilder;
use web_push_native::jwt_simple::algorithms::ES256KeyPair;

use super::{IN_FLIGHT, Sender};
use crate::{Result, setup};

pub(super) struct Native {
    runtime: Runtime,
    client: Client,
    key: ES256KeyPair,
    /// Its documentation: one for each recipient, to be reused.
    builders: Vec<WebPushBuilder>,
}

impl Native {
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let authority = Certificate::from_pem(&fs::read(setup::authority(directory))?)?;
        Ok(Self {
            runtime: super::runtime()?,
            client: Client::builder().tls_certs_merge([authority]).build()?,
            key: ES256KeyPair::from_pem(&fs::read_to_string(setup::key_pem(directory))?)?,
            builders: serde_json::from_slice(&fs::read(setup::subscriptions(directory))?)?,
        })
    }

    fn make(&self, to: &WebPushBuilder, payload: &[u8]) -> Result<http::Request<Vec<u8>>> {
        Ok(to.clone().with_vapid(&self.key, setup::CONTACT).build(payload)?)
    }
}

impl Sender for Native {
    fn push(&mut self, payload: &[u8], times: usize) -> Result<()> {
        let send = async |to| {
            let request = self.make(to, payload)?.try_into()?;
            self.client.execute(request).await?.error_for_status()?.bytes().await?;
            Ok(())
        };
        let all = stream::iter(&self.builders[..times]).map(send).buffer_unordered(IN_FLIGHT);
        self.runtime.block_on(all.try_for_each(|()| std::future::ready(Ok(()))))
    }

    fn message(&mut self, payload: &[u8], times: usize) -> Result<Vec<u8>> {
        let mut last = None;
        for to in self.builders.iter().cycle().take(times) {
            last = Some(black_box(self.make(to, payload)?));
        }
        Ok(last.ok_or("nothing was made")?.into_body())
    }
}
