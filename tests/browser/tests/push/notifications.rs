//! What a person sees and clicks while the page is closed.

use serde_json::json;
use webpush_channels_browser_tests::{Account, Failure, Firefox, Visitor, World, eventually, tell};

use crate::{acknowledged, assert_accepted, canonical, settles};

const NEWS: &str = "news";

/// Notes in the page that a message came for the second time, as it does after a click.
const LISTEN: &str = "
    const heard = new Set();
    navigator.serviceWorker.addEventListener('message', ({ data }) => {
        if (heard.has(data.id)) document.documentElement.dataset.heard = 'twice';
        heard.add(data.id);
    })";

#[tokio::test]
async fn a_click_on_a_notification_leads_to_the_page() {
    tell("notifications", 1, async |story| {
        let world = World::start().await?;
        let ann = Visitor::arrive(story, &world, Account::new("ann")).await?;
        ann.subscribe().await?;
        ann.join(NEWS).await?;

        story.step("a visible page takes the message, and nothing else is shown");
        ann.browser().press("#always-notify").await?;
        let data = json!({ "title": "In front", "body": "of you" });
        assert_accepted(&world.publish(NEWS, &data, &[]).await?, 1);
        ann.receives(&[&canonical(&data)]).await?;
        // The worker has ended its work when the browser acknowledges.
        settles("an acknowledgement", 1, || acknowledged(&world)).await?;
        assert_eq!(ann.notifications().await?, []);
        assert_eq!(ann.browser().alerts().await?, []);

        story.step("with the page closed, a notification appears");
        ann.browser().open("about:blank").await?;
        let data = json!({ "title": "Behind", "body": "your back", "requireInteraction": true });
        assert_accepted(&world.publish(NEWS, &data, &[]).await?, 1);
        let alert = on_screen(ann.browser(), "Behind").await?;
        assert_eq!(alert, "your back");

        story.step("a click on it opens the page, which has the message");
        ann.browser().click_alert("Behind").await?;
        in_front(ann.browser(), &world.url()).await?;
        ann.browser().turn_to(&world.url()).await?;
        ann.browser().see("#messages li .message-title", "Behind").await?;

        story.step("a click on another leads to the page that is open");
        ann.wait_for("#app[data-ready]").await?;
        ann.browser().press("#always-notify").await?;
        ann.browser().script(LISTEN, &[]).await?;
        let tabs = ann.browser().tabs().await?;
        let data = json!({ "title": "Come back", "requireInteraction": true });
        assert_accepted(&world.publish(NEWS, &data, &[]).await?, 1);
        ann.browser().see("#messages li .message-title", "Come back").await?;
        ann.browser().click_alert("Come back").await?;
        ann.wait_for("[data-heard=twice]").await?;
        assert_eq!(ann.browser().tabs().await?, tabs);
        assert_eq!(ann.browser().read("#messages li .message-title").await?.matches("Come back").count(), 1);

        story.step("a declarative message leads where it says");
        let there = format!("{}?declared", world.url());
        let notification = json!({ "title": "Declared", "body": "as JSON", "navigate": there });
        let data = json!({ "web_push": 8030, "notification": notification });
        assert_accepted(&world.publish(NEWS, &data, &[]).await?, 1);
        assert_eq!(on_screen(ann.browser(), "Declared").await?, "as JSON");
        ann.browser().click_alert("Declared").await?;
        in_front(ann.browser(), &there).await?;
        assert_eq!(ann.browser().errors_of(&world.url()).await?, "");
        world.close().await
    })
    .await;
}

/// The text of a notification, as soon as it is on the screen.
async fn on_screen(browser: &Firefox, title: &str) -> Result<String, Failure> {
    eventually(&format!("notification {title:?} on the screen"), async || {
        let alerts = browser.alerts().await?;
        Ok(alerts.into_iter().find(|alert| alert.title == title).map(|alert| alert.body))
    })
    .await
}

/// Waits until the tab in front shows an address.
async fn in_front(browser: &Firefox, url: &str) -> Result<(), Failure> {
    let what = format!("{url} in front");
    eventually(&what, async || {
        let tabs = browser.tabs().await?;
        Ok(tabs.iter().any(|(address, selected)| *selected && address.starts_with(url)).then_some(()))
    })
    .await
}
