//! Where the server is.

use std::{borrow::Cow, fmt, net::IpAddr, path::PathBuf};

use url::Url;

/// A server's address: scheme, host, port and the path in front of `/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// `https`.
    pub tls: bool,
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port; 80 or 443 where none was given.
    pub port: u16,
    /// Path prefix without a trailing slash, `""` mostly; a trailing `/v1` is dropped, since every path adds it.
    pub prefix: String,
    /// The Unix-domain socket that it listens on, in place of host and port.
    pub socket: Option<PathBuf>,
}

impl ServerUrl {
    /// Reads `http://host:port`, `https://…`, `host:port`, which means http, or `unix:/path/of/a/socket`.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment for "`…` is not a server URL: …".
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::of_socket(path.strip_prefix("//").unwrap_or(path));
        }
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&with_scheme).map_err(|e| e.to_string())?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("the scheme `{other}` is not http or https")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no host")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("credentials do not belong in it: name the key's variable with --api-key-env".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a query or fragment does not belong in it".to_owned());
        }
        let path = url.path().trim_end_matches('/');
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default().ok_or("it names no port")?,
            prefix: path.strip_suffix("/v1").unwrap_or(path).to_owned(),
            socket: None,
        })
    }

    fn of_socket(path: &str) -> Result<Self, String> {
        if !cfg!(unix) {
            return Err("this system has no Unix-domain sockets".to_owned());
        }
        if !path.starts_with('/') {
            return Err("a Unix-domain socket is given by its whole path, as in unix:/run/server.sock".to_owned());
        }
        Ok(Self {
            tls: false,
            host: "localhost".to_owned(),
            port: 80,
            prefix: String::new(),
            socket: Some(path.into()),
        })
    }

    /// `host:port`, as the Host header has it.
    pub fn authority(&self) -> String {
        let host = bracketed(&self.host);
        match (self.tls, self.port) {
            (false, 80) | (true, 443) => host.into_owned(),
            (_, port) => format!("{host}:{port}"),
        }
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// `host:port`, with the port whatever it is.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }

    /// Whether it is on this machine, as its name or address says.
    pub fn is_loopback(&self) -> bool {
        let is_loopback = |address: IpAddr| address.is_loopback() || address.is_unspecified();
        self.socket.is_some() || self.host == "localhost" || self.host.parse().is_ok_and(is_loopback)
    }

    /// The whole URL of a path such as `/v1/models`.
    pub fn join(&self, path: &str) -> String {
        format!("{}://{}{}{path}", self.scheme(), self.authority(), self.prefix)
    }
}

/// A host as it stands before a port.
pub(super) fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.socket {
            Some(path) => write!(f, "unix:{}", path.display()),
            None => write!(f, "{}://{}{}", self.scheme(), self.authority(), self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let table = [
            ("127.0.0.1:23333", Ok("http://127.0.0.1:23333")),
            ("localhost:8000", Ok("http://localhost:8000")),
            ("http://127.0.0.1:8080/", Ok("http://127.0.0.1:8080")),
            ("http://h/v1/", Ok("http://h")),
            ("https://h/llm/v1", Ok("https://h/llm")),
            ("http://[::1]:9", Ok("http://[::1]:9")),
            #[cfg(unix)]
            ("unix:/run/a.sock", Ok("unix:/run/a.sock")),
            #[cfg(unix)]
            ("unix:///run/a.sock", Ok("unix:/run/a.sock")),
            #[cfg(unix)]
            ("unix:a.sock", Err("whole path")),
            ("ftp://h", Err("scheme `ftp`")),
            ("http://", Err("empty host")),
            ("http://h:99999", Err("port")),
            ("http://me:secret@h", Err("credentials")),
            ("http://h/?a=b", Err("query")),
        ];
        for (text, expected) in table {
            match (ServerUrl::parse(text), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.to_string(), expected, "{text}"),
                (Err(message), Err(expected)) => {
                    assert!(message.contains(expected) && !message.contains("secret"), "{text}: {message}");
                }
                (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
            }
        }
    }
}
