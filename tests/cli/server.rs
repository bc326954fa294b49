//! Ways to a server: sockets of both kinds, proxies, TLS, and keys that go no further.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
};

use libtest_mimic::{Failed, Trial};

use crate::{
    limits::quick,
    package::{Package, engine, fixture, refusing},
};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("what_servers_repeat_of_a_key_is_hidden", repeated_key),
        Trial::test("a_proxy_is_used_and_shown_but_never_for_loopback", proxy),
        Trial::test("a_server_on_a_unix_socket_is_measured", unix_socket),
        Trial::test("a_server_on_ipv6_is_measured", ipv6),
        Trial::test("insecure_warns", insecure),
    ]
}

fn repeated_key() -> Result<(), Failed> {
    let tokenizer = fixture("tokenizer.json");
    let secret = "planted-7f3a9";
    for (status, flags) in
        [("401 No", &[][..]), ("404 No", &["--model", "m"]), ("404 No", &["--model", "m", "--warmup", "2"])]
    {
        let url = refusing(status, "{\"error\":{\"message\":\"incorrect key: KEY\"}}")?;
        let package = Package::new("");
        std::fs::write(package.path("key"), format!("{secret}\n"))?;
        let flags = [quick(&url, &tokenizer), vec!["--api-key-file", "key"], flags.to_vec()].concat();
        let outcome = package.run(&flags, &[]);
        outcome.expect(101)?;
        assert!(outcome.stderr.contains("incorrect key: (hidden)"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains(secret) && !outcome.stdout.contains(secret), "{}", outcome.stderr);
    }
    Ok(())
}

/// A proxy in front of the engine: it alone knows where the name leads to.
fn proxy() -> Result<(), Failed> {
    let engine = engine();
    let address = engine.url().replace("http://", "");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (proxy, tokenizer) = (listener.local_addr()?.to_string(), fixture("tokenizer.json"));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&address).unwrap());
            let mut request = vec![0; 1 << 16];
            // Each client sends its first request in one piece, and waits for the answer.
            let n = client.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            // "me:planted-7f3a9"
            if !request.contains("proxy-authorization: Basic bWU6cGxhbnRlZC03ZjNhOQ==") {
                _ = client.write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n");
                continue;
            }
            if request.starts_with("CONNECT engine.invalid:8000 HTTP/1.1\r\n") {
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            } else {
                // What a question is sent as, with the whole URL.
                let request = request.replace("http://engine.invalid:8000", "");
                server.write_all(request.as_bytes()).unwrap();
            }
            relay(client, server);
        }
    });
    let package = Package::new("");
    let with_password = format!("http://me:planted-7f3a9@{proxy}");
    let outcome = package.run(&quick("engine.invalid:8000", &tokenizer), &[("http_proxy", &with_password)]);
    outcome.expect(0)?;
    let expected =
        format!("http://engine.invalid:8000 is measured through the proxy http://{proxy}, which the environment names");
    assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
    let report = package.report("random-8-8/c2");
    assert_eq!(report["server"]["proxy"], format!("http://{proxy}"));
    assert_eq!(report["passes"][0]["completed"], 60);
    assert!(!format!("{}{}{report}", outcome.stdout, outcome.stderr).contains("planted"));

    let without_password = format!("http://{proxy}");
    let outcome = package.run(&quick("engine.invalid:8000", &tokenizer), &[("http_proxy", &without_password)]);
    outcome.expect(101)?;
    assert!(outcome.stderr.contains("407"), "{}", outcome.stderr);

    // Nothing listens there; nobody asks.
    let engine_url = engine.url();
    let outcome = package.run(
        &quick(&engine_url, &tokenizer),
        &[("http_proxy", "http://127.0.0.1:1"), ("all_proxy", "http://127.0.0.1:1")],
    );
    outcome.expect(0)?;
    assert!(!outcome.stderr.contains("proxy"), "{}", outcome.stderr);
    Ok(())
}

/// Passes on what either side says, until one of them is done.
fn relay(client: impl Side, server: impl Side) {
    let (mut client_reads, mut server_writes) = (client.again(), server.again());
    let (mut server_reads, mut client_writes) = (server, client);
    std::thread::spawn(move || {
        _ = std::io::copy(&mut client_reads, &mut server_writes);
        server_writes.close();
    });
    std::thread::spawn(move || {
        _ = std::io::copy(&mut server_reads, &mut client_writes);
        client_writes.close();
    });
}

/// A connection of either kind.
trait Side: Read + Write + Send + Sized + 'static {
    fn again(&self) -> Self;
    fn close(&self);
}

impl Side for TcpStream {
    fn again(&self) -> Self {
        self.try_clone().unwrap()
    }
    fn close(&self) {
        _ = self.shutdown(Shutdown::Both);
    }
}

impl Side for UnixStream {
    fn again(&self) -> Self {
        self.try_clone().unwrap()
    }
    fn close(&self) {
        _ = self.shutdown(Shutdown::Both);
    }
}

/// A relay in front of the engine, which listens on loopback only.
fn unix_socket() -> Result<(), Failed> {
    let engine = engine();
    let address = engine.url().replace("http://", "");
    let package = Package::new("");
    let path = package.path("engine.sock");
    let listener = UnixListener::bind(&path)?;
    std::thread::spawn(move || {
        for client in listener.incoming() {
            relay(client.unwrap(), TcpStream::connect(&address).unwrap());
        }
    });
    let (url, tokenizer) = (format!("unix:{}", path.display()), fixture("tokenizer.json"));
    package.run(&quick(&url, &tokenizer), &[]).expect(0)?;
    let report = package.report("random-8-8/c2");
    assert_eq!(report["server"]["url"], url);
    assert_eq!(report["passes"][0]["completed"], 60);
    // Such a socket has no stamps of the kernel's.
    assert_eq!(report["passes"][0]["client"]["stamps"], "read");
    Ok(())
}

fn ipv6() -> Result<(), Failed> {
    // Not every machine has it.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return Ok(()) };
    let engine = engine();
    let address = engine.url().replace("http://", "");
    let (url, tokenizer) = (format!("http://{}", listener.local_addr()?), fixture("tokenizer.json"));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            relay(client.unwrap(), TcpStream::connect(&address).unwrap());
        }
    });
    let package = Package::new("");
    package.run(&quick(&url, &tokenizer), &[]).expect(0)?;
    let report = package.report("random-8-8/c2");
    assert_eq!((&report["server"]["url"], &report["passes"][0]["completed"]), (&url.as_str().into(), &60.into()));
    Ok(())
}

fn insecure() -> Result<(), Failed> {
    let tokenizer = fixture("tokenizer.json");
    let package = Package::new("insecure = true\n");
    for (url, warns) in [("https://127.0.0.1:1", true), ("http://127.0.0.1:1", false)] {
        let outcome = package.run(&quick(url, &tokenizer), &[]);
        outcome.expect(101)?;
        let warning = "warning: --insecure: anyone can impersonate https://127.0.0.1:1";
        assert_eq!(outcome.stderr.contains(warning), warns, "{}", outcome.stderr);
    }
    let outcome = package.run(&[quick("https://127.0.0.1:1", &tokenizer), vec!["--ca-file", "x.pem"]].concat(), &[]);
    outcome.expect(2)?;
    assert!(outcome.stderr.contains("line 1: insecure: it turns off certificate checks"), "{}", outcome.stderr);
    Ok(())
}
