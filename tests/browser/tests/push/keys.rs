//! Subscriptions and keys that change.

use serde_json::{Value, json};
use webpush_channels_browser_tests::{Account, Failure, Story, Visitor, World, eventually, tell};

use crate::{assert_accepted, canonical};

const NEWS: &str = "news";

#[tokio::test]
async fn subscriptions_outlive_changes_of_endpoint_and_key() {
    tell("keys", 1, async |story| {
        let mut world = World::start().await?;
        let ann = Visitor::arrive(story, &world, Account::new("ann")).await?;
        ann.subscribe().await?;
        ann.join(NEWS).await?;
        let first = only_subscription(&world, &ann).await?;

        story.step("the browser has another subscription: the page replaces the old one");
        ann.unsubscribe_behind_the_page().await?;
        ann.reload().await?;
        let second = another_subscription(&world, &ann, &first).await?;
        arrives(&world, &ann, "Replaced").await?;

        story.step("the push service forgets the browser: its worker replaces the subscription");
        let uaid = world.push().browsers()[0].uaid().to_owned();
        world.push().forget_browser(&uaid);
        let third = another_subscription(&world, &ann, &second).await?;
        arrives(&world, &ann, "Replaced by the worker").await?;

        new_key(story, &mut world, &ann, &third).await?;
        assert_eq!(ann.browser().errors_of(&world.url()).await?, "");
        world.close().await
    })
    .await;
}

async fn new_key(story: &mut Story, world: &mut World, ann: &Visitor, before: &str) -> Result<(), Failure> {
    story.step("the server has a new key: what was made for the old one is refused, and kept");
    let old_key = application_server_key(world, ann).await?;
    world.change_key().await?;
    assert_ne!(application_server_key(world, ann).await?, old_key);
    let report = world.publish(NEWS, &json!({ "title": "Refused" }), &[]).await?;
    assert_eq!(report["counts"]["accepted"], Value::Null, "{report}");
    assert_eq!(report["pruned"], 0);
    assert_eq!(only_subscription(world, ann).await?, before);

    story.step("the page subscribes with the new key when it is opened");
    ann.reload().await?;
    another_subscription(world, ann, before).await?;
    arrives(world, ann, "With the new key").await
}

async fn application_server_key(world: &World, visitor: &Visitor) -> Result<Value, Failure> {
    Ok(world.get("vapid", visitor.account()).await?["data"]["applicationServerKey"].take())
}

/// Publishes, and waits until the page has it.
async fn arrives(world: &World, visitor: &Visitor, title: &str) -> Result<(), Failure> {
    let data = json!({ "title": title });
    assert_accepted(&world.publish(NEWS, &data, &[]).await?, 1);
    let text = canonical(&data);
    let what = format!("{text} in the page");
    eventually(&what, async || Ok(visitor.received().await?.contains(&text).then_some(()))).await
}

/// The id of the one subscription that the service has of a visitor, which must be the browser's.
async fn only_subscription(world: &World, visitor: &Visitor) -> Result<String, Failure> {
    let list = world.get("subscriptions", visitor.account()).await?;
    let Some([record]) = list["data"].as_array().map(Vec::as_slice) else {
        return Err(format!("not one subscription: {list}").into());
    };
    Ok(record["id"].as_str().unwrap_or_default().to_owned())
}

/// Waits until a visitor's one subscription is another one than before, and the browser's.
async fn another_subscription(world: &World, visitor: &Visitor, before: &str) -> Result<String, Failure> {
    eventually("one subscription that is new", async || {
        let list = world.get("subscriptions", visitor.account()).await?;
        let browser = visitor.subscription().await?;
        let Some([record]) = list["data"].as_array().map(Vec::as_slice) else { return Ok(None) };
        let id = record["id"].as_str().unwrap_or_default();
        let is_new = id != before && record["endpoint"] == browser["endpoint"];
        Ok(is_new.then(|| id.to_owned()))
    })
    .await
}
