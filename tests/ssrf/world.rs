//! One address that may be connected to, forbidden ones beside it that listen on the same port, and the transports
//! that are to tell them apart.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::Service;
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{
    AddressGuard, HyperTransport, Processed, ReqwestTransport, Resolve, TowerTransport, Transport,
    TransportErrorKind,
};

/// The one that the policy of these tests allows.
pub const ALLOWED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Those that have a [`trap`](Ground::traps).
pub const FORBIDDEN: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3)),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Allowed as well, and nobody listens there.
pub fn nobody(n: u8) -> IpAddr {
    [127, 9, 0, n].into()
}

pub fn policy() -> AddressPolicy {
    AddressPolicy::public().with_network(ALLOWED, 32).with_network(nobody(0), 24)
}

/// A peer on [`ALLOWED`], and listeners on the forbidden addresses, all on one port.
pub struct Ground {
    pub port: u16,
    /// Connections that the peer got.
    pub connections: Arc<AtomicUsize>,
    /// Requests that the peer answered.
    pub requests: Arc<AtomicUsize>,
    traps: Vec<TcpListener>,
}

impl Ground {
    /// The peer answers every request with what `answer` makes of the port.
    pub fn answering(answer: impl FnOnce(u16) -> String) -> Self {
        let (peer, traps) = one_port_on_each();
        let port = peer.local_addr().unwrap().port();
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (connected, answered) = (Arc::clone(&connections), Arc::clone(&requests));
        let answer: Arc<str> = answer(port).into();
        let peer = tokio::net::TcpListener::from_std(peer).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = peer.accept().await {
                connected.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&answered)));
            }
        });
        Self { port, connections, requests, traps }
    }

    /// It accepts every message and keeps its connections open.
    pub fn accepting() -> Self {
        Self::answering(|_| "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n".to_owned())
    }

    /// No forbidden address got a connection. What was connected to waits to be accepted, so that there is nothing to
    /// wait for.
    pub fn assert_untouched(&self, what: &str) {
        for trap in &self.traps {
            let untouched = trap.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            assert!(untouched, "{what}: a connection to {}", trap.local_addr().unwrap());
        }
    }
}

fn one_port_on_each() -> (TcpListener, Vec<TcpListener>) {
    loop {
        let peer = listen((ALLOWED, 0).into()).unwrap();
        let port = peer.local_addr().unwrap().port();
        let bind = |&address: &IpAddr| match listen((address, port).into()) {
            // A machine without IPv6 cannot be led there.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => None,
            bound => Some(bound),
        };
        // Somebody may have the port on one of the addresses.
        if let Ok(traps) = FORBIDDEN.iter().filter_map(bind).collect() {
            return (peer, traps);
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(mut stream: TcpStream, answer: Arc<str>, answered: Arc<AtomicUsize>) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if !request.ends_with(b"\r\n\r\nbody") {
            continue;
        }
        request.clear();
        answered.fetch_add(1, Ordering::SeqCst);
        if stream.write_all(answer.as_bytes()).await.is_err() || answer.contains("connection: close") {
            break;
        }
    }
}

/// A name server's answers, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    script: Mutex<(Vec<Vec<IpAddr>>, bool)>,
    asked: AtomicUsize,
    names: Mutex<HashSet<String>>,
}

impl Names {
    /// The last answer is given for ever.
    pub fn then(answers: &[&[IpAddr]]) -> Self {
        let names = Self::default();
        names.set(answers, false);
        names
    }

    /// After the last answer comes the first.
    pub fn turning(answers: &[&[IpAddr]]) -> Self {
        let names = Self::default();
        names.set(answers, true);
        names
    }

    /// From now on, every answer is this.
    pub fn always(&self, answer: &[IpAddr]) {
        self.set(&[answer], false);
    }

    pub fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// For whom.
    pub fn names(&self) -> HashSet<String> {
        self.0.names.lock().unwrap().clone()
    }

    fn set(&self, answers: &[&[IpAddr]], turn: bool) {
        *self.0.script.lock().unwrap() = (answers.iter().map(|answer| answer.to_vec()).collect(), turn);
    }

    fn answer(&self, name: &str) -> Vec<IpAddr> {
        self.0.names.lock().unwrap().insert(name.to_owned());
        let nth = self.0.asked.fetch_add(1, Ordering::SeqCst);
        let script = self.0.script.lock().unwrap();
        let (answers, turn) = &*script;
        let nth = if *turn { nth % answers.len() } else { nth.min(answers.len() - 1) };
        answers[nth].clone()
    }

    fn sockets(&self, name: &str) -> std::vec::IntoIter<SocketAddr> {
        let found: Vec<_> = self.answer(name).into_iter().map(|address| (address, 0).into()).collect();
        found.into_iter()
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.answer(host))
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let found = self.sockets(name.as_str());
        Box::pin(async move { Ok(Box::new(found) as reqwest::dns::Addrs) })
    }
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        ready(Ok(self.sockets(name.as_str())))
    }
}

/// A transport under attack.
pub struct Case {
    pub name: &'static str,
    pub transport: Box<dyn Transport>,
}

const LIMIT: Duration = Duration::from_secs(20);

/// Each transport of this crate, with the answers of `names`.
pub fn hyper(names: &Names) -> Case {
    let builder = HyperTransport::builder().address_policy(policy()).resolver(Arc::new(names.clone()));
    Case { name: "hyper", transport: Box::new(builder.total_timeout(LIMIT).build().unwrap()) }
}

pub fn reqwest(names: &Names) -> Case {
    let builder = ReqwestTransport::builder().address_policy(policy()).resolver(names.clone());
    Case { name: "reqwest", transport: Box::new(builder.total_timeout(LIMIT).build().unwrap()) }
}

pub fn tower(names: &Names) -> Case {
    let connector = HttpConnector::new_with_resolver(AddressGuard::new(names.clone(), policy()));
    Case { name: "tower", transport: over(connector) }
}

pub const ALL: [fn(&Names) -> Case; 3] = [hyper, reqwest, tower];

fn over<R>(connector: HttpConnector<R>) -> Box<dyn Transport>
where
    HttpConnector<R>: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new()).build(connector);
    Box::new(TowerTransport::new(client).address_policy(policy()).total_timeout(LIMIT))
}

impl Case {
    /// The status, or why there is none.
    pub async fn post(&self, uri: &str) -> Result<u16, (TransportErrorKind, Processed)> {
        let request = Request::post(uri.parse::<Uri>().unwrap()).body(Bytes::from_static(b"body")).unwrap();
        match self.transport.send(request).await {
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) => Err((error.kind(), error.processed())),
        }
    }
}

pub const REFUSED: Result<u16, (TransportErrorKind, Processed)> =
    Err((TransportErrorKind::AddressRefused, Processed::No));

/// Set for a process that [`alone`] starts.
const ALONE: &str = "WEBPUSH_CHANNELS_SSRF_ALONE";

/// Whether this is the process that a test has for itself, with those variables. If not, it was run in one.
pub fn alone(test: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture"]).env(ALONE, "1").envs(variables.iter().copied());
    let output = child.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    false
}
