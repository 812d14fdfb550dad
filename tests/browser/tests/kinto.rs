//! The whole chain: somebody changes a record in Kinto, and a browser is told which.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use webpush_channels_browser_tests::{Account, Failure, Visitor, World, tell};

const CHANNEL: &str = "blog-articles";
const RECORD: &str = "buckets/blog/collections/articles/records/hello";
/// A whole environment of Python's is made the first time.
const INSTALL: Duration = Duration::from_secs(300);
const START: Duration = Duration::from_secs(60);
/// More than Kinto takes to post what waits.
const END: Duration = Duration::from_secs(30);

#[tokio::test]
async fn changes_of_a_record_reach_a_browser() {
    tell("kinto", 1, async |story| {
        story.step("install Kinto and the plug-in");
        install().await?;

        story.step("join the channel");
        let world = World::start().await?;
        let visitor = Visitor::arrive(story, &world, Account::new("ann")).await?;
        visitor.subscribe().await?;
        visitor.join(CHANNEL).await?;

        story.step("start Kinto");
        let kinto = Kinto::start(&world, &story.artefacts().join("kinto.log")).await?;
        kinto.call(Method::PUT, "buckets/blog", &json!({})).await?;
        kinto.call(Method::PUT, "buckets/blog/collections/articles", &json!({})).await?;
        let root = kinto.call(Method::GET, "", &Value::Null).await?;
        assert!(root["capabilities"]["webpush_channels"].is_object(), "{root}");

        story.step("create a record");
        let created = kinto.call(Method::PUT, RECORD, &json!({ "data": { "title": "Hello" } })).await?;
        let created = announced("create", &created);
        visitor.receives(&[&created]).await?;

        story.step("write what is there already");
        kinto.call(Method::PUT, RECORD, &json!({ "data": { "title": "Hello" } })).await?;

        story.step("change it");
        let changed = kinto.call(Method::PATCH, RECORD, &json!({ "data": { "title": "Hi" } })).await?;
        let changed = announced("update", &changed);
        visitor.receives(&[&created, &changed]).await?;

        story.step("delete it");
        let deleted = kinto.call(Method::DELETE, RECORD, &Value::Null).await?;
        let deleted = announced("delete", &deleted);
        visitor.receives(&[&created, &changed, &deleted]).await?;
        story.picture(visitor.browser(), "three-changes").await?;

        story.step("end Kinto");
        kinto.close().await?;
        world.close().await
    })
    .await;
}

/// The text of the push that tells of a record, from what Kinto answered.
fn announced(action: &str, answer: &Value) -> String {
    let push = json!({
        "action": action,
        "bucket": "blog",
        "collection": "articles",
        "records": [answer["data"]["id"]],
        "timestamp": answer["data"]["last_modified"],
    });
    push.to_string()
}

/// A Kinto with the plug-in, which publishes as [`Account::PUBLISHER`]. Dropping it kills it.
struct Kinto {
    process: Child,
    url: String,
    client: Client,
}

impl Kinto {
    /// Starts one on a free port; its log goes to the file.
    async fn start(world: &World, log: &Path) -> Result<Self, Failure> {
        let mapping = format!("blog/articles = {CHANNEL}");
        let mut process = script()
            .args(["run", "--port", "0", "--server", &world.url(), "--channels", &mapping])
            .args(["--set", "coalesce_seconds=0"])
            .env("KINTO_WEBPUSH_CHANNELS_USER", Account::PUBLISHER.name)
            .env("KINTO_WEBPUSH_CHANNELS_PASSWORD", Account::PUBLISHER.password)
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()?;
        let output = process.stdout.take().ok_or("Kinto has no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let line = timeout(START, lines.next_line()).await??;
        let line = line.ok_or_else(|| format!("Kinto ended: see {}", log.display()))?;
        let url =
            line.strip_prefix("listening on ").ok_or_else(|| format!("Kinto said {line:?}"))?.to_owned();
        Ok(Self { process, url, client: Client::builder().no_proxy().build()? })
    }

    /// What a request answers, which must succeed.
    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        request = request.basic_auth("alice", Some("wonderland"));
        if !body.is_null() {
            request = request.json(body);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// Ends it as a service manager does.
    async fn close(mut self) -> Result<(), Failure> {
        let id = self.process.id().ok_or("Kinto ended by itself")?;
        let sent = Command::new("kill").arg(id.to_string()).status().await?;
        let ended = timeout(END, self.process.wait()).await??;
        if sent.success() && ended.success() { Ok(()) } else { Err(format!("Kinto: {ended}").into()) }
    }
}

async fn install() -> Result<(), Failure> {
    let installed = timeout(INSTALL, script().arg("install").status()).await??;
    if installed.success() { Ok(()) } else { Err(format!("scripts/kinto install: {installed}").into()) }
}

fn script() -> Command {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "scripts", "kinto"].iter().collect();
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
