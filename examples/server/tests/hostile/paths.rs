//! Paths, queries and headers that try to be something else.

use super::raw::{basic, request};
use super::{ADA, Attack, PUBLISHER, Victim};

const UNKNOWN: (u16, u64) = (404, 111);
const INVALID: (u16, u64) = (400, 107);

fn by_ada(line: &str, verdicts: &[(u16, u64)]) -> Attack {
    Attack::new(
        line.chars().take(80).collect::<String>(),
        request(line, &[("Authorization", &basic(ADA))], b""),
        verdicts,
    )
}

#[tokio::test]
async fn paths_stay_where_they_are() {
    let victim = Victim::new().await;
    let id = victim.id();
    let mut attacks: Vec<_> = [
        "/v0/subscriptions/../channels",
        "/v0/channels/../subscriptions",
        "/v0/../v0/subscriptions",
        "/v0/%2e%2e/subscriptions",
        "/v0//subscriptions",
        "/v0/subscriptions//",
        "/v0/subscriptions/a/b/c",
        "/v0/subscriptions/a%2Fb",
        "/v0/subscriptions/..%2f..%2fetc%2fpasswd",
        "/v0/subscriptions%2Fx",
        "/v0/channels/a%2Fb",
        "/v0/channels/%2F",
        "/v0/channels//",
        "/v0/broadcasts/a%2Fb",
        "/v0/..;/subscriptions",
        "/v0\\subscriptions",
        "/v0subscriptions",
        "/V0/nothing%00",
        "/v0/__flush__",
        "/v0/.env",
        "/v0/subscriptions.json",
    ]
    .iter()
    .map(|path| by_ada(&format!("GET {path}"), &[UNKNOWN, (307, 0)]))
    .collect();
    for path in ["%2e%2e", "..", ".", "-", "%00", "a%00b", "%C3%A9", "a%20b", "*", "%25"] {
        attacks.push(by_ada(&format!("GET /v0/subscriptions/{path}"), &[INVALID]));
        attacks.push(by_ada(&format!("DELETE /v0/subscriptions/{path}"), &[INVALID]));
    }
    attacks.push(by_ada(&format!("DELETE /v0/subscriptions/%20{id}"), &[INVALID]));
    attacks
        .push(by_ada(&format!("DELETE /v0/subscriptions/{}", id.to_string().to_uppercase()), &[(404, 110)]));
    for name in
        ["%00", "a%0Ab", "%7F", "%FF", "%C3%28", "%ED%A0%80", &"x".repeat(1025), &"%C3%A9".repeat(600)]
    {
        attacks.push(by_ada(&format!("PUT /v0/channels/{name}/registration"), &[INVALID]));
        attacks.push(by_ada(&format!("GET /v0/channels/{name}"), &[INVALID]));
        attacks.push(Attack::by(PUBLISHER, &format!("POST /v0/channels/{name}"), b"{}", INVALID));
    }
    for broadcast in ["x", "%00", &"x".repeat(500), "..", "a-b"] {
        attacks.push(by_ada(&format!("GET /v0/broadcasts/{broadcast}"), &[(404, 110)]));
        attacks.push(by_ada(&format!("DELETE /v0/broadcasts/{broadcast}"), &[(404, 110)]));
        attacks.push(by_ada(&format!("GET /v0/broadcasts/{broadcast}/events"), &[(404, 110)]));
    }
    victim.withstands(&attacks).await;
}

#[tokio::test]
async fn overlong_paths_are_refused() {
    let victim = Victim::new().await;
    let long = "x".repeat(60_000);
    victim
        .withstands(&[
            by_ada(&format!("GET /v0/subscriptions/{long}"), &[(404, 110), (414, 0)]),
            by_ada(&format!("PUT /v0/channels/{long}/registration"), &[INVALID, (414, 0)]),
            by_ada(&format!("GET /v0/subscriptions?{long}"), &[INVALID, (414, 0)]),
            by_ada(&format!("GET /v0/{}", "x/".repeat(30_000)), &[UNKNOWN, (307, 0), (414, 0)]),
            by_ada(&format!("GET /{}", "x".repeat(1_000_000)), &[(414, 0), (431, 0)]),
        ])
        .await;
}

#[tokio::test]
async fn no_redirect_leads_to_another_host() {
    let victim = Victim::new().await;
    for path in [
        "//other.example/x",
        "///other.example",
        "/\\other.example",
        "//other.example/v0/",
        "/v0//other.example/",
        "/http://other.example/",
    ] {
        let answer = victim.send(&request(&format!("GET {path}"), &[], b"")).await.unwrap();
        let location = answer.head.lines().find_map(|line| line.strip_prefix("location: "));
        assert!(
            answer.status == 404 || location.is_some_and(|to| to.starts_with("/v0/")),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn queries_that_make_no_sense_are_refused() {
    let victim = Victim::new().await;
    let queries = [
        "_limit=-1",
        "_limit=x",
        "_limit=99999999999999999999999",
        "_since=x",
        "_before=%FF",
        "_token=x",
        "_token=eyJ9",
        "_token=%00",
        "_fields=secret",
        "secret=1",
        "in_id=1",
        "min_last_modified=x",
        "%FF=1",
        "_token=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ];
    let mut attacks = Vec::new();
    for query in queries {
        attacks.push(by_ada(&format!("GET /v0/subscriptions?{query}"), &[INVALID]));
        attacks.push(by_ada(&format!("DELETE /v0/subscriptions?{query}"), &[INVALID]));
    }
    for query in ["_limit=0", "_limit=x", "_limit=-1", "_since=x", "_since=-5", "%FF"] {
        attacks.push(by_ada(&format!("GET /v0/broadcasts?{query}"), &[INVALID, (200, 0)]));
    }
    victim.withstands(&attacks).await;
}

#[tokio::test]
async fn headers_that_make_no_sense_are_refused() {
    let victim = Victim::new().await;
    let authorization = basic(ADA);
    let mut attacks = Vec::new();
    let record = victim.record();
    for (name, value) in
        [("If-Match", "x"), ("If-Match", "\"x\""), ("If-None-Match", "W/\"1\""), ("If-Match", "\"-1\"")]
    {
        let headers = [("Authorization", &*authorization), (name, value)];
        for line in [format!("GET {record}"), format!("DELETE {record}"), "GET /v0/subscriptions".to_owned()]
        {
            attacks.push(Attack::new(
                format!("{line} {name}: {value}"),
                request(&line, &headers, b""),
                &[INVALID],
            ));
        }
    }
    let publisher = basic(PUBLISHER);
    for (name, value) in [
        ("TTL", "-1"),
        ("TTL", "x"),
        ("TTL", "1e9"),
        ("TTL", "99999999999999999999"),
        ("Urgency", "urgent"),
        ("Urgency", ""),
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "a b"),
        ("Idempotency-Key", &"k".repeat(256)),
        ("Collapse-Key", ""),
        ("Collapse-Key", &"k".repeat(257)),
    ] {
        let headers = [("Authorization", &*publisher), (name, value)];
        let octets = request("POST /v0/channels/news", &headers, b"");
        attacks.push(Attack::new(format!("{name}: {value}"), octets, &[INVALID]));
    }
    for authorization in [
        "Basic",
        "Basic ",
        "Basic %%%",
        "Basic YWRh",
        "Basic /////w==",
        "basic",
        "Bearer x",
        "Negotiate x",
        "x",
        "",
    ] {
        let octets = request("GET /v0/subscriptions", &[("Authorization", authorization)], b"");
        attacks.push(Attack::new(format!("Authorization: {authorization}"), octets, &[(401, 104)]));
    }
    victim.withstands(&attacks).await;
}

#[tokio::test]
async fn headers_need_not_be_text() {
    let victim = Victim::new().await;
    let with = |line: &str, header: &[u8]| {
        let mut octets = format!("{line} HTTP/1.1\r\nHost: service\r\nConnection: close\r\n").into_bytes();
        octets.extend(header);
        octets.extend(b"\r\n\r\n");
        octets
    };
    let ada = format!("Authorization: {}\r\n", basic(ADA));
    let publisher = format!("Authorization: {}\r\n", basic(PUBLISHER));
    let beside = |who: &str, header: &[u8]| [who.as_bytes(), header].concat();
    victim
        .withstands(&[
            Attack::new(
                "credentials",
                with("GET /v0/subscriptions", b"Authorization: Basic \xff\xfe"),
                &[(401, 104)],
            ),
            Attack::new(
                "bearer",
                with("GET /v0/subscriptions", b"Authorization: Bearer \xff"),
                &[(401, 104)],
            ),
            Attack::new(
                "condition",
                with("GET /v0/subscriptions", &beside(&ada, b"If-Match: \xff")),
                &[INVALID],
            ),
            Attack::new(
                "accept",
                with("GET /v0/subscriptions", &beside(&ada, b"Accept: \xff")),
                &[(406, 107)],
            ),
            Attack::new("ttl", with("POST /v0/channels/news", &beside(&publisher, b"TTL: \xff")), &[INVALID]),
            Attack::new(
                "two",
                with("POST /v0/channels/news", &beside(&publisher, b"TTL: 1\r\nTTL: 2")),
                &[INVALID],
            ),
            Attack::new(
                "key",
                with("POST /v0/channels/news", &beside(&publisher, b"Idempotency-Key: \xc3\xa9")),
                &[INVALID],
            ),
            Attack::new(
                "large",
                with("GET /v0/subscriptions", &[b"X: ".to_vec(), vec![b'x'; 1 << 20]].concat()),
                &[(431, 0)],
            ),
            Attack::new(
                "many",
                with("GET /v0/subscriptions", b"X: x\r\n".repeat(5000).trim_ascii_end()),
                &[(431, 0)],
            ),
            Attack::new("nul", with("GET /v0/subscriptions", b"X: a\0b"), &[(400, 0)]),
            Attack::new("blank", with("GET /v0/subscriptions", b"X : a"), &[(400, 0)]),
            Attack::new("origin", with("GET /v0/nothing", b"Origin: \xff"), &[UNKNOWN]),
            Attack::new(
                "preflight",
                with("PUT /v0/vapid", b"Access-Control-Request-Headers: \xff"),
                &[(405, 115)],
            ),
        ])
        .await;
}
