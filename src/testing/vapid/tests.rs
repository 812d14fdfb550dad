use super::*;
use crate::Endpoint;
use crate::engine::vapid::VapidKey;

const NOW: u64 = 1_700_000_000;
const AUD: &str = "https://push.example.net";

fn key() -> VapidKey {
    VapidKey::from_base64url("ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE").unwrap()
}

/// A token of any header and claims, rightly signed.
fn signed(header: &str, claims: &str) -> Credentials {
    let signed = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(claims.as_bytes()));
    let signature = base64url::encode(&key().sign_now(signed.as_bytes()));
    Credentials { token: format!("{signed}.{signature}"), key: *key().public_key() }
}

fn check(credentials: &Credentials) -> Result<Claims, VapidRefusal> {
    let origin = format!("{AUD}/p").parse::<Endpoint>().unwrap().origin();
    verify(credentials, &origin, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(NOW))
}

fn check_claims(claims: &str) -> Result<Claims, VapidRefusal> {
    check(&signed(r#"{"typ":"JWT","alg":"ES256"}"#, claims))
}

#[test]
fn each_claim_is_judged() {
    let claims = |aud: &str, exp: &str, sub: &str| check_claims(&format!("{{{aud}{exp}{sub}\"x\":[1]}}"));
    let (aud, exp, sub) =
        (format!("\"aud\":\"{AUD}\","), format!("\"exp\":{NOW},"), "\"sub\":\"mailto:ops@example.org\",");
    assert!(claims(&aud, &exp, sub).is_ok());
    for other in [
        String::new(),
        format!("\"aud\":\"{AUD}/\","),
        format!("\"aud\":[\"{AUD}\"],"),
        "\"aud\":\"https://PUSH.example.net\",".to_owned(),
    ] {
        assert_eq!(claims(&other, &exp, sub), Err(VapidRefusal::Audience), "{other}");
    }
    for (other, refusal) in [
        (String::new(), VapidRefusal::Expiry),
        (format!("\"exp\":\"{NOW}\","), VapidRefusal::Expiry),
        (format!("\"exp\":{NOW}.5,"), VapidRefusal::Expiry),
        ("\"exp\":-1,".to_owned(), VapidRefusal::Expiry),
        (format!("\"exp\":{},", NOW - 1), VapidRefusal::Expired),
        (format!("\"exp\":{},", NOW + 86_401), VapidRefusal::TooFarAhead),
        (format!("\"exp\":{},", u64::MAX), VapidRefusal::TooFarAhead),
    ] {
        assert_eq!(claims(&aud, &other, sub), Err(refusal), "{other}");
    }
    assert_eq!(claims(&aud, &exp, ""), Err(VapidRefusal::NoContact));
    let local = claims(&aud, &exp, "\"sub\":\"mailto:ops@localhost\",");
    assert_eq!(local, Err(VapidRefusal::Contact(ContactError::LocalHost)));
    assert_eq!(claims(&aud, &exp, &format!("{sub}{sub}")), Err(VapidRefusal::Token), "a claim twice");
}

#[test]
fn another_algorithm_or_signature_is_refused() {
    let claims = format!(r#"{{"aud":"{AUD}","exp":{NOW},"sub":"mailto:ops@example.org"}}"#);
    assert!(check(&signed(r#"{"alg":"ES256"}"#, &claims)).is_ok(), "typ is optional");
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"typ":"JWT"}"#, "x"] {
        assert_eq!(check(&signed(header, &claims)), Err(VapidRefusal::Token), "{header}");
    }
    let good = signed(r#"{"alg":"ES256"}"#, &claims);
    let unsigned = good.token.rsplit_once('.').unwrap().0;
    for (token, refusal) in [
        (format!("{unsigned}."), VapidRefusal::Signature),
        (format!("{unsigned}.{}", base64url::encode(&[0; 64])), VapidRefusal::Signature),
        (format!("{unsigned}.{}", base64url::encode(&[7; 70])), VapidRefusal::Signature),
        (format!("{}.x", good.token), VapidRefusal::Token),
        (unsigned.to_owned(), VapidRefusal::Token),
        (String::new(), VapidRefusal::Token),
    ] {
        assert_eq!(check(&Credentials { token, ..good.clone() }), Err(refusal));
    }
    let other = *VapidKey::generate().unwrap().public_key();
    let stolen = Credentials { key: other, ..good.clone() };
    assert_eq!(check(&stolen), Err(VapidRefusal::Signature));
    assert_eq!(stolen.require_key(good.key_id()), Err(VapidRefusal::KeyMismatch));
    assert_eq!(good.require_key(key().id()), Ok(()));
}

/// V-11.
#[test]
fn the_header_is_read_however_it_is_written() {
    let k = key().application_server_key();
    for value in [
        format!("vapid t=a.b.c, k={k}"),
        format!("VAPID t=a.b.c,k={k}"),
        format!("vapid  k={k} ,\tt=a.b.c"),
        format!("vapid t=\"a.b.c\", k=\"{k}\""),
        format!("vapid T=\"a.\\b.c\",, K = {k},"),
        format!("vapid v=2, x=\"a, \\\"t=1\", t=a.b.c, x=3, k={k}"),
    ] {
        let credentials = parse_authorization(&value).unwrap();
        assert_eq!((credentials.token.as_str(), credentials.key_id()), ("a.b.c", key().id()), "{value}");
        assert!(!format!("{credentials:?}").contains("a.b.c"));
    }
}

#[test]
fn a_wrong_header_is_refused() {
    use VapidRefusal::{Key, Missing, Scheme, Syntax};
    let k = key().application_server_key();
    for (value, refusal) in [
        (String::new(), Scheme),
        ("vapid".to_owned(), Missing { parameter: "t" }),
        (format!("WebPush t=a, k={k}"), Scheme),
        (format!("vapid k={k}"), Missing { parameter: "t" }),
        ("vapid t=a".to_owned(), Missing { parameter: "k" }),
        (format!("vapid t=a, t=b, k={k}"), Syntax),
        (format!("vapid t=a k={k}"), Syntax),
        (format!("vapid t=a, k={k}="), Syntax),
        (format!("vapid t=\"a, k={k}"), Syntax),
        ("vapid a.b.c".to_owned(), Syntax),
        ("vapid t=, k=a".to_owned(), Syntax),
        ("vapid t=\u{e9}, k=a".to_owned(), Syntax),
        ("vapid t=a, k=AAAA".to_owned(), Key),
        (format!("vapid t=a, k={}", k.replace("BGD", "BGE")), Key),
        (format!("vapid t=a, k={}", k.replace("BGD", "BmD")), Key),
    ] {
        assert_eq!(parse_authorization(&value).unwrap_err(), refusal, "{value}");
    }
}
