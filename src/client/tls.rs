//! TLS for the measured connections and for the questions asked around them, by rustls.

use std::{io, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Verifies servers as the platform does.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// The platform's trust store, TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// What rustls said.
    pub fn new() -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_platform_verifier())
            .map_err(|e| e.to_string())?
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// The configuration itself, for reqwest.
    pub fn config(&self) -> ClientConfig {
        (*self.0).clone()
    }

    /// A configuration that trusts nobody: reqwest wants one, even where only `http://` is spoken.
    ///
    /// # Errors
    /// What rustls said.
    pub fn without_trust() -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let roots = rustls::RootCertStore::empty();
        Ok(builder.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth())
    }

    /// The handshake.
    pub async fn connect(&self, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        TlsConnector::from(self.0.clone()).connect(name, tcp).await
    }
}
