use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;

mod error;
mod frame;
mod reply;

pub use self::error::MarionetteError;

/// How long one command may take. Loading a page and running a script have limits of their own inside the browser,
/// which are shorter, so that it is the browser that says what did not end.
const COMMAND: Duration = Duration::from_secs(30);
const IN_BROWSER: Duration = Duration::from_secs(20);
/// The key of an element's id in JSON (`WebDriver`, section "Elements").
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Where a script runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Context {
    /// In the page, with the page's rights.
    Content,
    /// In the browser's window, with the browser's rights.
    Chrome,
}

impl Context {
    const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Chrome => "chrome",
        }
    }
}

/// An element of the page that is open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Element(String);

impl Element {
    fn parse(value: &Value) -> Result<Self, MarionetteError> {
        let id = value.get(ELEMENT).and_then(Value::as_str);
        id.map(|id| Self(id.to_owned())).ok_or_else(|| MarionetteError::unexpected("an element", value))
    }
}

/// A session with one Firefox. Commands go one after another.
///
/// A command whose future is dropped leaves the connection broken, because its answer would be taken for the next one's:
/// [`MarionetteError::Broken`] from then on.
#[derive(Debug)]
pub struct Marionette {
    stream: BufReader<TcpStream>,
    last: u64,
    context: Context,
    broken: bool,
}

impl Marionette {
    /// Connects to the port of loopback that a Firefox listens on, and begins a session.
    pub async fn connect(port: u16) -> Result<Self, MarionetteError> {
        let greeted = timeout(COMMAND, greet(port)).await;
        let stream = greeted.map_err(|_| MarionetteError::timeout("the greeting"))??;
        let mut session = Self { stream, last: 0, context: Context::Content, broken: false };
        session.call("WebDriver:NewSession", json!({})).await?;
        let limit = u64::try_from(IN_BROWSER.as_millis()).unwrap_or(u64::MAX);
        session
            .call("WebDriver:SetTimeouts", json!({ "script": limit, "pageLoad": limit, "implicit": 0 }))
            .await?;
        Ok(session)
    }

    /// One command, whatever it is.
    pub async fn call(&mut self, command: &str, parameters: Value) -> Result<Value, MarionetteError> {
        if self.broken {
            return Err(MarionetteError::Broken);
        }
        self.broken = true;
        let exchange = timeout(COMMAND, self.exchange(command, parameters));
        let answer = exchange.await.map_err(|_| MarionetteError::timeout(command))??;
        self.broken = false;
        answer.map_err(|refused| refused.of(command))
    }

    async fn exchange(
        &mut self,
        command: &str,
        parameters: Value,
    ) -> Result<Result<Value, reply::Refused>, MarionetteError> {
        self.last += 1;
        let request = json!([0, self.last, command, parameters]);
        frame::write(&mut self.stream, &request).await?;
        reply::parse(frame::read(&mut self.stream).await?, self.last)
    }

    async fn value(&mut self, command: &str, parameters: Value) -> Result<Value, MarionetteError> {
        let mut answer = self.call(command, parameters).await?;
        Ok(answer.get_mut("value").map_or(Value::Null, Value::take))
    }

    /// Opens a page and waits until it is loaded.
    pub async fn navigate(&mut self, url: &str) -> Result<(), MarionetteError> {
        self.enter(Context::Content).await?;
        self.call("WebDriver:Navigate", json!({ "url": url })).await.map(drop)
    }

    /// Goes on in the first tab whose address begins like this; returns whether there is one. Without one, the session
    /// goes on in the last of all.
    pub async fn switch_to(&mut self, url: &str) -> Result<bool, MarionetteError> {
        self.enter(Context::Content).await?;
        let handles = self.call("WebDriver:GetWindowHandles", json!({})).await?;
        for handle in handles.as_array().into_iter().flatten() {
            self.call("WebDriver:SwitchToWindow", json!({ "handle": handle, "focus": false })).await?;
            let address = self.value("WebDriver:GetCurrentURL", json!({})).await?;
            if address.as_str().is_some_and(|address| address.starts_with(url)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs the body of an async function; `arguments` are its arguments. What it returns must be JSON.
    pub async fn run(
        &mut self,
        context: Context,
        body: &str,
        arguments: &[Value],
    ) -> Result<Value, MarionetteError> {
        self.enter(context).await?;
        let script = format!("return (async function () {{ {body}\n }}).apply(null, arguments)");
        self.value("WebDriver:ExecuteScript", json!({ "script": script, "args": arguments })).await
    }

    async fn enter(&mut self, context: Context) -> Result<(), MarionetteError> {
        if self.context != context {
            self.call("Marionette:SetContext", json!({ "value": context.name() })).await?;
            self.context = context;
        }
        Ok(())
    }

    /// The first element that a CSS selector matches.
    pub async fn find(&mut self, selector: &str) -> Result<Element, MarionetteError> {
        self.enter(Context::Content).await?;
        let found = self.value("WebDriver:FindElement", css(selector)).await?;
        Element::parse(&found)
    }

    /// All elements that a CSS selector matches.
    pub async fn find_all(&mut self, selector: &str) -> Result<Vec<Element>, MarionetteError> {
        self.enter(Context::Content).await?;
        let found = self.call("WebDriver:FindElements", css(selector)).await?;
        found.as_array().into_iter().flatten().map(Element::parse).collect()
    }

    /// What a screen reader calls an element.
    pub async fn label(&mut self, element: &Element) -> Result<String, MarionetteError> {
        self.text_of("WebDriver:GetComputedLabel", json!({ "id": element.0 })).await
    }

    /// An element's opening tag and what follows.
    pub async fn source(&mut self, element: &Element) -> Result<String, MarionetteError> {
        self.text_of("WebDriver:GetElementProperty", json!({ "id": element.0, "name": "outerHTML" })).await
    }

    /// Whether an element can be seen.
    pub async fn is_displayed(&mut self, element: &Element) -> Result<bool, MarionetteError> {
        Ok(self.value("WebDriver:IsElementDisplayed", json!({ "id": element.0 })).await? == true)
    }

    async fn text_of(&mut self, command: &str, parameters: Value) -> Result<String, MarionetteError> {
        let value = self.value(command, parameters).await?;
        value.as_str().map(str::to_owned).ok_or_else(|| MarionetteError::unexpected("text", &value))
    }

    /// Scrolls to an element and clicks in the middle of it, as a person does.
    pub async fn click(&mut self, element: &Element) -> Result<(), MarionetteError> {
        self.call("WebDriver:ElementClick", json!({ "id": element.0 })).await.map(drop)
    }

    /// Empties a field.
    pub async fn clear(&mut self, element: &Element) -> Result<(), MarionetteError> {
        self.call("WebDriver:ElementClear", json!({ "id": element.0 })).await.map(drop)
    }

    /// Types into a field, after what stands there.
    pub async fn type_into(&mut self, element: &Element, text: &str) -> Result<(), MarionetteError> {
        self.call("WebDriver:ElementSendKeys", json!({ "id": element.0, "text": text })).await.map(drop)
    }

    /// A PNG of the whole page, or of what fits into the window.
    pub async fn screenshot(&mut self, whole: bool) -> Result<Vec<u8>, MarionetteError> {
        self.enter(Context::Content).await?;
        let image = self.value("WebDriver:TakeScreenshot", json!({ "full": whole, "hash": false })).await?;
        let octets = image.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
        octets.ok_or_else(|| MarionetteError::unexpected("a screenshot", &image))
    }

    /// Ends the browser as its menu does, so that it saves what it has to. There is no other command after this one.
    pub async fn quit(&mut self) -> Result<(), MarionetteError> {
        self.call("Marionette:Quit", json!({ "flags": ["eForceQuit"] })).await.map(drop)
    }
}

fn css(selector: &str) -> Value {
    json!({ "using": "css selector", "value": selector })
}

async fn greet(port: u16) -> Result<BufReader<TcpStream>, MarionetteError> {
    let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
    reply::check_greeting(&frame::read(&mut stream).await?)?;
    Ok(stream)
}
