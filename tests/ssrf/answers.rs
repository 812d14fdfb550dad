//! What a push service answers leads nowhere else (S-6, S-7).

use std::sync::atomic::Ordering;

use crate::world::{ALL, ALLOWED, Ground, Names};

/// The status line and headers of an answer, which names a forbidden address at this port.
const ANSWERS: [(u16, &str); 12] = [
    (301, "location: http://127.0.0.1:PORT/x"),
    (302, "location: http://[::1]:PORT/x"),
    (303, "location: //127.0.0.1:PORT/x"),
    (307, "location: http://2130706433:PORT/x"),
    (308, "location: http://127.0.0.3:PORT/x"),
    (300, "location: http://127.0.0.1:PORT/x"),
    (305, "location: http://127.0.0.1:PORT/"),
    (407, "proxy-authenticate: basic\r\nlocation: http://127.0.0.1:PORT/"),
    (421, "alt-svc: h2=\"127.0.0.1:PORT\"; ma=3600; persist=1"),
    (201, "alt-svc: h2=\"127.0.0.1:PORT\", http/1.1=\"127.0.0.1:PORT\", h3=\"127.0.0.1:PORT\"; ma=3600"),
    (201, "location: http://127.0.0.1:PORT/m\r\nlink: <http://127.0.0.1:PORT/>; rel=preconnect"),
    (200, "refresh: 0; url=http://127.0.0.1:PORT/\r\ncontent-location: http://127.0.0.1:PORT/"),
];

#[tokio::test]
async fn no_answer_leads_to_another_address() {
    for case in ALL {
        for (status, headers) in ANSWERS {
            let ground = Ground::answering(|port| {
                let headers = headers.replace("PORT", &port.to_string());
                let hint =
                    format!("HTTP/1.1 103 Early Hints\r\nlink: <http://127.0.0.1:{port}/>; rel=preconnect");
                format!("{hint}\r\n\r\nHTTP/1.1 {status} Word\r\n{headers}\r\ncontent-length: 0\r\n\r\n")
            });
            let case = case(&Names::then(&[&[ALLOWED]]));
            let uri = format!("http://push.example:{}/p/x", ground.port);
            // The second request is where an alternative would be used.
            for requests in 1..=2 {
                assert_eq!(case.post(&uri).await, Ok(status), "{}: {headers}", case.name);
                assert_eq!(ground.requests.load(Ordering::SeqCst), requests, "{}: {headers}", case.name);
            }
            ground.assert_untouched(&format!("{}: {status} {headers}", case.name));
        }
    }
}
