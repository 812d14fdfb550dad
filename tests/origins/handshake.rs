//! An origin that no request ever reaches: names, TCP, TLS and the first frames of HTTP/2.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, interval, timeout};
use webpush_channels::OutcomeKind::{Accepted, GaveUp};
use webpush_channels::transport::Resolve;

use crate::certificates::Flaw;
use crate::frames::{DATA, GOAWAY, frame, go_away};
use crate::peer::{HTTP1, HTTP2, Peer, read_request};
use crate::world::{self, ATTEMPTS, CONNECT, FEW, Run};

/// All gave up after all attempts: nothing was sent, so that nothing is in doubt.
fn assert_unreached(what: &str, run: &Run, peer: Option<&Peer>) {
    assert!(run.all(GaveUp), "{what}: {run:?}");
    assert_eq!(run.attempts, FEW as u64 * u64::from(ATTEMPTS), "{what}: {run:?}");
    if let Some(peer) = peer {
        assert_eq!(peer.requests(), 0, "{what}");
        let most = FEW * usize::from(ATTEMPTS);
        assert!(peer.connections() <= most, "{what}: {} connections", peer.connections());
    }
}

/// What is said on TCP once the client has begun TLS.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Silence,
    Close,
    Octets(&'static [u8]),
    Flood(&'static [u8]),
    Trickle(&'static [u8]),
}

async fn answer(answer: Answer, mut tcp: TcpStream) -> io::Result<()> {
    tcp.read_exact(&mut [0; 5]).await?;
    match answer {
        Answer::Silence => pending().await,
        Answer::Close => Ok(()),
        Answer::Octets(octets) => {
            tcp.write_all(octets).await?;
            pending().await
        }
        Answer::Flood(octets) => loop {
            tcp.write_all(&octets.repeat(100)).await?;
        },
        Answer::Trickle(octets) => {
            let mut often = interval(Duration::from_millis(20));
            for octet in octets.iter().cycle() {
                often.tick().await;
                tcp.write_all(&[*octet]).await?;
            }
            Ok(())
        }
    }
}

/// A handshake message that says to be long and never ends.
const LONG_CERTIFICATE: &[u8] = b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_shake_hands_is_never_sent_anything() {
    let answers = [
        Answer::Silence,
        Answer::Close,
        Answer::Octets(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"),
        // Alerts: handshake_failure, protocol_version.
        Answer::Octets(b"\x15\x03\x01\x00\x02\x02\x28"),
        Answer::Octets(b"\x15\x03\x01\x00\x02\x02\x46"),
        // A ServerHello of TLS 1.0.
        Answer::Octets(
            b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01\
              aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00\x00\x2f\x00",
        ),
        // An SSL 2.0 hello, a record that is too long, one of no known kind.
        Answer::Octets(b"\x80\x2e\x04\x00\x01\x00\x02\x00\x15\x00\x10\x00\x10"),
        Answer::Octets(b"\x16\x03\x03\xff\xff"),
        Answer::Octets(b"\x63\x03\x03\x00\x01\x00"),
        Answer::Octets(LONG_CERTIFICATE),
        Answer::Flood(&[0; 64]),
        // Warnings, and empty records, without end.
        Answer::Flood(b"\x15\x03\x03\x00\x02\x01\x5a"),
        Answer::Flood(b"\x16\x03\x03\x00\x00"),
        Answer::Flood(b"\x14\x03\x03\x00\x01\x01"),
        Answer::Trickle(LONG_CERTIFICATE),
    ];
    join_all(answers.map(|said| async move {
        let peer = Peer::tcp(move |tcp, _| answer(said, tcp)).await;
        let run = world::publish(&peer.origin(), FEW, world::impatient()).await;
        assert_unreached(&format!("{said:?}"), &run, Some(&peer));
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_does_not_prove_the_name_is_refused() {
    for flaw in [Flaw::Expired, Flaw::NotYetValid, Flaw::SelfSigned, Flaw::WrongName] {
        let peer = Peer::with_flaw(flaw, HTTP1, |mut tls, seen| async move {
            read_request(&mut tls).await?;
            seen.request();
            tls.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await
        })
        .await;
        let run = world::publish(&peer.origin(), FEW, world::impatient()).await;
        assert_unreached(&format!("{flaw:?}"), &run, Some(&peer));
    }
}

/// It agreed on HTTP/2, and then says this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_begin_with_settings_is_never_sent_anything() {
    let octets: [(&str, Vec<u8>); 7] = [
        ("nothing", Vec::new()),
        ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec()),
        ("a client's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("zeros", vec![0; 100_000]),
        ("ones", vec![0xff; 100_000]),
        ("DATA", frame(DATA, 0, 1, b"x")),
        ("GOAWAY", [go_away(0), frame(GOAWAY, 0, 0, &[0; 3])].concat()),
    ];
    join_all(octets.map(|(what, octets)| async move {
        let peer = Peer::tls(HTTP2, move |mut tls, _| {
            let octets = octets.clone();
            async move {
                tls.write_all(&octets).await?;
                tls.flush().await?;
                pending().await
            }
        })
        .await;
        let run = world::publish(&peer.origin(), FEW, world::impatient()).await;
        assert_unreached(what, &run, Some(&peer));
    }))
    .await;
}

/// A listener whose queue is full: SYN is not answered.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_never_accepted_costs_the_connect_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(tcp)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        queue.push(tcp);
    }
    let began = Instant::now();
    let run = world::publish(&format!("https://{address}"), FEW, world::impatient()).await;
    assert_unreached("a full queue", &run, None);
    assert!(began.elapsed() >= CONNECT, "{run:?}");
}

#[derive(Debug)]
struct NameServer(Option<usize>);

#[async_trait]
impl Resolve for NameServer {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let Some(addresses) = self.0 else { return pending().await };
        // Nobody listens there.
        let addresses = (0..addresses).map(|n| [127, 9, n.to_be_bytes()[6], n.to_be_bytes()[7]].into());
        Ok(addresses.collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_servers_may_say_nothing_or_too_much() {
    for (what, server) in [
        ("silence", NameServer(None)),
        ("no address", NameServer(Some(0))),
        ("10 000", NameServer(Some(10_000))),
    ] {
        let transport = world::impatient().resolver(Arc::new(server));
        let run = world::publish("https://localhost:9", FEW, transport).await;
        assert_unreached(what, &run, None);
    }
}

/// What is no misbehaviour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http1_alone_will_do() {
    let peer = Peer::tls(HTTP1, |mut tls, seen| async move {
        loop {
            read_request(&mut tls).await?;
            seen.request();
            tls.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await?;
            tls.flush().await?;
        }
    })
    .await;
    let run = world::publish(&peer.origin(), 30, world::impatient()).await;
    assert!(run.all(Accepted), "{run:?}");
    assert_eq!(peer.requests(), 30);
    assert!(peer.connections() <= 12, "{} connections", peer.connections());
}
