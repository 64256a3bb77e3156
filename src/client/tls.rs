//! How connections are made safe.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::error::ClientError;

/// TLS 1.2 and 1.3 with the root certificates of the system, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. HTTP/2 is
/// offered before HTTP/1.1.
///
/// A system without root certificates is no error here: requests to `http` go out, those to `https` fail as `UnknownIssuer`.
pub fn config() -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // The provider is handed in, so that nothing depends on which one the program has installed.
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| ClientError::Setup(format!("TLS: {error}")))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
