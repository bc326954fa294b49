//! The limit: a tokio reader that does nothing but count `data:` lines.

use std::io;

use memchr::memmem;
use tachometer::internals::{now_ns, thread_cpu_ns};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinSet, LocalSet},
};

/// What it saw.
pub struct Bare {
    /// `data:` lines.
    pub events: u64,
    pub cpu_ns: u64,
}

/// Sends each request on a connection of its own, all of them at once, and reads the answers to their ends on this thread.
/// `ending` is what a body ends with.
pub fn read_all(address: &str, requests: Vec<Vec<u8>>, ending: &'static [u8]) -> io::Result<Bare> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(async {
        let mut connections = Vec::with_capacity(requests.len());
        for _ in &requests {
            let connection = TcpStream::connect(address).await?;
            connection.set_nodelay(true)?;
            connections.push(connection);
        }
        let before_ns = thread_cpu_ns().unwrap_or_default();
        let mut running = JoinSet::new();
        for (connection, request) in connections.into_iter().zip(requests) {
            running.spawn_local(read(connection, request, ending));
        }
        let mut events = 0;
        while let Some(read) = running.join_next().await {
            events += read.map_err(io::Error::other)??;
        }
        Ok(Bare { events, cpu_ns: thread_cpu_ns().unwrap_or_default() - before_ns })
    }))
}

async fn read(mut connection: TcpStream, request: Vec<u8>, ending: &[u8]) -> io::Result<u64> {
    connection.write_all(&request).await?;
    let data = memmem::Finder::new(b"data:");
    let mut buffer = vec![0; 64 << 10];
    let mut events = 0;
    // Each piece of the engine's is whole, and so a line is never cut.
    loop {
        let n = connection.read(&mut buffer).await?;
        // The stamp that any reader takes.
        std::hint::black_box(now_ns());
        events += data.find_iter(&buffer[..n]).count() as u64;
        if n == 0 || buffer[..n].ends_with(ending) {
            return Ok(events);
        }
    }
}
