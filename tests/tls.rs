//! Servers behind https: whose certificates are believed, and what a refusal says.
#![cfg(all(feature = "tls", feature = "harness"))]

use std::{path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tachometer::{
    client::{
        Client, FailureClass, Headers, Record, RequestWriter, Sampling, ServerInfo, ServerUrl, Target, Timeouts, Trust,
    },
    dataset::Prompt,
    engine::{Engine, EngineConfig},
    fixtures,
    internals::PerThread,
    load::{FailureLimit, Pass, Schedule, Share, Stop, StopReason, run_pass},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A certificate of 127.0.0.1 by an authority that nobody knows, whose own certificate goes into the file.
fn server_config(ca_file: &Path) -> ServerConfig {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca_file, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap()
}

/// Speaks TLS in front of the engine.
async fn relay(listener: TcpListener, config: ServerConfig, engine: String) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let (acceptor, engine) = (acceptor.clone(), engine.clone());
        tokio::spawn(async move {
            // A client that does not believe us leaves here.
            let Ok(mut client) = acceptor.accept(client).await else { return };
            let mut server = TcpStream::connect(engine).await.unwrap();
            _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

/// Asks for the models and sends two prompts, on how many connections; or what keeps that from being tried.
async fn measure(url: &str, trust: &Trust) -> Result<(Option<Vec<String>>, [Record; 2], u32), String> {
    let target = Arc::new(Target::new(ServerUrl::parse(url)?, Timeouts::default(), trust)?);
    let models = ServerInfo::ask(&target, &Headers::default()).await.ok().and_then(|info| info.models);
    let sampling = Sampling { stream: true, ..Sampling::default() };
    let writer = RequestWriter::new(&target.url, "tachometer-engine", &sampling, &Headers::default());
    let mut client = Client::new(target, Arc::new(writer), 0, PerThread::default());
    let prompt = Prompt::new("the server", 5);
    let records = [client.complete(0, &prompt, 5, "a").await, client.complete(1, &prompt, 5, "b").await];
    Ok((models, records, client.connection_stats().opened))
}

#[test]
fn only_certificates_that_are_trusted_are_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (ca_file, empty) = (folder.path().join("ca.pem"), folder.path().join("empty.pem"));
    std::fs::write(&empty, "").unwrap();
    let config = server_config(&ca_file);
    let engine = EngineConfig { decode_step_ms: 0.2, ..EngineConfig::default() };
    let engine = Engine::start(engine, Arc::new(fixtures::tokenizer().unwrap()), 0).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(relay(listener, config, engine.url().replace("http://", "")));

        for trust in [Trust::CaFile(ca_file), Trust::Anyone] {
            let (models, records, opened) = measure(&url, &trust).await.unwrap();
            assert_eq!(models.as_deref(), Some(&["tachometer-engine".to_owned()][..]), "{trust:?}");
            for record in records {
                assert_eq!((record.outcome, record.token_events), (Ok(()), 5), "{trust:?}");
            }
            // The tickets that the server sends after the handshake are no reason to open another.
            assert_eq!(opened, 1, "{trust:?}");
        }
        // A machine may trust nobody at all.
        match measure(&url, &Trust::Platform).await {
            Ok((models, [record, _], _)) => {
                assert_eq!(models, None);
                let failure = record.outcome.unwrap_err();
                assert_eq!(failure.class, FailureClass::Connect);
                assert!(failure.message.contains("certificate"), "{}", failure.message);
            }
            Err(why) => assert!(why.contains("certificate"), "{why}"),
        }
        let why = measure(&url, &Trust::CaFile(empty.clone())).await.unwrap_err();
        assert_eq!(why, format!("--ca-file {}: it holds no PEM certificate", empty.display()));
    });
}

/// A server that takes connections and never shakes hands: what stops the pass ends the wait for it.
#[test]
fn a_pass_can_be_stopped_while_it_connects() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = ServerUrl::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
    let timeouts = Timeouts { connect: std::time::Duration::from_secs(120), ..Timeouts::default() };
    let target = Target::new(url, timeouts, &Trust::Anyone).unwrap();
    let sampling = Sampling { stream: true, ..Sampling::default() };
    let stop = Stop::default();
    let prompt = Prompt::new("the server", 5);
    let pass = Pass {
        retries: 0,
        failures: FailureLimit::default(),
        stop: stop.clone(),
        writer: Arc::new(RequestWriter::new(&target.url, "m", &sampling, &Headers::default())),
        target: Arc::new(target),
        sampling: Arc::new(sampling),
        share: Share::default(),
        lasts: None,
        start: Arc::new(()),
        observer: Arc::new(()),
        prompts: vec![prompt.clone(), prompt].into(),
        schedule: Schedule::Closed { concurrency: 2 },
        threads: 2,
        request_id_prefix: "r".into(),
    };
    std::thread::spawn(move || {
        // Once a connection is there, the handshake is waited for.
        let _held = listener.accept();
        stop.stop(StopReason::Interrupted);
        std::thread::sleep(std::time::Duration::from_secs(240));
    });
    let result = run_pass(&pass).unwrap();
    assert_eq!((result.records.len(), result.stopped), (0, Some(StopReason::Interrupted)));
}
