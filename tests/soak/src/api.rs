//! The service's HTTP API, as a client that does not give up.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use crate::Result;
use crate::nodes::Nodes;
use crate::shared::Counter;

/// Longer than a process is stopped, so that no request is given up that is done later.
const TIMEOUT: Duration = Duration::from_secs(40);
/// Longer than everything that is done to the service.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    nodes: Arc<Nodes>,
    pub(crate) calls: Counter,
    /// Answers 429, 500 and above.
    pub(crate) refused: Counter,
    /// No answer.
    pub(crate) broken: Counter,
}

impl Api {
    pub(crate) fn new(nodes: Arc<Nodes>) -> Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        Ok(Self {
            client,
            nodes,
            calls: Counter::default(),
            refused: Counter::default(),
            broken: Counter::default(),
        })
    }

    /// Calls as `user`, whose password is its name, until there is an answer that is one, by one server or another.
    /// Every call can be repeated.
    pub(crate) async fn call(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        let write = |request: RequestBuilder| match &body {
            Some(body) => request.json(body),
            None => request,
        };
        self.call_with(user, method, path, write).await
    }

    /// The same, of a request that is completed by `write`.
    pub(crate) async fn call_with(
        &self,
        user: &str,
        method: Method,
        path: &str,
        write: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let bases = self.nodes.bases();
            let Some(base) = bases.get(fastrand::usize(..bases.len().max(1))) else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let request = self.client.request(method.clone(), format!("{base}/v0/{path}"));
            let request = write(request.basic_auth(user, Some(user)));
            match self.send(request, &method).await? {
                Some(answer) => return Ok(answer),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(format!("{method} {path} has no answer for {} s", PATIENCE.as_secs()).into())
    }

    /// None: not now.
    async fn send(&self, request: RequestBuilder, method: &Method) -> Result<Option<Answer>> {
        self.calls.add();
        let Ok(response) = request.send().await else {
            self.broken.add();
            return Ok(None);
        };
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            self.refused.add();
            return Ok(None);
        }
        let Some(answer) = Answer::read(response).await else {
            self.broken.add();
            return Ok(None);
        };
        // What is removed twice, because the first answer was lost, is not there.
        let is_removed = status == StatusCode::NOT_FOUND && *method == Method::DELETE;
        if (status.is_client_error() || status.is_server_error()) && !is_removed {
            return Err(format!("the service says {status}: {}", answer.json).into());
        }
        Ok(Some(answer))
    }
}

/// What the service answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) json: Value,
    pub(crate) location: Option<String>,
}

impl Answer {
    async fn read(response: Response) -> Option<Self> {
        let location = response.headers().get("location").and_then(|it| it.to_str().ok()).map(str::to_owned);
        let text = response.text().await.ok()?;
        Some(Self { json: serde_json::from_str(&text).unwrap_or_default(), location })
    }

    /// The ids of a list.
    pub(crate) fn ids(&self) -> Vec<String> {
        let records = self.json["data"].as_array().into_iter().flatten();
        records.filter_map(|record| record["id"].as_str()).map(str::to_owned).collect()
    }
}
