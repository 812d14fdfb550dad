//! What a person does with a page.

use serde_json::{Value, json};

use super::Firefox;
use crate::{Context, Failure, Marionette, MarionetteError, eventually};

/// The size of what a page sees as its window, in CSS pixels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Window {
    /// A laptop's: 1280 by 900.
    Wide,
    /// A phone's: 390 by 844.
    Phone,
}

impl Window {
    const fn size(self) -> (u32, u32) {
        match self {
            Self::Wide => (1280, 900),
            Self::Phone => (390, 844),
        }
    }
}

/// Firefox has no windows narrower than 500 pixels, so it is the part that shows the page that is made smaller.
const RESIZE: &str = "
    const [width, height] = Array.from(arguments, length => `${length}px`);
    const shown = { minWidth: width, maxWidth: width, minHeight: height, maxHeight: height };
    Object.assign(gBrowser.selectedBrowser.style, shown);
    window.resizeTo(1400, 1100)";

impl Firefox {
    /// Opens a page and waits until it is loaded.
    pub async fn open(&self, url: &str) -> Result<(), MarionetteError> {
        self.session.lock().await.navigate(url).await
    }

    /// Goes on with the page at this address, in whichever tab it is, as soon as there is one.
    pub async fn turn_to(&self, url: &str) -> Result<(), Failure> {
        eventually(&format!("tab with {url}"), async || {
            Ok(self.session.lock().await.switch_to(url).await?.then_some(()))
        })
        .await
    }

    /// Runs the body of an async function in the page.
    pub async fn script(&self, body: &str, arguments: &[Value]) -> Result<Value, MarionetteError> {
        self.session.lock().await.run(Context::Content, body, arguments).await
    }

    /// Clicks what a selector matches, as soon as it is there and can be clicked.
    pub async fn press(&self, selector: &str) -> Result<(), Failure> {
        self.retry(selector, async |session| {
            let element = session.find(selector).await?;
            session.click(&element).await
        })
        .await
    }

    /// Writes text into a field, instead of what stands there.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<(), Failure> {
        self.retry(selector, async |session| {
            let element = session.find(selector).await?;
            session.clear(&element).await?;
            session.type_into(&element, text).await
        })
        .await
    }

    /// The text that a person reads in what a selector matches, as soon as it is there.
    pub async fn read(&self, selector: &str) -> Result<String, Failure> {
        eventually(&format!("{selector} in the page"), async || self.read_now(selector).await).await
    }

    /// Waits until a person can read this text in what a selector matches.
    pub async fn see(&self, selector: &str, wanted: &str) -> Result<(), Failure> {
        let what = format!("{wanted:?} to read in {selector}");
        eventually(&what, async || {
            let text = self.read_now(selector).await?;
            Ok(text.filter(|text| text.contains(wanted)).map(drop))
        })
        .await
    }

    /// What there is to read in all that a selector matches, hidden elements apart; nothing if all are.
    async fn read_now(&self, selector: &str) -> Result<Option<String>, Failure> {
        const TEXT: &str =
            "const all = [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility());
            return all.length ? all.map(e => e.innerText).join('\\n') : null";
        let text = self.script(TEXT, &[selector.into()]).await?;
        Ok(text.as_str().map(str::to_owned))
    }

    /// A page that draws itself anew takes elements away, or moves them, between two commands.
    async fn retry(
        &self,
        selector: &str,
        mut act: impl AsyncFnMut(&mut Marionette) -> Result<(), MarionetteError>,
    ) -> Result<(), Failure> {
        eventually(&format!("{selector} that can be used"), async || {
            match act(&mut *self.session.lock().await).await {
                Ok(()) => Ok(Some(())),
                Err(error) if error.is_about_element() => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Makes the window this large, as far as the page can see.
    pub async fn resize(&self, window: Window) -> Result<(), Failure> {
        let (width, height) = window.size();
        self.privileged(RESIZE, &[width.into(), height.into()]).await?;
        eventually("page of the new size", async || {
            let size = self.script("return [innerWidth, innerHeight]", &[]).await?;
            Ok((size == json!([width, height])).then_some(()))
        })
        .await
    }

    /// A PNG of all of the page, as tall as it is.
    pub async fn picture(&self) -> Result<Vec<u8>, MarionetteError> {
        self.session.lock().await.screenshot(true).await
    }

    /// What a screen reader calls each control of the page that can be seen, and what is wrong with those it has no word
    /// for.
    pub async fn nameless_controls(&self) -> Result<Vec<String>, Failure> {
        const CONTROLS: &str = "a[href], button, input, select, summary, textarea, [tabindex='0']";
        let mut session = self.session.lock().await;
        let mut nameless = Vec::new();
        for control in session.find_all(CONTROLS).await? {
            if session.label(&control).await?.trim().is_empty() && session.is_displayed(&control).await? {
                nameless.push(session.source(&control).await?);
            }
        }
        Ok(nameless)
    }
}
