use std::sync::Arc;

use serde_json::Value;

use super::{Account, World};
use crate::{Failure, Firefox, Story, eventually};

/// Somebody at the service's page, with a browser of their own.
#[derive(Clone, Debug)]
pub struct Visitor {
    browser: Arc<Firefox>,
    account: Account,
    url: String,
}

/// A notification as the page's service worker knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Shown {
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
}

impl Shown {
    /// A notification.
    #[must_use]
    pub fn new(title: impl Into<String>, body: impl Into<String>) -> Self {
        Self { title: title.into(), body: body.into() }
    }
}

/// What arrived, newest first, as the pushes held it. The text may be folded away, so that it is not read but looked up.
const RECEIVED: &str =
    "return Array.from(document.querySelectorAll('#messages .message-raw'), one => one.textContent)";

const SHOWN: &str = "
    const registration = await navigator.serviceWorker.getRegistration();
    const shown = await registration.getNotifications();
    return shown.map(one => ({ title: one.title, body: one.body }))";

impl Visitor {
    /// Starts a browser, opens the page and signs in.
    pub async fn arrive(story: &mut Story, world: &World, account: Account) -> Result<Self, Failure> {
        let browser = story.browser(account.name, &world.push().websocket_url()).await?;
        browser.open(&world.url()).await?;
        let visitor = Self::new(browser, world, account);
        visitor.sign_in().await?;
        Ok(visitor)
    }

    /// Somebody with a browser that runs.
    #[must_use]
    pub fn new(browser: Arc<Firefox>, world: &World, account: Account) -> Self {
        Self { browser, account, url: world.url() }
    }

    /// The browser.
    #[must_use]
    pub const fn browser(&self) -> &Arc<Firefox> {
        &self.browser
    }

    /// Who it is.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Fills in the form and waits for what is behind it.
    pub async fn sign_in(&self) -> Result<(), Failure> {
        self.browser.fill("#sign-in-name", self.account.name).await?;
        self.browser.fill("#sign-in-password", self.account.password).await?;
        self.browser.press("#sign-in-submit").await?;
        self.ready().await
    }

    /// Opens the page anew.
    pub async fn reload(&self) -> Result<(), Failure> {
        self.browser.open(&self.url).await?;
        self.ready().await
    }

    async fn ready(&self) -> Result<(), Failure> {
        self.wait_for("#app[data-ready]").await
    }

    /// Waits until something in the page matches a selector.
    pub async fn wait_for(&self, selector: &str) -> Result<(), Failure> {
        const IS_THERE: &str = "return document.querySelector(arguments[0]) !== null";
        eventually(&format!("{selector} in the page"), async || {
            let found = self.browser.script(IS_THERE, &[selector.into()]).await?;
            Ok((found == true).then_some(()))
        })
        .await
    }

    /// Subscribes this browser by the page's button.
    pub async fn subscribe(&self) -> Result<(), Failure> {
        self.browser.press("#subscribe").await?;
        self.wait_for("#device[data-state=subscribed]").await
    }

    /// Joins a channel by the page's form.
    pub async fn join(&self, channel: &str) -> Result<(), Failure> {
        self.browser.fill("#join-name", channel).await?;
        self.browser.press("#join").await?;
        self.wait_for(&format!("#channels [data-channel={channel:?}]")).await
    }

    /// The texts that the page got from its service worker, sorted: the order in which pushes arrive is not guaranteed.
    pub async fn received(&self) -> Result<Vec<String>, Failure> {
        let mut texts: Vec<String> = serde_json::from_value(self.browser.script(RECEIVED, &[]).await?)?;
        texts.sort_unstable();
        Ok(texts)
    }

    /// Waits until the page got exactly these texts.
    pub async fn receives(&self, texts: &[&str]) -> Result<(), Failure> {
        let mut wanted = texts.to_vec();
        wanted.sort_unstable();
        let mut last = Vec::new();
        let result = eventually("page with the right messages", async || {
            last = self.received().await?;
            Ok((last == wanted).then_some(()))
        });
        result.await.map_err(|error| format!("{error}: {last:?} instead of {wanted:?}").into())
    }

    /// The notifications that the service worker shows.
    pub async fn notifications(&self) -> Result<Vec<Shown>, Failure> {
        let shown = self.browser.script(SHOWN, &[]).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let shown = shown.as_array().into_iter().flatten();
        Ok(shown.map(|one| Shown { title: text(&one["title"]), body: text(&one["body"]) }).collect())
    }

    /// Waits for a notification.
    pub async fn is_shown(&self, wanted: &Shown) -> Result<(), Failure> {
        let what = format!("notification {wanted:?}");
        eventually(&what, async || Ok(self.notifications().await?.contains(wanted).then_some(()))).await
    }

    /// What the browser's push manager has, as `toJSON()` gives it, or null.
    pub async fn subscription(&self) -> Result<Value, Failure> {
        self.push_manager("return JSON.parse(JSON.stringify(await pushManager.getSubscription()))").await
    }

    /// Ends the browser's subscription at its push service, and tells neither the page nor the service.
    pub async fn unsubscribe_behind_the_page(&self) -> Result<(), Failure> {
        let ended = self.push_manager("return (await pushManager.getSubscription()).unsubscribe()").await?;
        if ended == true { Ok(()) } else { Err(format!("unsubscribing: {ended}").into()) }
    }

    /// Runs the body of an async function of the push manager. A call that is made before the browser's push service is up
    /// is never answered, and is made again.
    async fn push_manager(&self, body: &str) -> Result<Value, Failure> {
        let script = format!(
            "const {{ pushManager }} = await navigator.serviceWorker.getRegistration();
            const late = new Promise(resolve => setTimeout(resolve, 1500, 'late'));
            return Promise.race([(async () => {{ {body} }})(), late])"
        );
        eventually("answer of the push manager", async || {
            let answer = self.browser.script(&script, &[]).await?;
            Ok((answer != "late").then_some(answer))
        })
        .await
    }
}
