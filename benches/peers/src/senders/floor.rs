//! What nothing can do without: a message by its crypto library alone, and one POST of as many octets over hyper's one
//! HTTP/2 connection. The message is no message: nobody could open it.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::{Endpoint, Subscription, Ttl};

use super::{IN_FLIGHT, Sender};
use crate::{Result, setup};

/// Salt, record size, public key, delimiter and tag.
const OVERHEAD: usize = 103;

type Encrypt = fn(&[u8], &mut Vec<u8>);

pub(super) struct Floor {
    encrypt: Encrypt,
    runtime: Runtime,
    /// Made with the first push.
    connection: Option<SendRequest<Full<Bytes>>>,
    authority: CertificateDer<'static>,
    endpoint: Endpoint,
}

impl Floor {
    pub(super) fn new(directory: &Path, encrypt: Encrypt) -> Result<Self> {
        let subscription = Subscription::from_json(fs::read(setup::subscription(directory))?)?;
        Ok(Self {
            encrypt,
            runtime: super::runtime()?,
            connection: None,
            authority: CertificateDer::from_pem_file(setup::authority(directory))?,
            endpoint: subscription.endpoint().clone(),
        })
    }

    fn connection(&mut self) -> Result<SendRequest<Full<Bytes>>> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let to = (self.endpoint.host(), self.endpoint.port());
        let connection = self.runtime.block_on(connect(to, self.authority.clone()))?;
        Ok(self.connection.insert(connection).clone())
    }
}

impl Sender for Floor {
    fn push(&mut self, payload: &[u8], times: usize) -> Result<()> {
        let (connection, encrypt) = (self.connection()?, self.encrypt);
        let (payload, template) =
            (Arc::<[u8]>::from(payload), template(&self.endpoint, payload.len() + OVERHEAD)?);
        let mut senders = JoinSet::new();
        let _entered = self.runtime.enter();
        for n in 0..IN_FLIGHT {
            let (mut connection, template, payload) =
                (connection.clone(), template.clone(), Arc::clone(&payload));
            senders.spawn(async move {
                for _ in 0..(times + n) / IN_FLIGHT {
                    let mut body = Vec::with_capacity(payload.len() + OVERHEAD);
                    encrypt(black_box(&payload), &mut body);
                    body.resize(payload.len() + OVERHEAD, 0);
                    let request = template.clone().map(|_| Full::new(body.into()));
                    let response = connection.send_request(request).await?;
                    assert_eq!(response.status(), StatusCode::CREATED);
                }
                Ok::<(), hyper::Error>(())
            });
        }
        let all = self.runtime.block_on(senders.join_all());
        Ok(all.into_iter().collect::<std::result::Result<_, _>>()?)
    }

    fn message(&mut self, payload: &[u8], times: usize) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(4096);
        for _ in 0..times {
            (self.encrypt)(black_box(payload), &mut out);
            black_box(&out);
        }
        Ok(out)
    }
}

/// A request as the sender makes it, with a token that nobody reads.
fn template(endpoint: &Endpoint, octets: usize) -> Result<Request<Bytes>> {
    let token = HeaderValue::try_from(format!("vapid t={:0>200}, k={:0>87}", "", ""))?;
    let body = Body::Aes128Gcm(vec![0; octets].into());
    Ok(PushRequest::new(endpoint, Ttl::hours(1), token).with_body(body).into_http())
}

async fn connect(to: (&str, u16), authority: CertificateDer<'static>) -> Result<SendRequest<Full<Bytes>>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols.push(b"h2".to_vec());
    let tcp = TcpStream::connect(to).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::from(tcp.peer_addr()?.ip());
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
