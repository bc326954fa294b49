//! A server that is a function of the program itself, on a thread of its own.

use std::{fmt, io, net::TcpListener, pin::Pin, sync::Arc, thread::JoinHandle};

use tokio::sync::oneshot;

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An async function that serves on a listener, until it is dropped.
#[derive(Clone)]
pub struct Serve(Arc<dyn Fn(TcpListener) -> Serving + Send + Sync>);

impl Serve {
    /// Of such a function.
    pub fn new<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpListener) -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |listener| Box::pin(serve(listener))))
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Serve")
    }
}

/// Whether it is the same one.
impl PartialEq for Serve {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The function at work. Dropped, it is told to end; where it never yields, it ends with the process.
pub struct InProcess {
    port: u16,
    _end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl InProcess {
    /// Calls it with a listener on a free port of loopback, which takes connections from now on.
    ///
    /// # Errors
    /// Where there is no port, or no thread.
    pub fn start(serve: &Serve) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let serve = serve.clone();
        let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = (serve.0)(listener) => {}
                    _ = ended => {}
                }
            });
            // Connections that it has handed to tasks of their own wait for nobody.
            runtime.shutdown_background();
        })?;
        Ok(Self { port, _end: end, thread })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether it has returned, or panicked.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}
