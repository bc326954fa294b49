//! When bytes arrived.
//!
//! On Linux the kernel stamps each segment as it comes in (SO_TIMESTAMPNS), also while the client is busy elsewhere; recvmsg
//! hands the stamp out with the bytes. It is of the wall clock, so what is taken from it is its *age*: the wall clock's time
//! after the read, less the stamp. The arrival is the monotonic time of the read less that age, whatever the wall clock is
//! set to; where it was set while the bytes waited, the arrival lies at least not before the read before. Where segments were merged into one read, the stamp is the last one's. Elsewhere, and under TLS, where records
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
pub struct Stamped {
    /// Bytes read; 0 at the end of the stream.
    pub bytes: usize,
    /// When they arrived, in nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// How much later the read returned; `None` where only that moment is known.
    pub late_ns: Option<u64>,
}

impl Stamped {
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

    /// Reads what is there, or waits for it. Nothing of it can have arrived before `not_before_ns`.
    pub async fn read(&mut self, socket: &TcpStream, into: &mut [u8], not_before_ns: u64) -> io::Result<Stamped> {
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
        let age_ns = stamp.map(|stamp| between_ns(stamp, read_at));
        Ok(arrival(bytes, read_ns, age_ns, not_before_ns))
    }
}

/// Of bytes that were read at that time, and whose stamp seems so old.
#[cfg(target_os = "linux")]
fn arrival(bytes: usize, read_ns: u64, age_ns: Option<i64>, not_before_ns: u64) -> Stamped {
    let age_ns = age_ns.filter(|age| (-1_000_000..MOST_AGE_NS).contains(age));
    let Some(age_ns) = age_ns else { return Stamped { bytes, at_ns: read_ns, late_ns: None } };
    let at_ns = read_ns.saturating_sub(age_ns.max(0) as u64).clamp(not_before_ns.min(read_ns), read_ns);
    Stamped { bytes, at_ns, late_ns: Some(read_ns - at_ns) }
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
    pub async fn read(&mut self, socket: &TcpStream, into: &mut [u8], _: u64) -> io::Result<Stamped> {
        socket.readable().await?;
        socket.try_read(into).map(Stamped::now)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_while_bytes_wait_moves_no_arrival_before_the_read_before() {
        let second = 1_000_000_000;
        // Read at 10 s, and not before 9 s: the age of the stamp, the arrival, and how late the read was.
        let table = [
            (Some(0), 10 * second, Some(0)),
            (Some(second as i64 / 2), 9 * second + second / 2, Some(second / 2)),
            (Some(second as i64), 9 * second, Some(second)),
            // Set forward by some seconds, and by a minute: no stamp of this clock.
            (Some(5 * second as i64), 9 * second, Some(second)),
            (Some(60 * second as i64), 10 * second, None),
            // Set back, by less than the two clocks' reads may differ, and by more.
            (Some(-999_999), 10 * second, Some(0)),
            (Some(-2_000_000), 10 * second, None),
            (None, 10 * second, None),
        ];
        for (age_ns, at_ns, late_ns) in table {
            let arrival = arrival(3, 10 * second, age_ns, 9 * second);
            assert_eq!((arrival.bytes, arrival.at_ns, arrival.late_ns), (3, at_ns, late_ns), "{age_ns:?}");
        }
        assert_eq!(arrival(3, 10, Some(5), 11).at_ns, 10, "a bound that lies ahead is none");
    }
}
