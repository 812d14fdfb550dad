//! The harness itself, with pages that need no server.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use serde_json::json;
use webpush_channels_browser_tests::{MarionetteError, Site, artefacts, eventually, tell};

/// No push service is there: the browser goes on trying.
const NOWHERE: &str = "ws://127.0.0.1:9/";

const PAGE: &str = "data:text/html,<title>A page</title><h1>Hello</h1><label>Name <input id=name></label>\
    <button id=greet onclick=\"document.getElementById('said').textContent = 'Hello ' + \
    document.getElementById('name').value\">Greet</button><p id=said></p><p id=hidden hidden>secret</p>";

#[tokio::test]
async fn a_page_is_opened_used_and_pictured() {
    tell("harness", 1, async |story| {
        let browser = story.browser("ann", NOWHERE).await?;
        story.step("fill in a form and press a button");
        browser.open(PAGE).await?;
        browser.fill("#name", "Eve").await?;
        browser.fill("#name", "Ann").await?;
        browser.press("#greet").await?;
        browser.see("#said", "Hello Ann").await?;
        assert_eq!(browser.read("h1").await?, "Hello");

        story.step("run scripts in the page and in the browser");
        let sum = browser.script("return await Promise.resolve(arguments[0] + 2)", &[json!(1)]).await?;
        assert_eq!(sum, 3);
        let error = browser.script("throw new TypeError('on purpose')", &[]).await.unwrap_err();
        assert!(
            matches!(error, MarionetteError::Refused { ref message, .. } if message.contains("on purpose"))
        );
        let version = browser.privileged("return Services.appinfo.name", &[]).await?;
        assert_eq!(version, "Firefox");
        assert!(browser.script("return typeof Services", &[]).await? == "undefined");

        story.step("find the button that nobody can name");
        assert_eq!(browser.nameless_controls().await?, [""; 0]);
        browser.script("document.getElementById('greet').textContent = ''", &[]).await?;
        let nameless = browser.nameless_controls().await?;
        assert!(nameless.len() == 1 && nameless[0].contains("id=\"greet\""), "{nameless:?}");

        story.step("take pictures");
        story.picture(&browser, "page").await?;
        for (name, width) in [("page-wide.png", 1280_u32), ("page-phone.png", 390)] {
            let png = fs::read(story.artefacts().join(name))?;
            assert!(png.starts_with(b"\x89PNG"));
            assert_eq!(png[16..20], width.to_be_bytes());
        }
        assert_eq!(browser.errors_of("data:").await?, "");
        Ok(())
    })
    .await;
}

const WRONG_PAGE: &str = "<!doctype html><title>A page</title>
    <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; script-src 'unsafe-inline'\">
    <script>setTimeout(() => { throw new Error('thrown') }); Promise.reject(new Error('rejected'))</script>
    <img src=/forbidden.png>";

#[tokio::test]
async fn what_goes_wrong_in_a_page_is_found() {
    tell("errors", 1, async |story| {
        let site = Site::start(vec![("/", "text/html", WRONG_PAGE)]).await?;
        let browser = story.browser("ann", NOWHERE).await?;
        browser.open(&site.url("/")).await?;
        for wanted in ["thrown", "rejected", "forbidden.png"] {
            let what = format!("error with {wanted:?}");
            eventually(&what, async || {
                Ok(browser.errors_of(&site.url("/")).await?.contains(wanted).then_some(()))
            })
            .await?;
        }
        assert_eq!(browser.errors_of("http://localhost:1/").await?, "");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nothing_leaves_loopback() {
    tell("loopback", 1, async |story| {
        let browser = story.browser("ann", NOWHERE).await?;
        let error = browser.open("http://example.com/").await.unwrap_err();
        assert!(matches!(error, MarionetteError::Refused { ref message, .. } if message.contains("proxyConnectFailure")), "{error}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_story_that_fails_says_where_and_shows_what_was_seen() {
    let dir = artefacts::directory("failing");
    let story = tell("failing", 1, async |story| {
        let browser = story.browser("ann", NOWHERE).await?;
        story.step("open a page");
        browser.open(PAGE).await?;
        browser.script("console.log('a hint')", &[]).await?;
        story.step("find what is not there");
        browser.script("document.querySelector('#nothing').click()", &[]).await?;
        Ok(())
    });
    let panic = AssertUnwindSafe(story).catch_unwind().await.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("failing, step \"find what is not there\": "), "{text}");
    assert!(text.contains("querySelector"), "{text}");
    for name in ["ann-failed-wide.png", "ann-failed-phone.png", "ann-failed.console", "ann.log"] {
        assert!(dir.join(name).is_file(), "{name}");
    }
}
