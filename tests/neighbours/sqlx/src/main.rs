//! One programme, two users of SQLite: this crate's store, and sqlx for the application's own tables.

use std::error::Error;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use webpush_channels::store::{Audience, NewEntry, SqliteStore, SubscriptionStore};
use webpush_channels::{ChannelName, Subscription, UserId};

const SUBSCRIPTION: &str = r#"{"endpoint": "https://push.example.net/p/x", "keys": {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg"}}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("webpush-neighbour-{}", std::process::id()));
    std::fs::create_dir(&directory)?;

    let options = SqliteConnectOptions::new().filename(directory.join("application.db")).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await?;
    sqlx::query("CREATE TABLE posts (title TEXT)").execute(&pool).await?;
    sqlx::query("INSERT INTO posts VALUES ('goal!')").execute(&pool).await?;

    let store = SqliteStore::open(directory.join("push.db")).await?;
    let (alice, news) = (UserId::new("alice")?, ChannelName::new("news")?);
    store.put(&[NewEntry::new(alice.clone(), Subscription::from_json(SUBSCRIPTION)?)]).await?;
    store.join(&news, &[alice]).await?;

    let posts: i64 = sqlx::query_scalar("SELECT count(*) FROM posts").fetch_one(&pool).await?;
    let count = store.count(&Audience::Channel(news)).await?;
    assert_eq!((posts, count.members, count.subscriptions), (1, 1, 1));

    pool.close().await;
    store.close().await?;
    std::fs::remove_dir_all(&directory)?;
    println!("a store and sqlx {posts} post in one programme");
    Ok(())
}
