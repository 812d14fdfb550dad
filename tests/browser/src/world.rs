use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use reqwest::header::{CONTENT_TYPE, HeaderName, LOCATION};
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect};
use serde_json::Value;
use tempfile::TempDir;
use webpush_channels::testing::PushService;
use webpush_channels_server::{Service, Settings};

use crate::{Failure, eventually};

mod account;
mod visitor;

pub use self::account::Account;
pub use self::visitor::{Shown, Visitor};

/// The service and a push service for browsers, in this process, on ports of loopback.
#[derive(Debug)]
pub struct World {
    push: PushService,
    service: Option<Service>,
    address: SocketAddr,
    directory: TempDir,
    client: Client,
}

impl World {
    /// A new world, in which [`Account::PUBLISHER`] may publish everywhere.
    pub async fn start() -> Result<Self, Failure> {
        let push = PushService::builder().mozilla().start().await?;
        let directory = tempfile::Builder::new().prefix("webpush-world-").tempdir()?;
        let service =
            Service::start(settings(SocketAddr::from(([127, 0, 0, 1], 0)), directory.path())?).await?;
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().build()?;
        Ok(Self { push, address: service.address(), service: Some(service), directory, client })
    }

    /// The push service.
    #[must_use]
    pub const fn push(&self) -> &PushService {
        &self.push
    }

    /// The address of the service's page, with a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Stops the service and starts it again at the same address and with the same data, but with a new VAPID key.
    pub async fn change_key(&mut self) -> Result<(), Failure> {
        if let Some(service) = self.service.take() {
            service.shutdown().await?;
        }
        fs::remove_file(self.directory.path().join("vapid.pem"))?;
        self.service = Some(Service::start(settings(self.address, self.directory.path())?).await?);
        Ok(())
    }

    /// Ends the service as a signal does.
    pub async fn close(mut self) -> Result<(), Failure> {
        if let Some(service) = self.service.take() {
            service.shutdown().await?;
        }
        Ok(())
    }

    /// A request to the API; `path` follows `/v0/`.
    pub fn request(&self, method: Method, path: &str, account: &Account) -> RequestBuilder {
        let request = self.client.request(method, format!("{}v0/{path}", self.url()));
        request.basic_auth(account.name, Some(account.password))
    }

    /// What a GET of the API answers.
    pub async fn get(&self, path: &str, account: &Account) -> Result<Value, Failure> {
        Ok(self.request(Method::GET, path, account).send().await?.error_for_status()?.json().await?)
    }

    /// Publishes as the publisher does and waits for the end; returns the report. `data` is the object that the pushes
    /// hold, or null for pushes without payload.
    pub async fn publish(
        &self,
        channel: &str,
        data: &Value,
        headers: &[(&'static str, &str)],
    ) -> Result<Value, Failure> {
        let mut request = self.request(Method::POST, &format!("channels/{channel}"), &Account::PUBLISHER);
        if !data.is_null() {
            let body = serde_json::json!({ "data": data }).to_string();
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        for (name, value) in headers {
            request = request.header(HeaderName::from_static(name), *value);
        }
        let response = request.send().await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(format!("publishing: {}: {}", response.status(), response.text().await?).into());
        }
        let location = response.headers().get(LOCATION).ok_or("no Location of the broadcast")?.to_str()?;
        self.ended(location.rsplit('/').next().unwrap_or_default()).await
    }

    /// The report of a broadcast, once it has ended.
    async fn ended(&self, id: &str) -> Result<Value, Failure> {
        eventually("end of the broadcast", async || {
            let mut answer = self.get(&format!("broadcasts/{id}"), &Account::PUBLISHER).await?;
            let report = answer["data"].take();
            Ok((report["state"] != "running").then_some(report))
        })
        .await
    }
}

fn settings(listen: SocketAddr, data: &Path) -> Result<Settings, Failure> {
    let publisher = Account::PUBLISHER.user_id();
    let flags: [OsString; 8] = [
        "webpush-channels-server".into(),
        "--listen".into(),
        listen.to_string().into(),
        "--allow-loopback-endpoints".into(),
        "--data-dir".into(),
        data.into(),
        "--publisher".into(),
        publisher.into(),
    ];
    Ok(Settings::parse(flags)?)
}
