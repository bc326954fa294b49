//! TLS for the measured connections and for the questions asked around them, by rustls.

use std::{io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Trust;

/// Verifies servers as [`Trust`] says.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// What rustls said, or what is wrong with the file of certificates.
    pub fn new(trust: &Trust) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let builder = match trust {
            Trust::Platform => builder.with_platform_verifier().map_err(|e| e.to_string())?,
            Trust::CaFile(path) => builder.with_root_certificates(certificates(path)?),
            Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider))),
        };
        let mut config = builder.with_no_client_auth();
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
        let roots = RootCertStore::empty();
        Ok(builder.map_err(|e| e.to_string())?.with_root_certificates(roots).with_no_client_auth())
    }

    /// The handshake.
    pub async fn connect(&self, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        TlsConnector::from(self.0.clone()).connect(name, tcp).await
    }
}

/// The certificates of a PEM file.
fn certificates(path: &Path) -> Result<RootCertStore, String> {
    let failed = |e: &dyn std::fmt::Display| format!("--ca-file {}: {e}", path.display());
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| failed(&e))? {
        store.add(certificate.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
    }
    if store.is_empty() { Err(failed(&"it holds no PEM certificate")) } else { Ok(store) }
}

/// Believes any certificate; signatures are still checked, since that costs nothing.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
