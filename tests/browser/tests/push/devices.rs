//! Two people with a browser each.

use reqwest::Method;
use serde_json::{Value, json};
use webpush_channels::testing::Violation;
use webpush_channels_browser_tests::{Account, Failure, Shown, Story, Visitor, Window, World, tell};

use crate::{acknowledged, assert_accepted, canonical, settles};

const NEWS: &str = "news";

#[tokio::test]
async fn a_message_reaches_every_device_and_is_seen() {
    tell("devices", 2, async |story| {
        let world = World::start().await?;
        let (ann, ben) = arrive(story, &world).await?;
        let texts = published(story, &world, &ann, &ben).await?;
        sizes(story, &world, &ann, &ben, &texts).await?;
        dashboard(story, &world, &ann, &ben).await?;
        leaving(story, &world, &ann, &ben).await?;
        for visitor in [&ann, &ben] {
            assert_eq!(visitor.browser().errors_of(&world.url()).await?, "");
        }
        // One push to the browser that had unsubscribed.
        assert_eq!(world.push().violations(), [Violation::Gone]);
        world.close().await
    })
    .await;
}

/// `ann` is the publisher: her page has all that pages have.
async fn arrive(story: &mut Story, world: &World) -> Result<(Visitor, Visitor), Failure> {
    story.step("open the page");
    let ben = story.browser("ben", &world.push().websocket_url()).await?;
    ben.open(&world.url()).await?;
    story.picture(&ben, "welcome").await?;

    story.step("sign in, and subscribe");
    let ben = Visitor::new(ben, world, Account::new("ben"));
    ben.sign_in().await?;
    let ann = Visitor::arrive(story, world, Account::PUBLISHER).await?;
    story.picture(ann.browser(), "signed-in").await?;
    for visitor in [&ann, &ben] {
        visitor.subscribe().await?;
    }
    settles("two browsers at the push service", 2, || world.push().browsers().len()).await?;

    story.step("join a channel");
    for visitor in [&ann, &ben] {
        visitor.join(NEWS).await?;
        let channel = world.get(&format!("channels/{NEWS}"), visitor.account()).await?;
        assert_eq!(channel["data"]["id"], NEWS);
    }
    Ok((ann, ben))
}

async fn published(
    story: &mut Story,
    world: &World,
    ann: &Visitor,
    ben: &Visitor,
) -> Result<Vec<String>, Failure> {
    story.step("publish through the API");
    let data = json!({ "title": "Gr\u{fc}\u{df}e", "body": "From the application server" });
    let report = world.publish(NEWS, &data, &[]).await?;
    assert_accepted(&report, 2);

    story.step("both service workers have the text, both pages show it");
    let text = r#"{"body":"From the application server","title":"Gr\u00fc\u00dfe"}"#;
    for visitor in [ann, ben] {
        visitor.receives(&[text]).await?;
        visitor.browser().see("#messages li .message-title", "Gr\u{fc}\u{df}e").await?;
        visitor.browser().see("#messages li .message-body", "From the application server").await?;
    }

    story.step("both show a notification");
    for visitor in [ann, ben] {
        visitor.is_shown(&Shown::new("Gr\u{fc}\u{df}e", "From the application server")).await?;
    }
    settles("two acknowledgements", 2, || acknowledged(world)).await?;
    Ok(vec![text.to_owned()])
}

async fn sizes(
    story: &mut Story,
    world: &World,
    ann: &Visitor,
    ben: &Visitor,
    before: &[String],
) -> Result<(), Failure> {
    story.step("a push without payload");
    let report = world.publish(NEWS, &Value::Null, &[]).await?;
    assert_accepted(&report, 2);
    let mut texts: Vec<&str> = before.iter().map(String::as_str).collect();
    texts.push("");
    for visitor in [ann, ben] {
        visitor.receives(&texts).await?;
        visitor.is_shown(&Shown::new("New message", "")).await?;
    }

    story.step("the longest payload");
    let empty = canonical(&json!({ "text": "" })).len();
    let longest = json!({ "text": "x".repeat(3993 - empty) });
    assert_accepted(&world.publish(NEWS, &longest, &[]).await?, 2);
    let text = canonical(&longest);
    assert_eq!(text.len(), 3993);
    texts.push(&text);
    for visitor in [ann, ben] {
        visitor.receives(&texts).await?;
    }

    story.step("one octet more is refused");
    let error = world.publish(NEWS, &json!({ "text": "x".repeat(3994 - empty) }), &[]).await.unwrap_err();
    assert!(error.to_string().contains("400"), "{error}");
    Ok(())
}

async fn dashboard(story: &mut Story, world: &World, ann: &Visitor, ben: &Visitor) -> Result<(), Failure> {
    story.step("publish through the page, and see it end");
    let page = ann.browser();
    page.fill("#publish-channel", NEWS).await?;
    page.fill("#publish-title", "From the page").await?;
    page.fill("#publish-body", "Typed by a person").await?;
    page.press("#publish").await?;
    ann.wait_for("#progress[data-state=finished]").await?;
    let text = r#"{"body":"Typed by a person","title":"From the page"}"#;
    for visitor in [ann, ben] {
        visitor.browser().see("#messages li .message-title", "From the page").await?;
        assert!(visitor.received().await?.iter().any(|received| received == text));
    }

    story.step("the publisher's dashboard");
    ann.wait_for("#broadcasts tr[data-state=finished]").await?;
    page.see("#total-accepted", "8").await?;
    story.picture(page, "publisher").await?;
    page.set_dark(true).await?;
    story.picture(page, "publisher-dark").await?;
    page.set_dark(false).await?;
    story.picture(ben.browser(), "member").await?;

    story.step("pages fit on a phone, and their controls have names");
    for visitor in [ann, ben] {
        assert_eq!(visitor.browser().nameless_controls().await?, [""; 0]);
        visitor.browser().resize(Window::Phone).await?;
        let too_wide =
            visitor.browser().script("return document.documentElement.scrollWidth - innerWidth", &[]);
        assert_eq!(too_wide.await?, 0);
        visitor.browser().resize(Window::Wide).await?;
    }
    assert_eq!(world.push().counters().accepted, 8);
    Ok(())
}

async fn leaving(story: &mut Story, world: &World, ann: &Visitor, ben: &Visitor) -> Result<(), Failure> {
    story.step("who leaves gets no more");
    ann.browser().press(&format!("#channels [data-channel={NEWS:?}] .leave")).await?;
    ann.browser().see("#channels-empty", "").await?;
    assert_accepted(&world.publish(NEWS, &json!({ "title": "For Ben" }), &[]).await?, 1);
    ben.browser().see("#messages li .message-title", "For Ben").await?;
    ann.join(NEWS).await?;

    story.step("a browser unsubscribes, and the next push finds out");
    ben.unsubscribe_behind_the_page().await?;
    let report = world.publish(NEWS, &json!({ "title": "Without Ben" }), &[]).await?;
    assert_eq!(report["counts"], json!({ "accepted": 1, "gone": 1 }), "{report}");
    assert_eq!(report["pruned"], 1);
    assert_accepted(&world.publish(NEWS, &json!({ "title": "Still without Ben" }), &[]).await?, 1);
    assert_eq!(world.get("subscriptions", ben.account()).await?["data"], json!([]));

    story.step("his page subscribes anew when it is opened");
    ben.reload().await?;
    ben.wait_for("#device[data-state=subscribed]").await?;
    assert_accepted(&world.publish(NEWS, &json!({ "title": "Ben again" }), &[]).await?, 2);
    ben.browser().see("#messages li .message-title", "Ben again").await?;

    story.step("unsubscribe by the page's button");
    ben.browser().press("#unsubscribe").await?;
    ben.wait_for("#device[data-state=unsubscribed]").await?;
    assert_eq!(ben.subscription().await?, Value::Null);
    let answer = world.request(Method::GET, "subscriptions", ben.account()).send().await?;
    assert_eq!(answer.json::<Value>().await?["data"], json!([]));
    assert_accepted(&world.publish(NEWS, &json!({ "title": "Only Ann" }), &[]).await?, 1);

    story.step("who signs out gets no more");
    ann.browser().press("#sign-out").await?;
    ann.browser().see("#welcome h1", "").await?;
    assert_eq!(world.get("subscriptions", ann.account()).await?["data"], json!([]));
    assert_accepted(&world.publish(NEWS, &json!({ "title": "Nobody" }), &[]).await?, 0);
    Ok(())
}
