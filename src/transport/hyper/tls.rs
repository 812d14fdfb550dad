//! TLS: always verified, 1.2 or later, HTTP/2 preferred (S-32).

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::builder::HyperTransportError;

/// Reads every certificate of a PEM text.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, HyperTransportError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(HyperTransportError::invalid_root)?;
    if found.is_empty() {
        return Err(HyperTransportError::no_root());
    }
    Ok(found)
}

/// The client's side of TLS, trusting Mozilla's roots and `extra`.
pub(super) fn client_config(
    extra: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, HyperTransportError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in extra {
        roots.add(certificate).map_err(HyperTransportError::invalid_root)?;
    }
    // Never the plain builder: it panics when the dependency graph enables two providers.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(HyperTransportError::tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
