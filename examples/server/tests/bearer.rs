//! Bearer tokens: who gets in, and with what not.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    dead_code,
    unreachable_pub,
    reason = "a test"
)]

#[path = "support/world.rs"]
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use webpush_channels_server::auth::{Authenticate, Bearer, BearerOptions};
use world::{World, read};

const RSA: &[u8] = include_bytes!("bearer/rsa.pem");
const OTHER_RSA: &[u8] = include_bytes!("bearer/other-rsa.pem");
const P256: &[u8] = include_bytes!("bearer/p256.pem");
const P384: &[u8] = include_bytes!("bearer/p384.pem");
const ED25519: &[u8] = include_bytes!("bearer/ed25519.pem");
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A file of tests/bearer.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bearer").join(name)
}

fn options(key: impl Into<PathBuf>) -> BearerOptions {
    let mut options = BearerOptions::default();
    options.key = Some(key.into());
    options
}

fn bearer(key: &str) -> Bearer {
    Bearer::new(&options(file(key))).unwrap()
}

fn signer(algorithm: Algorithm, pem: &[u8]) -> EncodingKey {
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem).unwrap(),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(pem),
        _ => EncodingKey::from_rsa_pem(pem).unwrap(),
    }
}

fn signed(algorithm: Algorithm, key: &[u8], claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &signer(algorithm, key)).unwrap()
}

/// Of Ada, for an hour.
fn claims() -> Value {
    json!({"sub": "ada", "exp": get_current_timestamp() + 3600})
}

/// These claims beside those of Ada; null takes one away.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    let Value::Object(changes) = changes else { unreachable!("changes are an object") };
    for (name, value) in changes {
        claims[name] = value;
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// A token whose parts are as given, and as they would be signed by nobody.
fn raw(header: &str, claims: &str, signature: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(header), encode(claims), encode(signature))
}

/// The user of a token.
async fn user(bearer: &Bearer, token: &str) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().ok()?);
    bearer.authenticate(&headers).await.map(|user| user.as_str().to_owned())
}

#[allow(clippy::unnecessary_wraps, reason = "what `user` gives")]
fn ada() -> Option<String> {
    Some("bearer:ada".to_owned())
}

fn written(directory: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

#[tokio::test]
async fn a_public_key_verifies_the_algorithms_of_its_kind() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    for (public, private, algorithms) in [
        ("rsa.pub.pem", RSA, &[RS256, RS384, RS512, PS256, PS384, PS512][..]),
        ("rsa.pkcs1.pem", RSA, &[RS256, PS512]),
        ("p256.pub.pem", P256, &[ES256]),
        ("p384.pub.pem", P384, &[ES384]),
        ("ed25519.pub.pem", ED25519, &[EdDSA]),
    ] {
        let bearer = bearer(public);
        for algorithm in algorithms {
            let token = signed(*algorithm, private, &claims());
            assert_eq!(user(&bearer, &token).await, ada(), "{public} {algorithm:?}");
        }
    }
}

#[tokio::test]
async fn a_secret_verifies_the_hashes_that_are_not_longer() {
    use Algorithm::{HS256, HS384, HS512};
    let directory = tempfile::tempdir().unwrap();
    for (octets, verified) in [(32, &[HS256][..]), (48, &[HS256, HS384]), (64, &[HS256, HS384, HS512])] {
        let secret = &SECRET[..octets];
        for (ending, name) in [("", "bare"), ("\n", "line"), ("\r\n", "dos")] {
            let path = written(&directory, name, format!("{secret}{ending}"));
            let bearer = Bearer::new(&options(path)).unwrap();
            for algorithm in [HS256, HS384, HS512] {
                let token = signed(algorithm, secret.as_bytes(), &claims());
                let expected = verified.contains(&algorithm).then(ada).flatten();
                assert_eq!(user(&bearer, &token).await, expected, "{octets} {algorithm:?} {name}");
            }
        }
    }
}

#[tokio::test]
async fn the_key_chooses_the_algorithm_and_never_the_token() {
    let pem = fs::read(file("rsa.pub.pem")).unwrap();
    let text = String::from_utf8(pem.clone()).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(&base64).unwrap();
    let bearer = bearer("rsa.pub.pem");
    // The public key, which everybody knows, as the secret of an HMAC, in each form that a careless reader would take.
    for secret in [&pem, text.trim().as_bytes(), base64.as_bytes(), &der] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            assert_eq!(user(&bearer, &signed(algorithm, secret, &claims())).await, None);
        }
    }
    for (algorithm, key) in [(Algorithm::ES256, P256), (Algorithm::ES384, P384), (Algorithm::EdDSA, ED25519)]
    {
        assert_eq!(user(&bearer, &signed(algorithm, key, &claims())).await, None, "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_token_that_nobody_signed_is_nobodys() {
    let bearer = bearer("rsa.pub.pem");
    let claims = claims().to_string();
    for algorithm in ["none", "None", "NONE", "nOnE", "", "RS256", "HS256", "RS1"] {
        for signature in ["", "x", "none"] {
            let token = raw(&json!({"alg": algorithm, "typ": "JWT"}).to_string(), &claims, signature);
            assert_eq!(user(&bearer, &token).await, None, "{algorithm} {signature}");
            assert_eq!(user(&bearer, token.trim_end_matches('.')).await, None, "{algorithm}");
        }
    }
}

#[tokio::test]
async fn the_key_of_another_is_no_key() {
    let (bearer, token) = (bearer("rsa.pub.pem"), signed(Algorithm::RS256, OTHER_RSA, &claims()));
    assert_eq!(user(&bearer, &token).await, None);
    // Nor does the key come with the token (RFC 8725 section 3.10).
    let key = signer(Algorithm::RS256, OTHER_RSA);
    let mut header = Header::new(Algorithm::RS256);
    header.jwk = Some(Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap());
    header.jku = Some("http://127.0.0.1:9/jwks.json".to_owned());
    assert_eq!(user(&bearer, &encode(&header, &claims(), &key).unwrap()).await, None);
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let bearer = bearer("p256.pub.pem");
    let token = signed(Algorithm::ES256, P256, &claims());
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let eve = URL_SAFE_NO_PAD.encode(with(json!({"sub": "eve"})).to_string());
    for changed in [
        format!("{head}.{eve}.{signature}"),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{head}.{body}.{signature}.{signature}"),
        format!("{head}.{body}.{signature}="),
        format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES384"}"#)),
    ] {
        assert_eq!(user(&bearer, &changed).await, None, "{changed}");
    }
    assert_eq!(user(&bearer, &token).await, ada());
}

#[tokio::test]
async fn times_are_checked_with_half_a_minute_to_spare() {
    let bearer = bearer("ed25519.pub.pem");
    let now = get_current_timestamp();
    for (changes, accepted) in [
        (json!({"exp": now - 3600}), false),
        (json!({"exp": now - 31}), false),
        (json!({"exp": now - 15}), true),
        (json!({"exp": u64::MAX}), true),
        (json!({"exp": now + 3600, "nbf": now + 15}), true),
        (json!({"exp": now + 3600, "nbf": now + 60}), false),
        (json!({"exp": now + 3600, "nbf": "soon"}), false),
        (json!({"exp": null}), false),
        (json!({"exp": "tomorrow"}), false),
        (json!({"exp": -1}), false),
        (json!({"exp": 1e300}), false),
        (json!({"exp": [now + 3600]}), false),
    ] {
        let token = signed(Algorithm::EdDSA, ED25519, &with(changes.clone()));
        assert_eq!(user(&bearer, &token).await.is_some(), accepted, "{changes}");
    }
}

#[tokio::test]
async fn issuer_and_audience_must_be_those_of_the_settings() {
    let mut options = options(file("p256.pub.pem"));
    options.issuer = Some("https://id.example".to_owned());
    options.audience = Some("push".to_owned());
    let strict = Bearer::new(&options).unwrap();
    let right = json!({"iss": "https://id.example", "aud": "push"});
    for (changes, accepted) in [
        (right, true),
        (json!({"iss": "https://id.example", "aud": ["mail", "push"]}), true),
        (json!({"iss": "https://id.example"}), false),
        (json!({"aud": "push"}), false),
        (json!({"iss": "https://id.example.net", "aud": "push"}), false),
        (json!({"iss": "https://id.example", "aud": "pushed"}), false),
        (json!({"iss": "https://id.example", "aud": ["mail"]}), false),
        (json!({"iss": "https://id.example", "aud": []}), false),
        (json!({"iss": "https://id.example", "aud": {"push": 1}}), false),
        (json!({"iss": 7, "aud": "push"}), false),
    ] {
        let token = signed(Algorithm::ES256, P256, &with(changes.clone()));
        assert_eq!(user(&strict, &token).await.is_some(), accepted, "{changes}");
    }
    // RFC 7519 section 4.1.3: a token for somebody is not for whoever has no name.
    let nameless = bearer("p256.pub.pem");
    for aud in [json!("mail"), json!(["mail"]), json!([]), json!(1), json!({"mail": 1})] {
        let token = signed(Algorithm::ES256, P256, &with(json!({"aud": aud})));
        assert_eq!(user(&nameless, &token).await, None, "{aud}");
    }
}

#[tokio::test]
async fn a_claim_names_the_user() {
    let bearer = bearer("p256.pub.pem");
    let long = "a".repeat(200);
    for (sub, expected) in [
        (json!("ada lovelace"), Some("bearer:ada lovelace")),
        (json!("\u{e4}da"), Some("bearer:\u{e4}da")),
        (json!(long), Some(&*format!("bearer:{long}"))),
        (json!(format!("{long}a")), None),
        (json!("\u{1f600}".repeat(100)), None),
        (json!(""), None),
        (json!("a\nb"), None),
        (json!("a\u{0}"), None),
        (json!("a\u{85}b"), None),
        (json!(7), None),
        (json!(["ada"]), None),
        (json!({"name": "ada"}), None),
        (json!(null), None),
    ] {
        let token = signed(Algorithm::ES256, P256, &with(json!({"sub": sub})));
        assert_eq!(user(&bearer, &token).await.as_deref(), expected, "{sub}");
    }
    let mut options = options(file("p256.pub.pem"));
    options.user_claim = Some("email".to_owned());
    let by_mail = Bearer::new(&options).unwrap();
    let token = signed(Algorithm::ES256, P256, &with(json!({"email": "ada@example.org"})));
    assert_eq!(user(&by_mail, &token).await.as_deref(), Some("bearer:ada@example.org"));
    assert_eq!(user(&by_mail, &signed(Algorithm::ES256, P256, &claims())).await, None);
}

#[tokio::test]
async fn garbage_is_nobodys() {
    let bearer = bearer("rsa.pub.pem");
    let good = signed(Algorithm::RS256, RSA, &claims());
    let deep = format!(r#"{{"alg":"RS256","x":{}1{}}}"#, "[".repeat(2000), "]".repeat(2000));
    let duplicate = r#"{"alg":"RS256","alg":"none"}"#;
    for token in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "=.=.=",
        "\u{e4}.b.c",
        &"a".repeat(100_000),
        &".".repeat(8000),
        &format!("{good} {good}"),
        &format!("{good}{}", "A".repeat(9000)),
        &raw("", "", ""),
        &raw("null", "null", "x"),
        &raw("[]", "{}", "x"),
        &raw(r#"{"alg":7}"#, "{}", "x"),
        &raw(r#"{"alg":"RS256"}"#, "[]", "x"),
        &raw(&deep, "{}", "x"),
        &raw(duplicate, "{}", "x"),
    ] {
        assert_eq!(user(&bearer, token).await, None, "{token:.40}");
    }
    for header in ["Bearer", "Bearer ", "bearer\tx", "Basic YTpi", "Token x", ""] {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
        assert!(bearer.authenticate(&headers).await.is_none(), "{header}");
    }
    assert!(bearer.authenticate(&HeaderMap::new()).await.is_none());
    // Signed, and not what a token is.
    for claims in [json!([]), json!("ada"), json!(null), json!(7)] {
        assert_eq!(user(&bearer, &signed(Algorithm::RS256, RSA, &claims)).await, None, "{claims}");
    }
    let lower = HeaderMap::from_iter([(AUTHORIZATION, format!("bEARER {good}").parse().unwrap())]);
    assert!(bearer.authenticate(&lower).await.is_some());
}

#[tokio::test]
async fn critical_parameters_are_not_understood() {
    let bearer = bearer("p256.pub.pem");
    let mut header = Header::new(Algorithm::ES256);
    header.crit = Some(vec!["b64".to_owned()]);
    let token = encode(&header, &claims(), &signer(Algorithm::ES256, P256)).unwrap();
    assert_eq!(user(&bearer, &token).await, None);
}

#[test]
fn a_file_that_is_no_key_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let pem = fs::read_to_string(file("rsa.pub.pem")).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let jwk = Jwk::from_encoding_key(&signer(Algorithm::RS256, RSA), Algorithm::RS256).unwrap();
    for (content, problem) in [
        (fs::read(file("rsa.pem")).unwrap(), "it is a private key"),
        (fs::read(file("certificate.pem")).unwrap(), "it is a certificate"),
        (fs::read(file("small-rsa.pub.pem")).unwrap(), "2048 to 8192 bits"),
        (fs::read(file("p521.pub.pem")).unwrap(), "P-256 and P-384"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_vec(), "its PEM is damaged"),
        (b"-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----\n".to_vec(), "no PUBLIC KEY"),
        (Vec::new(), "at least 32 octets"),
        (format!("{}\n", &SECRET[..31]).into(), "at least 32 octets"),
        (STANDARD.decode(&base64).unwrap(), "another format"),
        (base64.into(), "another format"),
        (serde_json::to_vec(&jwk).unwrap(), "another format"),
        (
            b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl".to_vec(),
            "format",
        ),
        (vec![b'a'; 2 << 20], "larger than 1 MiB"),
    ] {
        let error = Bearer::new(&options(written(&directory, "key", &content))).unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("/key holds no usable key: "), "{error}");
    }
    let error = Bearer::new(&options(directory.path().join("missing"))).unwrap_err().to_string();
    assert!(error.ends_with("missing cannot be read"), "{error}");
}

/// A JWK of a private key, under a name.
fn jwk(id: &str, algorithm: Algorithm, private: &[u8]) -> Value {
    let mut jwk = Jwk::from_encoding_key(&signer(algorithm, private), algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

fn named(id: &str, algorithm: Algorithm, private: &[u8]) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(id.to_owned());
    encode(&header, &claims(), &signer(algorithm, private)).unwrap()
}

fn of_set(path: &Path) -> BearerOptions {
    let mut options = BearerOptions::default();
    options.jwks = Some(path.to_owned());
    options
}

#[tokio::test]
async fn a_jwk_set_is_searched_by_kid() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, RS256};
    let directory = tempfile::tempdir().unwrap();
    let mut encrypting = jwk("encrypting", RS256, RSA);
    encrypting["use"] = json!("enc");
    let mut post_quantum = jwk("new", ES256, P256);
    post_quantum["kty"] = json!("AKP");
    let keys = json!({"keys": [
        jwk("one", RS256, RSA), jwk("two", RS256, OTHER_RSA), jwk("curve", ES256, P256), jwk("curve", ES384, P384),
        jwk("edwards", EdDSA, ED25519), encrypting, post_quantum, {"kty": "RSA"}, 7, null,
        {"kty": "oct", "kid": "secret", "k": URL_SAFE_NO_PAD.encode(SECRET)},
    ]});
    let path = written(&directory, "jwks.json", keys.to_string());
    let bearer = Bearer::new(&of_set(&path)).unwrap();
    for (token, accepted) in [
        (named("one", RS256, RSA), true),
        (named("two", RS256, OTHER_RSA), true),
        (named("curve", ES256, P256), true),
        (named("curve", ES384, P384), true),
        (named("edwards", EdDSA, ED25519), true),
        (named("secret", HS256, SECRET.as_bytes()), true),
        (named("one", RS256, OTHER_RSA), false),
        (named("two", RS256, RSA), false),
        (named("three", RS256, RSA), false),
        (named("", RS256, RSA), false),
        (named("encrypting", RS256, RSA), false),
        (named("new", ES256, P256), false),
        // The JWK says RS256, and means it.
        (named("one", Algorithm::PS256, RSA), false),
        (named("one", HS256, keys["keys"][0]["n"].as_str().unwrap().as_bytes()), false),
        // Without a kid only where one key fits.
        (signed(ES256, P256, &claims()), true),
        (signed(RS256, RSA, &claims()), false),
    ] {
        assert_eq!(user(&bearer, &token).await.is_some(), accepted, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_jwk_set_is_read_again_when_it_changes() {
    use Algorithm::{ES256, RS256};
    let directory = tempfile::tempdir().unwrap();
    let path = written(&directory, "jwks.json", json!({"keys": [jwk("a", RS256, RSA)]}).to_string());
    let bearer = Bearer::new(&of_set(&path)).unwrap();
    let (old, new) = (named("a", RS256, RSA), named("b", ES256, P256));
    let change = |content: &str, age: u64| {
        fs::write(&path, content).unwrap();
        let written = SystemTime::now() + Duration::from_secs(age);
        fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    };
    assert_eq!((user(&bearer, &old).await, user(&bearer, &new).await), (ada(), None));

    change(&json!({"keys": [jwk("b", ES256, P256)]}).to_string(), 10);
    assert_eq!(
        (user(&bearer, &old).await, user(&bearer, &new).await),
        (ada(), None),
        "looked within a second"
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!((user(&bearer, &old).await, user(&bearer, &new).await), (None, ada()));

    // What is damaged, or gone, leaves the keys that there were.
    for content in ["", "{", "[]", "7", r#"{"keys":{}}"#, r#"{"keys":[]}"#] {
        change(content, 20);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(user(&bearer, &new).await, ada(), "{content}");
    }
    fs::remove_file(&path).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(user(&bearer, &new).await, ada());
    change(&json!({"keys": [jwk("a", RS256, RSA)]}).to_string(), 30);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!((user(&bearer, &old).await, user(&bearer, &new).await), (ada(), None));
}

#[test]
fn a_jwk_set_without_a_usable_key_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    for (content, problem) in [
        ("", "no JSON"),
        ("[]", "the member keys"),
        ("7", "the member keys"),
        (r#"{"keys":{}}"#, "the member keys"),
        (r#"{"keys":[]}"#, "none of its keys"),
        (r#"{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}"#, "none of its keys"),
        (r#"{"keys":[{"kty":"RSA","n":"","e":"AQAB"}]}"#, "none of its keys"),
        (r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#, "none of its keys"),
        (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#, "none of its keys"),
    ] {
        let error = Bearer::new(&of_set(&written(&directory, "jwks", content))).unwrap_err().to_string();
        assert!(error.contains(problem), "{content}: {error}");
    }
}

#[tokio::test]
async fn the_service_takes_tokens_beside_passwords() {
    let key = file("p256.pub.pem");
    let world = World::with(&["--jwt-key", key.to_str().unwrap()]).await;
    let ask = |token: String| world.request(Method::GET, "/v0/").bearer_auth(token).send();
    let (_, root) = read(ask(signed(Algorithm::ES256, P256, &claims())).await.unwrap()).await;
    assert_eq!(root["user"]["id"], "bearer:ada");
    assert!(root["capabilities"]["bearer"].is_object() && root["capabilities"]["basicauth"].is_object());
    let (status, root) =
        read(ask(signed(Algorithm::ES256, P256, &with(json!({"exp": 1})))).await.unwrap()).await;
    assert_eq!((status, root.get("user")), (200, None));
    let (_, root) = read(world.by("ada:x", Method::GET, "/v0/").send().await.unwrap()).await;
    assert!(root["user"]["id"].as_str().unwrap().starts_with("basicauth:"));
}

/// Whoever guesses learns nothing from the answer: not which octet was wrong, and not whether the user or the key
/// exists.
#[tokio::test]
async fn no_refusal_tells_how_much_was_right() {
    let directory = tempfile::tempdir().unwrap();
    let key = written(&directory, "secret", SECRET);
    let world = World::with(&["--jwt-key", key.to_str().unwrap()]).await;
    let right = signed(Algorithm::HS256, SECRET.as_bytes(), &claims());
    let (signed_part, signature) = right.rsplit_once('.').unwrap();
    let octets = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with_octet = |at: usize| {
        let mut octets = octets.clone();
        octets[at] ^= 1;
        format!("Bearer {signed_part}.{}", URL_SAFE_NO_PAD.encode(octets))
    };
    let of = |algorithm, key: &str, claims| format!("Bearer {}", signed(algorithm, key.as_bytes(), &claims));
    let authorizations = [
        with_octet(0),
        with_octet(16),
        with_octet(31),
        format!("Bearer {signed_part}.{}", URL_SAFE_NO_PAD.encode(&octets[..31])),
        format!("Bearer {signed_part}."),
        format!("Bearer {signed_part}"),
        of(Algorithm::HS512, &SECRET.replace('0', "1"), claims()),
        of(Algorithm::HS256, SECRET, with(json!({"exp": 1}))),
        of(Algorithm::HS256, SECRET, with(json!({"sub": null}))),
        of(Algorithm::HS256, SECRET, with(json!({"aud": "another"}))),
        "Basic YWRh".to_owned(),
        "Basic ?".to_owned(),
        "Digest x".to_owned(),
    ];
    let ask = async |authorization: Option<&String>| {
        let request = world.request(Method::GET, "/v0/subscriptions");
        let request = authorization.iter().fold(request, |request, it| request.header(AUTHORIZATION, *it));
        let response = request.send().await.unwrap();
        let mut headers = response.headers().clone();
        headers.remove("date");
        (response.status(), headers, response.text().await.unwrap())
    };
    let nobody = ask(None).await;
    assert_eq!(nobody.0, 401);
    for authorization in &authorizations {
        assert_eq!(ask(Some(authorization)).await, nobody, "{authorization}");
    }
    assert_eq!(ask(Some(&format!("Bearer {right}"))).await.0, 200);
}

/// What the policies compare, octet by octet, is public. Passwords go into an HMAC, which is then looked up by a hash of
/// the map's own, and signatures are compared by aws-lc in constant time.
#[test]
fn nothing_secret_is_compared_by_hand() {
    const PUBLIC: [&str; 11] = [
        "// the name of a scheme: found.eq_ignore_ascii_case(scheme)",
        "// what a key is for: *usage != PublicKeyUse::Signature",
        "// a curve: pair.curve == EllipticCurve::Ed25519",
        "// an algorithm: *algorithm == only",
        "// lengths: octets != 32",
        "// a leading zero of an RSA modulus: *octet != 0",
        "// lengths: octets.len() == header + len",
        "// times and lengths of a file: stamp != known",
        "// times and lengths of a file: watch.stamp != stamp",
        "// the name of a key: key.id.as_ref() == Some(id)",
        "// a reason: refusal != Refusal::Signature",
    ];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names =
        ["auth", "auth/basic", "auth/bearer", "auth/bearer/jwks", "auth/bearer/key", "auth/bearer/token"];
    let mut found = 0;
    for name in names {
        let text = fs::read_to_string(source.join(name).with_extension("rs")).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code.filter(|line| [" == ", " != ", ".eq(", ".eq_"].iter().any(|it| line.contains(it))) {
            let public = PUBLIC.iter().any(|it| line.contains(it.split_once(": ").unwrap().1));
            assert!(public, "is it public, or is it to be compared in constant time? {name}: {line}");
            found += 1;
        }
    }
    assert_eq!(found, PUBLIC.len());
    let files = fs::read_dir(source.join("auth/bearer")).unwrap().count();
    assert_eq!(files + fs::read_dir(source.join("auth")).unwrap().count(), 6, "there is another file");
}
