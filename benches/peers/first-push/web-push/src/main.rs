//! Sends one message: `first-push-web-push SUBSCRIPTION KEY`, two files. As web-push's README does; the authority of
//! the push service's certificate is in `SSL_CERT_FILE`.

use std::error::Error;
use std::fs::{self, File};

use web_push::{
    ContentEncoding, IsahcWebPushClient, SubscriptionInfo, VapidSignatureBuilder, WebPushClient as _,
    WebPushMessageBuilder,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut files = std::env::args().skip(1);
    let (Some(subscription), Some(key)) = (files.next(), files.next()) else {
        return Err("two files are needed".into());
    };

    let subscription: SubscriptionInfo = serde_json::from_slice(&fs::read(subscription)?)?;
    let signature = VapidSignatureBuilder::from_pem(File::open(key)?, &subscription)?.build()?;
    let payload = "x".repeat(1024);
    let mut message = WebPushMessageBuilder::new(&subscription);
    message.set_payload(ContentEncoding::Aes128Gcm, payload.as_bytes());
    message.set_vapid_signature(signature);

    IsahcWebPushClient::new()?.send(message.build()?).await?;
    println!("accepted");
    // Until somebody has read how much CPU time that took.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
