//! The page's files as browsers get them.

#![allow(
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a test, and its share of a common world"
)]

#[path = "support/world.rs"]
mod world;

use reqwest::{Method, Response};
use world::World;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn get(world: &World, path: &str, header: (&str, &str)) -> Response {
    world.request(Method::GET, path).header(header.0, header.1).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn browsers_get_the_page_and_programs_the_api() {
    let world = World::start().await;
    let page = get(&world, "/", ("accept", BROWSER)).await;
    assert_eq!(page.status(), 200);
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert!(header(&page, "vary").contains("Accept"));
    assert!(page.text().await.unwrap().contains("<title>Push channels</title>"));
    for accept in ["*/*", "application/json"] {
        let redirect = get(&world, "/", ("accept", accept)).await;
        assert_eq!((redirect.status().as_u16(), header(&redirect, "location")), (307, "/v0/"));
    }
    let post = world.request(Method::POST, "/").header("accept", BROWSER).send().await.unwrap();
    assert_eq!((post.status().as_u16(), header(&post, "location")), (307, "/v0/"));
}

#[tokio::test]
async fn each_file_has_its_type_and_a_strict_policy() {
    let world = World::start().await;
    let kinds = [
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/push-channels.js", "text/javascript; charset=utf-8"),
        ("/service-worker.js", "text/javascript; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/manifest.webmanifest", "application/manifest+json"),
    ];
    for (path, kind) in kinds {
        let file = get(&world, path, ("accept", "*/*")).await;
        assert_eq!((file.status().as_u16(), header(&file, "content-type")), (200, kind), "{path}");
        assert_eq!(header(&file, "x-content-type-options"), "nosniff");
        assert_eq!(header(&file, "cache-control"), "no-cache");
        let policy = header(&file, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let world = World::start().await;
    for (path, accept) in [("/", BROWSER), ("/page.js", "*/*")] {
        let first = get(&world, path, ("accept", accept)).await;
        let tag = header(&first, "etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() > 20, "{tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let request = world.request(Method::GET, path).header("accept", accept);
            let again = request.header("if-none-match", known).send().await.unwrap();
            assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, tag.as_str()));
            assert_eq!(again.bytes().await.unwrap().len(), 0);
        }
        let request = world.request(Method::GET, path).header("accept", accept);
        let other = request.header("if-none-match", "\"other\"").send().await.unwrap();
        assert_eq!(other.status(), 200);
    }
}

#[tokio::test]
async fn other_names_are_no_files() {
    let world = World::start().await;
    for path in ["/page.html", "/package.json", "/tests/worker.js", "/Cargo.toml"] {
        let redirect = get(&world, path, ("accept", BROWSER)).await;
        assert_eq!(
            (redirect.status().as_u16(), header(&redirect, "location")),
            (307, format!("/v0{path}").as_str())
        );
    }
}
