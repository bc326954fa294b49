//! When bytes arrived.
//!
//! On Linux the kernel stamps each segment as it comes in (SO_TIMESTAMPNS), also while the client is busy elsewhere; recvmsg
//! hands the stamp out with the bytes. It is of the wall clock, so what is taken from it is its *age*: the wall clock's time
//! after the read, less the stamp. The arrival is the monotonic time of the read less that age, whatever the wall clock is
//! set to. Where segments were merged into one read, the stamp is the last one's. Elsewhere, and under TLS, where records
//! and segments do not match, the arrival is the moment at which the read returned.

use std::io;
#[cfg(target_os = "linux")]
use std::net::{Ipv4Addr, UdpSocket};

#[cfg(target_os = "linux")]
use nix::sys::time::TimeSpec;
#[cfg(target_os = "linux")]
use once_cell::sync::Lazy;
use tokio::net::TcpStream;

use super::clock::now_ns;

/// Where arrival times come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StampSource {
    /// The kernel, when the segment came in.
    Kernel,
    /// The client, when its read returned.
    Read,
}

/// What one read gave.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Bytes read; 0 at the end of the stream.
    pub bytes: usize,
    /// When they arrived, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// How much later the read returned; `None` where only that moment is known.
    pub late_ns: Option<u64>,
}

impl Arrival {
    /// Of a read that has just returned, and that the kernel did not stamp.
    pub fn now(bytes: usize) -> Self {
        Self { bytes, at_ns: now_ns(), late_ns: None }
    }
}

/// Reads from a socket and takes the kernel's stamps with the bytes.
pub struct Stamps {
    /// Room for the control message. On the heap for its alignment.
    #[cfg(target_os = "linux")]
    control: Vec<u8>,
}

/// Two clocks that were read within this were read at the same moment.
#[cfg(target_os = "linux")]
const SAME_MOMENT_NS: u64 = 2_000;
/// A stamp that seems older than this, or younger than the read, is one of a clock that was set in between.
#[cfg(target_os = "linux")]
const MOST_AGE_NS: i64 = 60_000_000_000;

/// The kernel stamps only while some socket wants it, and takes a moment to begin; until then a read gets its own time for a
/// stamp. This socket wants it from the first connection to the end of the process, also between passes.
#[cfg(target_os = "linux")]
static KEEPS_STAMPING: Lazy<Option<UdpSocket>> = Lazy::new(|| {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimestampns, &true).ok()?;
    Some(socket)
});

#[cfg(target_os = "linux")]
impl Stamps {
    /// Asks the kernel for stamps; `None` where it gives none.
    pub fn of(socket: &TcpStream) -> Option<Self> {
        use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};

        setsockopt(socket, ReceiveTimestampns, &true).ok()?;
        Lazy::force(&KEEPS_STAMPING);
        Some(Self { control: nix::cmsg_space!(TimeSpec) })
    }

    /// Reads what is there, or waits for it.
    pub async fn read(&mut self, socket: &TcpStream, into: &mut [u8]) -> io::Result<Arrival> {
        use std::{io::IoSliceMut, os::fd::AsRawFd};

        use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
        use tokio::io::Interest;

        let fd = socket.as_raw_fd();
        let room = into.len();
        let mut receive = || {
            let mut slices = [IoSliceMut::new(into)];
            let got = recvmsg::<()>(fd, &mut slices, Some(self.control.as_mut_slice()), MsgFlags::empty())?;
            let stamp = got.cmsgs()?.find_map(|message| match message {
                ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
                _ => None,
            });
            io::Result::Ok((got.bytes, stamp))
        };
        let (bytes, stamp) = loop {
            socket.readable().await?;
            let mut got = None;
            let tried = socket.try_io(Interest::READABLE, || match receive()? {
                // What did not fill the buffer has emptied the socket: as tokio's own reads do, note that it is not
                // readable any more, and save the call that would only find that out.
                (bytes, stamp) if 0 < bytes && bytes < room => {
                    got = Some((bytes, stamp));
                    Err(io::ErrorKind::WouldBlock.into())
                }
                whole => Ok(whole),
            });
            match (got, tried) {
                (Some(got), _) => break got,
                (None, Ok(got)) => break got,
                (None, Err(e)) if e.kind() == io::ErrorKind::WouldBlock => {}
                (None, Err(e)) => return Err(e),
            }
        };
        let (read_ns, read_at) = both_clocks();
        let age_ns =
            stamp.map(|stamp| between_ns(stamp, read_at)).filter(|age| (-1_000_000..MOST_AGE_NS).contains(age));
        let late_ns = age_ns.map(|age| age.max(0) as u64);
        Ok(Arrival { bytes, at_ns: read_ns.saturating_sub(late_ns.unwrap_or(0)), late_ns })
    }
}

/// One moment by the monotonic clock, in nanoseconds, and by the wall clock. A thread that loses its core between the two
/// reads them again.
#[cfg(target_os = "linux")]
fn both_clocks() -> (u64, TimeSpec) {
    let mut tries = 0;
    loop {
        let before_ns = now_ns();
        // A clock that every such kernel has: the call can't fail.
        let wall = nix::time::ClockId::CLOCK_REALTIME.now().unwrap_or(TimeSpec::new(0, 0));
        let after_ns = now_ns();
        tries += 1;
        if after_ns - before_ns < SAME_MOMENT_NS || tries == 3 {
            return (after_ns, wall);
        }
    }
}

/// From one moment of the wall clock to another, in nanoseconds.
#[cfg(target_os = "linux")]
fn between_ns(from: TimeSpec, to: TimeSpec) -> i64 {
    (to.tv_sec() - from.tv_sec()) * 1_000_000_000 + (to.tv_nsec() - from.tv_nsec())
}

#[cfg(not(target_os = "linux"))]
impl Stamps {
    /// Only Linux is asked for stamps.
    pub fn of(_: &TcpStream) -> Option<Self> {
        None
    }

    /// Never called: there are no stamps.
    pub async fn read(&mut self, socket: &TcpStream, into: &mut [u8]) -> io::Result<Arrival> {
        socket.readable().await?;
        socket.try_read(into).map(Arrival::now)
    }
}
