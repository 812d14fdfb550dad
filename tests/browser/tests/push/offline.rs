//! A browser whose connection is away for a while.

use serde_json::json;
use webpush_channels_browser_tests::{Account, Failure, Visitor, World, eventually, tell};

use crate::{acknowledged, assert_accepted, canonical, settles};

const NEWS: &str = "news";
/// Long enough for any test.
const STORED: (&str, &str) = ("ttl", "600");

#[tokio::test]
async fn what_was_sent_while_a_browser_was_away_arrives_as_it_was_asked_for() {
    tell("offline", 1, async |story| {
        let world = World::start().await?;
        let ann = Visitor::arrive(story, &world, Account::new("ann")).await?;
        ann.subscribe().await?;
        ann.join(NEWS).await?;

        story.step("online, a message without lifetime arrives");
        assert_accepted(&world.publish(NEWS, &json!({ "title": "Now" }), &[("ttl", "0")]).await?, 1);
        let now = canonical(&json!({ "title": "Now" }));
        ann.receives(&[&now]).await?;

        story.step("offline, all are accepted");
        go_offline(&world, &ann).await?;
        publish(&world, "Dropped", &[("ttl", "0")]).await?;
        publish(&world, "Stored", &[STORED]).await?;
        for title in ["First", "Second", "Last"] {
            publish(&world, title, &[STORED, ("collapse-key", "score")]).await?;
        }
        publish(&world, "Another key", &[STORED, ("collapse-key", "weather")]).await?;
        assert_eq!(ann.received().await?, [now.as_str()]);

        story.step("online again, what was stored arrives, and the last of each collapse key");
        ann.browser().set_online(true).await?;
        let texts =
            ["Now", "Stored", "Last", "Another key"].map(|title| canonical(&json!({ "title": title })));
        let texts = texts.each_ref().map(String::as_str);
        ann.receives(&texts).await?;
        settles("four acknowledgements", 4, || acknowledged(&world)).await?;
        let counters = world.push().counters();
        assert_eq!((counters.replaced, counters.expired), (2, 1));
        assert_eq!(ann.received().await?.len(), 4);

        story.step("the browser ends, and gets what was stored when it starts again");
        let profile = story.end(ann.browser()).await?;
        settles("no browser at the push service", 0, || world.push().browsers().len()).await?;
        publish(&world, "While the browser was closed", &[STORED]).await?;
        let browser = story.start(profile).await?;
        eventually("notification of a browser without a page", async || {
            let alerts = browser.alerts().await?;
            Ok(alerts.iter().any(|alert| alert.title == "While the browser was closed").then_some(()))
        })
        .await?;
        settles("five acknowledgements", 5, || acknowledged(&world)).await?;
        assert_eq!(world.push().violations(), []);
        world.close().await
    })
    .await;
}

async fn go_offline(world: &World, visitor: &Visitor) -> Result<(), Failure> {
    visitor.browser().set_online(false).await?;
    settles("no browser at the push service", 0, || world.push().browsers().len()).await
}

async fn publish(world: &World, title: &str, headers: &[(&'static str, &str)]) -> Result<(), Failure> {
    assert_accepted(&world.publish(NEWS, &json!({ "title": title }), headers).await?, 1);
    Ok(())
}
