//! A name server that changes its mind (S-3), answers with good and bad addresses (S-4), or with thousands.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use webpush_channels::transport::{Processed, TransportErrorKind};

use crate::vectors::{addresses, embeddings};
use crate::world::{ALL, ALLOWED, FORBIDDEN, Ground, Names, REFUSED, nobody};

const CLOSING: &str = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What was checked is what is connected to: nobody asks between the two.
#[tokio::test]
async fn the_second_answer_is_asked_for_by_the_second_connection_and_checked() {
    for forbidden in FORBIDDEN {
        for case in ALL {
            let ground = Ground::answering(|_| CLOSING.to_owned());
            let names = Names::then(&[&[ALLOWED], &[forbidden]]);
            let case = case(&names);
            let uri = format!("http://push.example:{}/p/x", ground.port);
            assert_eq!((case.post(&uri).await, names.asked()), (Ok(201), 1), "{}", case.name);
            assert_eq!((case.post(&uri).await, names.asked()), (REFUSED, 2), "{}", case.name);
            ground.assert_untouched(case.name);
            assert_eq!(ground.connections.load(Ordering::SeqCst), 1, "{}", case.name);
        }
    }
}

/// A connection stays where it was checked to be.
#[tokio::test]
async fn a_pooled_connection_does_not_follow_its_name() {
    for case in ALL {
        let ground = Ground::accepting();
        let names = Names::then(&[&[ALLOWED], &[FORBIDDEN[0]]]);
        let case = case(&names);
        let uri = format!("http://push.example:{}/p/x", ground.port);
        for _ in 0..5 {
            assert_eq!(case.post(&uri).await, Ok(201), "{}", case.name);
        }
        assert_eq!(names.asked(), 1, "{}", case.name);
        assert_eq!(ground.connections.load(Ordering::SeqCst), 1, "{}", case.name);
        ground.assert_untouched(case.name);
    }
}

#[tokio::test]
async fn answers_that_take_turns_lead_nowhere_else() {
    for case in ALL {
        let ground = Ground::answering(|_| CLOSING.to_owned());
        let names = Names::turning(&[&[ALLOWED], &[FORBIDDEN[0]], &[ALLOWED, FORBIDDEN[1]]]);
        let case = case(&names);
        let uri = format!("http://push.example:{}/p/x", ground.port);
        let sent = join_all((0..60).map(|_| case.post(&uri))).await;
        assert!(sent.iter().all(|sent| [Ok(201), REFUSED].contains(sent)), "{}: {sent:?}", case.name);
        let accepted = sent.iter().filter(|sent| sent.is_ok()).count();
        assert_eq!(ground.requests.load(Ordering::SeqCst), accepted, "{}", case.name);
        assert!(names.asked() >= 2, "{}: asked {} times", case.name, names.asked());
        ground.assert_untouched(case.name);
    }
}

#[tokio::test]
async fn one_forbidden_address_condemns_the_answer_wherever_it_stands() {
    for case in ALL {
        let ground = Ground::accepting();
        let names = Names::then(&[&[ALLOWED]]);
        let case = case(&names);
        let uri = format!("http://push.example:{}/p/x", ground.port);
        let vectors = addresses().into_iter().filter(|(_, forbidden)| *forbidden).map(|(address, _)| address);
        let embedded = embeddings([127, 0, 0, 1].into()).map(IpAddr::V6);
        for forbidden in vectors.chain(FORBIDDEN).chain(embedded) {
            let mut last = vec![ALLOWED; 40];
            last.push(forbidden);
            for answer in [vec![forbidden], vec![ALLOWED, forbidden], vec![forbidden, ALLOWED], last] {
                names.always(&answer);
                assert_eq!(case.post(&uri).await, REFUSED, "{}: {answer:?}", case.name);
            }
        }
        ground.assert_untouched(case.name);
        assert_eq!(ground.connections.load(Ordering::SeqCst), 0, "{}", case.name);
        names.always(&[ALLOWED]);
        assert_eq!(case.post(&uri).await, Ok(201), "{}", case.name);
    }
}

/// S-31: a request is no scan of all hosts that a name server names.
#[tokio::test]
async fn of_many_addresses_sixteen_are_tried() {
    for case in ALL {
        let ground = Ground::accepting();
        let names = Names::default();
        let case = case(&names);
        let uri = format!("http://push.example:{}/p/x", ground.port);
        let after = |others: u8| (1..=others).map(nobody).chain([ALLOWED]).collect::<Vec<_>>();
        names.always(&after(16));
        let refused = Err((TransportErrorKind::Connect, Processed::No));
        assert_eq!(case.post(&uri).await, refused, "{}", case.name);
        assert_eq!(ground.connections.load(Ordering::SeqCst), 0, "{}", case.name);
        names.always(&after(15));
        assert_eq!(case.post(&uri).await, Ok(201), "{}", case.name);
    }
}
