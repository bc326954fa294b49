//! The proxy that the environment names, for servers that are not on this machine.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{ServerUrl, http1::parse_head, server_url::bracketed};

/// An HTTP proxy, through which connections are tunnelled (`CONNECT`).
#[derive(Clone)]
pub struct Proxy {
    /// Where it is; credentials are kept apart, and never shown.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The `proxy-authorization` header's value.
    authorization: Option<String>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "http://{}:{}", bracketed(&self.host), self.port)
    }
}

impl Proxy {
    /// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say of this server. On loopback and on Unix-domain sockets
    /// they are ignored: nothing may stand between a local server and its measurement.
    ///
    /// # Errors
    /// Where they name a proxy of another kind.
    pub fn of_environment(server: &ServerUrl) -> Result<Option<Self>, String> {
        if server.is_loopback() {
            return Ok(None);
        }
        let unusable = |why: &dyn fmt::Display| format!("the proxy that the environment names for {server}: {why}");
        let uri: http::Uri = server.join("/").parse().map_err(|e| unusable(&e))?;
        let Some(intercept) = Matcher::from_env().intercept(&uri) else { return Ok(None) };
        let proxy = intercept.uri();
        if proxy.scheme_str() != Some("http") {
            let scheme = proxy.scheme_str().unwrap_or_default();
            return Err(unusable(&format!(
                "{scheme} proxies are not supported, only http; no_proxy leaves a server out"
            )));
        }
        let authorization = intercept.basic_auth().and_then(|value| value.to_str().ok()).map(str::to_owned);
        let host = proxy.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Ok(Some(Self { host, port: proxy.port_u16().unwrap_or(80), authorization }))
    }

    /// The same proxy, for reqwest.
    #[cfg(feature = "harness")]
    pub(super) fn for_reqwest(&self) -> reqwest::Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(self.to_string())?;
        Ok(match self.authorization.as_ref().and_then(|value| value.parse().ok()) {
            Some(value) => proxy.custom_http_auth(value),
            None => proxy,
        })
    }

    /// Asks for a tunnel to the server on a connection to the proxy.
    pub(super) async fn tunnel(&self, connection: &mut TcpStream, server: &ServerUrl) -> Result<(), String> {
        let failed = |why: &dyn fmt::Display| format!("by the proxy {self}: {why}");
        let to = server.host_and_port();
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n");
        if let Some(value) = &self.authorization {
            request += &format!("proxy-authorization: {value}\r\n");
        }
        connection.write_all((request + "\r\n").as_bytes()).await.map_err(|e| failed(&e))?;
        let mut answer = Vec::new();
        loop {
            // Byte by byte, so that nothing is taken of what follows the head.
            match connection.read_u8().await {
                Ok(byte) => answer.push(byte),
                Err(e) => return Err(failed(&e)),
            }
            match parse_head(&answer) {
                Ok(None) => {}
                Ok(Some((head, _))) if (200..300).contains(&head.status) => return Ok(()),
                Ok(Some((head, _))) => return Err(failed(&format!("{} to CONNECT {to}", head.status))),
                Err(failure) => return Err(failed(&failure.message)),
            }
        }
    }
}
