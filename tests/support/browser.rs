//! A browser without a browser: Firefox's end of the WebSocket, and its keys.
#![allow(clippy::unwrap_used, dead_code, reason = "a test helper")]

use base64::Engine as _;
use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::{Endpoint, Subscription};

pub(crate) struct Browser {
    socket: WebSocketStream<TcpStream>,
    pub(crate) uaid: String,
}

/// A message as the browser got it.
#[derive(Debug)]
pub(crate) struct Notification {
    pub(crate) channel: String,
    pub(crate) version: String,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) headers: Value,
}

impl Notification {
    /// What a page would see of it.
    pub(crate) fn open(&self, agent: &UserAgent) -> Option<Vec<u8>> {
        self.body.as_deref().map(|body| agent.decrypt(body).unwrap())
    }
}

/// The body in a frame.
pub(crate) fn data(frame: &Value) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(frame["data"].as_str().unwrap()).unwrap()
}

/// A channel id, as browsers choose them at random.
pub(crate) fn channel(number: u64) -> String {
    format!("c0ffee00-0000-4000-8000-{number:012x}")
}

impl Browser {
    /// Connects and says `hello`.
    pub(crate) async fn start(service: &PushService, uaid: Option<&str>) -> Self {
        let mut browser = Self::connect(service).await;
        let mut hello = json!({"messageType": "hello", "broadcasts": {"remote-settings/monitor": "v"}, "use_webpush": true});
        if let Some(uaid) = uaid {
            hello["uaid"] = uaid.into();
        }
        browser.say(&hello).await;
        let answer = browser.hear().await;
        assert_eq!((&answer["messageType"], &answer["status"]), (&json!("hello"), &json!(200)));
        assert_eq!((&answer["use_webpush"], &answer["broadcasts"]), (&json!(true), &json!({})));
        answer["uaid"].as_str().unwrap().clone_into(&mut browser.uaid);
        browser
    }

    /// Connects, and says nothing.
    pub(crate) async fn connect(service: &PushService) -> Self {
        let stream = TcpStream::connect(service.address()).await.unwrap();
        let mut request = service.websocket_url().into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "push-notification".parse().unwrap());
        let (socket, answer) = client_async(request, stream).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], "push-notification");
        Self { socket, uaid: String::new() }
    }

    pub(crate) async fn register(&mut self, channel: &str, key: Option<&[u8; 65]>) -> Endpoint {
        let mut register = json!({"messageType": "register", "channelID": channel});
        if let Some(key) = key {
            register["key"] = BASE64_URL_SAFE.encode(key).into();
        }
        self.say(&register).await;
        let answer = self.hear().await;
        assert_eq!((&answer["messageType"], &answer["status"]), (&json!("register"), &json!(200)));
        assert_eq!(answer["channelID"], channel);
        answer["pushEndpoint"].as_str().unwrap().parse().unwrap()
    }

    /// A subscription with this agent's keys: its public half is the page's, its private half the
    /// browser's.
    pub(crate) async fn subscribe(
        &mut self,
        channel: &str,
        agent: &UserAgent,
        key: Option<&[u8; 65]>,
    ) -> Subscription {
        agent.subscribe(self.register(channel, key).await)
    }

    pub(crate) async fn unregister(&mut self, channel: &str) {
        self.say(&json!({"messageType": "unregister", "channelID": channel, "code": 200})).await;
        let expected = json!({"messageType": "unregister", "channelID": channel, "status": 200});
        assert_eq!(self.hear().await, expected);
    }

    pub(crate) async fn notification(&mut self) -> Notification {
        let frame = self.hear().await;
        assert_eq!(frame["messageType"], "notification", "{frame}");
        assert_eq!(frame.get("data").is_some(), frame.get("headers").is_some(), "{frame}");
        let data = frame["data"].as_str();
        Notification {
            channel: frame["channelID"].as_str().unwrap().to_owned(),
            version: frame["version"].as_str().unwrap().to_owned(),
            body: data.map(|data| BASE64_URL_SAFE_NO_PAD.decode(data).unwrap()),
            headers: frame["headers"].clone(),
        }
    }

    pub(crate) async fn ack(&mut self, notification: &Notification, code: u16) {
        let update =
            json!({"channelID": notification.channel, "version": notification.version, "code": code});
        self.say(&json!({"messageType": "ack", "updates": [update]})).await;
    }

    /// Sends a ping and waits for its answer: whatever was on its way before has arrived.
    pub(crate) async fn ping(&mut self) {
        self.say(&json!({})).await;
        assert_eq!(self.hear().await, json!({}));
    }

    pub(crate) async fn say(&mut self, frame: &Value) {
        self.say_raw(Message::text(frame.to_string())).await;
    }

    pub(crate) async fn say_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Value {
        let text = self.socket.next().await.unwrap().unwrap().into_text().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until the service has closed the connection.
    pub(crate) async fn closed(mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            assert!(message.is_close(), "{message}");
        }
    }

    /// Waits until the connection is lost, however.
    pub(crate) async fn gone(mut self) {
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        // What was on its way may still come.
        self.gone().await;
    }
}
