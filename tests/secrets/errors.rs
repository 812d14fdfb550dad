//! Every error, provoked with bad input that holds a secret.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde::de::DeserializeOwned;
use webpush_channels::channel::SubscribeError;
use webpush_channels::engine::cancel::{self, CancelUrlError};
use webpush_channels::engine::encryption::{AwsLc, EncryptError, Encryptor as _, Plaintext};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::vapid::{Contact, Topic, VapidKey};
use webpush_channels::sender::{CancelError, RetryPolicy, Sender};
use webpush_channels::store::{Position, Range, StoreError, StoreErrorKind};
use webpush_channels::testing::vapid::{parse_authorization, verify};
use webpush_channels::testing::{Answer, PushService, UserAgent};
use webpush_channels::transport::{HyperTransport, HyperTransportBuilder, Transport, TransportErrorKind};
use webpush_channels::{
    AddressPolicy, AuthSecret, BroadcastId, ChannelName, Clock as _, CollapseKey, Endpoint, EndpointPolicy,
    KeyId, MessageUrl, Padding, Payload, PublicKey, Subscription, SubscriptionId, SubscriptionKeys, Ttl,
    Urgency, UserId,
};

use crate::needles::Shown;
use crate::world::{ORIGIN, PATH, PLAINTEXT, USER_AGENT, World, clock};

pub(crate) fn format_all(world: &World, shown: &mut Shown<'_>) {
    subscriptions(world, shown);
    deserialized(world, shown);
    endpoints(world, shown);
    keys(world, shown);
    vapid_keys(world, shown);
    names(world, shown);
    encryption(world, shown);
    credentials(world, shown);
    stores(world, shown);
}

/// JSON with secrets where they do not belong.
fn misplaced(world: &World) -> Vec<String> {
    let json = world.json();
    let keys = world.subscription.keys();
    let (p256dh, auth) = (keys.p256dh().to_base64url(), keys.auth().to_base64url());
    let endpoint = world.subscription.endpoint().as_str();
    let good = format!(r#"{{"p256dh":"{p256dh}","auth":"{auth}"}}"#);
    vec![
        // Encoded twice, the most common mistake of clients.
        serde_json::to_string(&json).unwrap(),
        json[..json.len() - 2].to_owned(),
        json.replace(':', ","),
        json.replace(&auth, &p256dh),
        json.replace(&p256dh, &auth),
        json.replace(&auth, &format!("{auth}!")),
        json.replace("https:", "ftp:"),
        json.replace("null", &format!(r#""{endpoint}""#)),
        json.replace(&format!(r#""{endpoint}""#), &good),
        json.replace(&good, &format!(r#""{auth}""#)),
        json.replace(&good, &format!(r#"["{auth}","{p256dh}"]"#)),
        format!(r#"{{"{endpoint}":1,"keys":{good}}}"#),
        format!(r#"{{"endpoint":"{endpoint}","endpoint":"{endpoint}","keys":{good}}}"#),
        format!(r#"{{"endpoint":"{endpoint}","keys":{{"{auth}":"{p256dh}"}}}}"#),
        format!(r#"{{"endpoint":"{endpoint}","keys":{{"auth":{good},"p256dh":1}}}}"#),
        format!(r#"["{endpoint}","{auth}"]"#),
        endpoint.to_owned(),
    ]
}

fn subscriptions(world: &World, shown: &mut Shown<'_>) {
    for json in misplaced(world) {
        shown.failure(Subscription::from_json(&json));
    }
    shown.failure(Subscription::from_json(world.json().repeat(100)));
}

/// By way of serde, as in a web framework's `Json<Subscription>`: its own errors quote values.
fn deserialized(world: &World, shown: &mut Shown<'_>) {
    fn provoke<T: DeserializeOwned>(json: &str, shown: &mut Shown<'_>) {
        if let Err(error) = serde_json::from_str::<T>(json) {
            shown.error(&error);
        }
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(json)
            && let Err(error) = serde_json::from_value::<T>(value)
        {
            shown.error(&error);
        }
    }
    let pem = serde_json::to_string(world.vapid_key.to_pkcs8_pem().expose()).unwrap();
    for json in misplaced(world).into_iter().chain([pem]) {
        assert!(serde_json::from_str::<Subscription>(&json).is_err(), "{json}");
        provoke::<Subscription>(&json, shown);
        provoke::<Endpoint>(&json, shown);
        provoke::<Contact>(&json, shown);
        provoke::<KeyId>(&json, shown);
        provoke::<SubscriptionId>(&json, shown);
        provoke::<ChannelName>(&json, shown);
    }
}

fn endpoints(world: &World, shown: &mut Shown<'_>) {
    for bad in [
        PATH.to_owned(),
        format!("ftp://push.example.net{PATH}"),
        format!("https:{PATH}"),
        format!("https://alice:{PLAINTEXT}@push.example.net{PATH}"),
        format!("{ORIGIN}{PATH}#{PLAINTEXT}"),
        format!("{ORIGIN}:99999{PATH}"),
        format!("{ORIGIN}:{PATH}"),
        format!("{ORIGIN}{PATH} {PLAINTEXT}"),
        format!("{ORIGIN}{PATH}\u{e9}"),
        format!("{ORIGIN}{PATH}{}", "x".repeat(2048)),
        format!("https://127.1{PATH}"),
    ] {
        shown.failure(bad.parse::<Endpoint>());
    }
    for refused in
        ["http://push.example.net", "https://10.0.0.1", "https://a.local", "https://push.example.net:22"]
    {
        let endpoint: Endpoint = format!("{refused}{PATH}").parse().unwrap();
        for policy in [
            EndpointPolicy::public_internet(),
            EndpointPolicy::known_vendors(),
            EndpointPolicy::loopback_for_tests(),
        ] {
            let error = policy.check(&endpoint).unwrap_err();
            shown.error(&error);
            shown.error(&SubscribeError::Policy(error));
        }
    }
    shown.failure(EndpointPolicy::known_vendors().check(world.subscription.endpoint()));
}

fn keys(world: &World, shown: &mut Shown<'_>) {
    let keys = world.subscription.keys();
    let (point, auth) = (keys.p256dh().as_bytes(), keys.auth());
    let mut off_curve = *point;
    off_curve[64] ^= 1;
    let mut hybrid = *point;
    hybrid[0] = 6;
    shown.failure(PublicKey::from_bytes(&off_curve));
    shown.failure(PublicKey::from_bytes(&hybrid));
    shown.failure(PublicKey::from_bytes(&point[1..]));
    shown.failure(PublicKey::from_base64url(&auth.to_base64url()));
    shown.failure(PublicKey::from_base64url(PATH));
    shown.failure(AuthSecret::from_base64url(&keys.p256dh().to_base64url()));
    shown.failure(AuthSecret::from_base64url(PATH));
    shown.failure(SubscriptionKeys::from_base64url(&auth.to_base64url(), &keys.p256dh().to_base64url()));
    shown.failure(UserAgent::from_keys([0xff; 32], *auth.as_bytes()));
}

/// Key files that are damaged, or of another kind.
fn vapid_keys(world: &World, shown: &mut Shown<'_>) {
    let key = &world.vapid_key;
    let (pem, jwk, text) = (key.to_pkcs8_pem(), key.to_jwk(), key.to_base64url());
    let (pem, jwk, text) = (pem.expose(), jwk.expose(), text.expose());
    let other = VapidKey::from_scalar(&USER_AGENT).unwrap();
    for bad in [
        pem[..pem.len() - 10].to_owned(),
        pem[30..].to_owned(),
        pem.replace("PRIVATE KEY", text),
        pem.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        pem.replace("PRIVATE KEY", "EC PRIVATE KEY"),
        pem.replace("MIG", "MIH"),
        pem.replace('\n', "!"),
        jwk[..jwk.len() - 2].to_owned(),
        jwk.replace("P-256", text),
        jwk.replace("EC", text),
        jwk.replace(r#""d":""#, r#""d":"A"#),
        jwk.replace(r#""d":"#, r#""d":["#),
        jwk.replace(r#""y":""#, r#""y":"A"#),
        jwk.replace(&other.application_server_key()[2..20], text),
        format!("{text}{text}"),
        format!("{text}="),
        format!("{text} !"),
        text.repeat(3000),
    ] {
        if let Err(error) = VapidKey::from_text(&bad) {
            shown.error(&error);
        }
        shown.failure(VapidKey::from_pem(&bad.replace("-----BEGIN", "-----END")));
        if let Err(error) = VapidKey::from_jwk(&bad) {
            shown.error(&error);
        }
        if let Err(error) = VapidKey::from_octets(bad.as_bytes()) {
            shown.error(&error);
        }
        if let Err(error) = VapidKey::from_base64_der(&bad) {
            shown.error(&error);
        }
        shown.failure(VapidKey::from_json_pair(&bad));
    }
    let der = key.to_pkcs8_der();
    for cut in [1, 20, 60, der.expose().len() - 1] {
        shown.failure(VapidKey::from_der(&der.expose()[..cut]));
        shown.failure(VapidKey::from_der(&der.expose()[cut..]));
    }
    shown.failure(VapidKey::from_base64url_pair(text, &other.application_server_key()));
    shown.failure(VapidKey::from_base64url_pair(text, text));
    let pair = key.to_json_pair();
    for (from, to) in [("privateKey", "private_key"), ("publicKey", text), ("\":\"", "\":[\""), ("}", "")] {
        shown.failure(VapidKey::from_json_pair(&pair.expose().replace(from, to)));
    }
    shown.failure(VapidKey::from_scalar(&[0xff; 32]));
}

fn names(world: &World, shown: &mut Shown<'_>) {
    let secret = world.token();
    for bad in [PATH, &secret, PLAINTEXT] {
        shown.failure(bad.parse::<Contact>());
        shown.failure(format!("mailto:{bad}@localhost").parse::<Contact>());
        shown.failure(format!("https://{bad}").parse::<Contact>());
        shown.failure(bad.repeat(40).parse::<Contact>());
        shown.failure(format!("{bad}/").parse::<Topic>());
        shown.failure(bad.parse::<Urgency>());
        shown.failure(bad.parse::<Ttl>());
        shown.failure(bad.parse::<KeyId>());
        shown.failure(bad.parse::<SubscriptionId>());
        shown.failure(CollapseKey::new(bad.repeat(40)));
        shown.failure(ChannelName::new(bad.repeat(400)));
        shown.failure(UserId::new(format!("{bad}\n")));
        shown.failure(BroadcastId::new(bad.repeat(400)));
        shown.failure(Payload::json(&std::collections::HashMap::from([([bad], 1)])));
    }
}

fn encryption(world: &World, shown: &mut Shown<'_>) {
    shown.failure(Plaintext::new(&world.payload, Padding::None, 3));
    shown.failure(Plaintext::new(&world.payload, Padding::Fixed(7), 3993));
    shown.failure(Payload::new(PLAINTEXT.repeat(200)));
    shown.error(&EncryptError::Key);
    let plaintext = Plaintext::new(&world.payload, Padding::None, 3993).unwrap();
    let mut body = Vec::new();
    AwsLc::new().encrypt(world.subscription.keys(), &plaintext, &mut body).unwrap();
    shown.failure(UserAgent::seeded(1).decrypt(&body));
    for cut in [0, 10, 40, 100] {
        shown.failure(world.agent.decrypt(&body[..cut]));
    }
    shown.failure(world.agent.decrypt(&[PLAINTEXT.as_bytes(), &body].concat()));
}

fn credentials(world: &World, shown: &mut Shown<'_>) {
    let token = world.token();
    let key = world.vapid.application_server_key();
    for bad in [
        token.clone(),
        format!("bearer {token}"),
        format!("vapid t={token}"),
        format!("vapid k={key}"),
        format!("vapid t={token}, k={token}"),
        format!("vapid t={token}, t={token}, k={key}"),
        format!("vapid t=\"{token}, k={key}"),
    ] {
        shown.failure(parse_authorization(&bad));
    }
    let now = clock().now();
    for bad in [token.replace("eyJ0", "eyJ1"), token[..token.len() - 4].to_owned(), token.replace('.', "")] {
        let credentials = parse_authorization(&format!("vapid t={bad}, k={key}")).unwrap();
        shown.debug(&credentials);
        shown.failure(verify(&credentials, &world.subscription.endpoint().origin(), now));
    }
}

fn stores(world: &World, shown: &mut Shown<'_>) {
    let auth = world.subscription.keys().auth().as_bytes();
    shown.failure(Position::from_bytes(auth));
    shown.failure(Range::from_bytes(world.subscription.endpoint().as_str().as_bytes()));
    let source = Position::from_bytes(auth).unwrap_err();
    let store = || StoreError::new(StoreErrorKind::Unavailable).with_source(source);
    shown.error(&store());
    shown.error(&SubscribeError::Store(store()));
}

/// Cancellations of a secret message that go wrong in every way.
async fn cancellations(world: &World, refused: &str, shown: &mut Shown<'_>) {
    let sender = |policy| {
        let once = RetryPolicy::default().with_attempts(1);
        Sender::builder(world.vapid.clone(), builder().build().unwrap()).policy(policy).retry(once).build()
    };
    let loopback = sender(EndpointPolicy::loopback_for_tests());
    let resource = world.message_url.as_str().strip_prefix(ORIGIN).unwrap();
    let at = |origin: &str| {
        let endpoint: Endpoint = format!("{origin}{PATH}").parse().unwrap();
        let url = MessageUrl::from(format!("{origin}{resource}").parse::<Endpoint>().unwrap());
        (world.agent.subscribe(endpoint), url)
    };
    let service = PushService::builder().clock(clock()).start().await.unwrap();
    let subscription = service.subscribe(&world.agent);
    let (elsewhere, url) = at(&service.origin().to_string());
    shown.debug(&loopback.cancel(&subscription, &url).await.unwrap());
    let foreign: CancelUrlError = cancel::request(elsewhere.endpoint(), &world.message_url).unwrap_err();
    shown.error(&foreign);
    shown.failure(loopback.cancel(&subscription, &world.message_url).await);
    let (nobody, url) = at(refused);
    let error: CancelError = loopback.cancel(&nobody, &url).await.unwrap_err();
    shown.error(&error);
    shown.failure(sender(EndpointPolicy::public_internet()).cancel(&nobody, &url).await);
    // The transport's policy is narrower than the sender's.
    let (private, url) = at("https://10-0-0-1.invalid");
    shown.failure(sender(EndpointPolicy::custom(|_| true)).cancel(&private, &url).await);
    for answer in [Answer::redirect(resource), Answer::server_error(), Answer::Hang] {
        let sent = loopback.send(&subscription, &world.message()).await;
        let url = sent.outcome.message_url().unwrap().clone();
        service.script_delete(&subscription, [answer]);
        shown.failure(loopback.cancel(&subscription, &url).await);
    }
}

/// Real failures, each of a request that holds secrets in its URI, headers and body.
pub(crate) async fn format_transport(world: &World, shown: &mut Shown<'_>) {
    let pem = world.vapid_key.to_pkcs8_pem();
    shown.failure(builder().extra_root_pem(pem.expose().as_bytes()));
    shown.failure(builder().extra_root_pem(world.json().as_bytes()));
    let no_certificate = pem.expose().replace("PRIVATE KEY", "CERTIFICATE");
    let built = builder().extra_root_pem(no_certificate.as_bytes()).and_then(HyperTransportBuilder::build);
    shown.failure(built);

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    cancellations(world, &refused, shown).await;
    let mut kinds = Vec::new();
    let transport = builder().build().unwrap();
    for origin in [&refused, "http://10.0.0.1", "https://host.invalid"] {
        kinds.push(fail(&transport, request(world, &format!("{origin}{PATH}")), shown).await);
    }
    for (tls, http1) in [(false, false), (false, true), (true, false), (true, true)] {
        let service = PushService::builder().clock(clock()).tls(tls).http1_only(http1).start().await.unwrap();
        kinds.extend(faults(world, &service, http1, shown).await);
    }
    for kind in [
        TransportErrorKind::AddressRefused,
        TransportErrorKind::Connect,
        TransportErrorKind::Interrupted,
        TransportErrorKind::Timeout,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} is not among {kinds:?}");
    }
}

async fn faults(
    world: &World,
    service: &PushService,
    http1: bool,
    shown: &mut Shown<'_>,
) -> Vec<TransportErrorKind> {
    let subscription = service.subscribe(&world.agent);
    // The service looks at the path only.
    let uri = format!("{}?{PATH}", subscription.endpoint().as_str());
    let mut builder = builder().http2_prior_knowledge(!http1);
    let mut kinds = Vec::new();
    if let Some(pem) = service.ca_pem() {
        let stranger = builder.build().unwrap();
        kinds.push(fail(&stranger, request(world, &uri), shown).await);
        builder = self::builder().extra_root_pem(pem.as_bytes()).unwrap();
    }
    let transport = builder.build().unwrap();
    for answer in
        [Answer::CutBeforeStatus, Answer::Goaway, Answer::Hang, Answer::RefuseStream, Answer::ResetStream]
    {
        service.script(&subscription, [answer]);
        kinds.push(fail(&transport, request(world, &uri), shown).await);
    }
    kinds
}

fn builder() -> HyperTransportBuilder {
    HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .connect_timeout(Duration::from_millis(500))
        .total_timeout(Duration::from_millis(500))
}

pub(crate) fn request(world: &World, uri: &str) -> Request<Bytes> {
    let endpoint: Endpoint = uri.parse().unwrap();
    let token = world.vapid.authorization(&endpoint.origin()).unwrap().header;
    let mut request = PushRequest::new(&endpoint, Ttl::ZERO, token)
        .with_topic(world.topics[0].to_header_value())
        .with_body(Body::Aes128Gcm(Bytes::from_static(PLAINTEXT.as_bytes())))
        .into_http();
    let token = world.vapid.authorization(&world.subscription.endpoint().origin()).unwrap().header;
    request.headers_mut().insert("authorization", token);
    request
}

pub(crate) async fn fail(
    transport: &dyn Transport,
    request: Request<Bytes>,
    shown: &mut Shown<'_>,
) -> TransportErrorKind {
    let error = transport.send(request).await.expect_err("no status");
    shown.error(&error);
    error.kind()
}
