//! On Linux, tokens carry the kernel's time of arrival, however busy the client is.

#![cfg(target_os = "linux")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use tachometer::{
    client::{Client, Headers, RequestWriter, Sampling, ServerUrl, StampSource, Target, Timeouts, Trust},
    dataset::Prompt,
    internals::{PerThread, now_ns},
};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const TOKEN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"A\"}}]}\n\n";

/// The server writes a token while the client's thread is blocked, and only then lets it go: the client's read comes after
/// that, and its stamp must not.
#[test]
fn a_busy_client_stamps_as_the_kernel_did() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = ServerUrl::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    let (received, blocked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (tell_written, written) = mpsc::channel();
    let server = std::thread::spawn({
        let (received, blocked) = (received.clone(), blocked.clone());
        move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(HEAD.as_bytes()).unwrap();
            received.store(true, Ordering::SeqCst);
            while !blocked.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            let before_ns = now_ns();
            stream.write_all(TOKEN.as_bytes()).unwrap();
            tell_written.send((before_ns, now_ns())).unwrap();
            // The rest is another piece, long after the client has read this one.
            assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
        }
    });

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let thread = PerThread::default();
    let target =
        Target::new(url, Timeouts { total: Duration::from_millis(300), ..Timeouts::default() }, &Trust::default())
            .unwrap();
    let sampling = Sampling { stream: true, ..Sampling::default() };
    let writer = RequestWriter::new(&target.url, "m", &sampling, &Headers::default());
    let mut client = Client::new(Arc::new(target), Arc::new(writer), 0, thread.clone());
    let prompt = Prompt::new("Hi", 1);
    let busy = async {
        while !received.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        blocked.store(true, Ordering::SeqCst);
        // Nothing else runs on this thread until the token has been written, and then some.
        let (before_ns, after_ns) = written.recv().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        (before_ns, after_ns, now_ns())
    };
    // The stream then stalls, and the request ends by its timeout: what it saw until then is what counts.
    let (record, (before_ns, after_ns, free_ns)) = runtime.block_on(async {
        client.open().await.unwrap();
        // The kernel takes a moment to begin stamping, where no other process has made it begin.
        tokio::time::sleep(Duration::from_millis(200)).await;
        tokio::join!(client.complete(0, &prompt, 1, "r"), busy)
    });
    drop(client);
    server.join().unwrap();
    assert_eq!(record.token_events, 1);
    let stamp_ns = record.first_token_ns.unwrap();
    assert!(stamp_ns < free_ns, "stamped {} ns after the thread was free", stamp_ns - free_ns);
    // Loopback hands the segment over within the write; two clocks are read one after another, so allow for a little.
    let slack_ns = 5_000_000;
    assert!((before_ns - slack_ns..after_ns + slack_ns).contains(&stamp_ns), "{before_ns} {stamp_ns} {after_ns}");
    let reads = thread.lateness.take();
    assert_eq!(reads.source(), StampSource::Kernel);
    // One of its two reads was as late as the thread was blocked.
    assert!(reads.quantile_s(1.0).unwrap() >= 0.049, "{:?}", reads.quantile_s(1.0));
}
