//! What the machine and the server's processes do during a pass, as Linux tells it in /proc and /sys; elsewhere nothing.

use std::{fs, hint::black_box, path::PathBuf, time::Instant};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike,
    },
    unistd::Pid,
};

use crate::metrics::{HostUse, ServerUse};

/// From the start of a pass to its end.
pub struct HostWatch {
    server: Option<Pid>,
    probe_s: f64,
    began: Instant,
    at_start: Counters,
    of_server: Processes,
}

/// What only grows.
struct Counters {
    /// Of all cores, in ticks: busy, stolen, and all of it.
    cpu: Option<[u64; 3]>,
    /// In microseconds.
    waiting_us: Option<u64>,
    throttled: Option<u64>,
    own_cpu_s: f64,
}

/// The processes of a group.
#[derive(Default)]
struct Processes {
    cpu_s: f64,
    peak_memory_bytes: Option<u64>,
    waits: Option<u64>,
    preemptions: Option<u64>,
}

impl HostWatch {
    /// Begins; with the group of the server's processes, where the run starts it. Tries the machine's speed first, which takes some
    /// 20 ms of one core.
    pub fn start(server: Option<Pid>) -> Self {
        let probe_s = probe();
        let of_server = server.map(Processes::of).unwrap_or_default();
        Self { server, probe_s, began: Instant::now(), at_start: Counters::now(), of_server }
    }

    /// What there was since.
    pub fn stop(self) -> (HostUse, Option<ServerUse>) {
        let took_s = self.began.elapsed().as_secs_f64();
        let now = Counters::now();
        let of_server = self.server.map(Processes::of);
        let since = |now: u64, then: u64| now.saturating_sub(then) as f64;
        let server_cpu_s = of_server.as_ref().map(|now| (now.cpu_s - self.of_server.cpu_s).max(0.0));
        let cpu = now.cpu.zip(self.at_start.cpu).map(|(now, then)| [0, 1, 2].map(|i| since(now[i], then[i])));
        let cpu = cpu.filter(|[.., all]| *all > 0.0);
        let own_s = now.own_cpu_s - self.at_start.own_cpu_s + server_cpu_s.unwrap_or(0.0);
        let host = HostUse {
            probe_s: self.probe_s,
            stolen_share: cpu.map(|[_, stolen, all]| stolen / all),
            // Ticks of 10 ms say nothing of a moment.
            others_cores: cpu
                .filter(|_| took_s > 0.1)
                .map(|[busy, _, all]| (busy / all * cores() as f64 - own_s / took_s).max(0.0)),
            waiting_share: now
                .waiting_us
                .zip(self.at_start.waiting_us)
                .map(|(now, then)| (since(now, then) * 1e-6 / took_s.max(1e-6)).min(1.0)),
            clock_mhz: clock_mhz(),
            throttled: now.throttled.zip(self.at_start.throttled).map(|(now, then)| now.saturating_sub(then)),
        };
        let server = of_server.zip(server_cpu_s).map(|(now, cpu_s)| {
            let since = |of: fn(&Processes) -> Option<u64>| Some(of(&now)?.saturating_sub(of(&self.of_server)?));
            ServerUse {
                cpu_s,
                peak_memory_bytes: now.peak_memory_bytes,
                waits: since(|processes| processes.waits),
                preemptions: since(|processes| processes.preemptions),
            }
        });
        (host, server.filter(|server| server.cpu_s > 0.0))
    }
}

/// Pieces of work of one probe.
const PIECES: u32 = 20;
/// Steps of a piece: about 1 ms. Debug builds, whose speed nobody compares, make fewer.
const STEPS: u32 = if cfg!(debug_assertions) { 20_000 } else { 400_000 };

/// Seconds of a piece of fixed work, on average: steps that wait for one another, over a table larger than a core's first cache.
fn probe() -> f64 {
    let table: Vec<u64> = (0..1 << 15).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let began = Instant::now();
    let mut state = 1_u64;
    for _ in 0..PIECES * STEPS {
        state = state.rotate_left(5).wrapping_mul(0x2545_f491_4f6c_dd1d) ^ table[(state >> 49) as usize];
    }
    black_box(state);
    began.elapsed().as_secs_f64() / f64::from(PIECES)
}

impl Counters {
    fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let own = getrusage(UsageWho::RUSAGE_SELF)
            .map_or(0, |usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
        Self {
            cpu: cpu_ticks(&stat),
            waiting_us: fs::read_to_string("/proc/pressure/cpu").ok().as_deref().and_then(waiting_us),
            throttled: throttled(),
            own_cpu_s: own as f64 * 1e-6,
        }
    }
}

/// Busy, stolen and all ticks, of the line of all cores.
fn cpu_ticks(stat: &str) -> Option<[u64; 3]> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let ticks: Vec<u64> = line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let [user, nice, system, idle, waiting, irq, softirq, stolen] = ticks.try_into().ok()?;
    let busy = user + nice + system + irq + softirq;
    Some([busy, stolen, busy + idle + waiting + stolen])
}

fn cores() -> usize {
    fs::read_to_string("/proc/stat")
        .map_or(1, |stat| stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count())
}

fn waiting_us(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find(|line| line.starts_with("some "))?;
    some.split_once("total=")?.1.trim().parse().ok()
}

/// Of all cores, where they count it.
fn throttled() -> Option<u64> {
    let count = |path: PathBuf| {
        fs::read_to_string(path.join("thermal_throttle/core_throttle_count")).ok()?.trim().parse::<u64>().ok()
    };
    let cores = fs::read_dir("/sys/devices/system/cpu").ok()?.flatten().filter_map(|entry| count(entry.path()));
    cores.reduce(|a, b| a + b)
}

fn clock_mhz() -> Option<f64> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let of = |line: &str| line.strip_prefix("cpu MHz")?.split_once(':')?.1.trim().parse::<f64>().ok();
    let clocks: Vec<f64> = text.lines().filter_map(of).collect();
    (!clocks.is_empty()).then(|| clocks.iter().sum::<f64>() / clocks.len() as f64)
}

impl Processes {
    /// All of a group.
    fn of(group: Pid) -> Self {
        let mut all = Self::default();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
            let Some(children_s) = children_cpu_s(pid, group) else { continue };
            let Some(own_s) = own_cpu_s(Pid::from_raw(pid)) else { continue };
            all.cpu_s += own_s + children_s;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            add(&mut all.peak_memory_bytes, number(&status, "VmHWM:").map(|kib| kib * 1024));
            for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
                add(&mut all.waits, number(&status, "voluntary_ctxt_switches:"));
                add(&mut all.preemptions, number(&status, "nonvoluntary_ctxt_switches:"));
            }
        }
        all
    }
}

fn add(sum: &mut Option<u64>, more: Option<u64>) {
    *sum = more.map(|more| sum.unwrap_or(0) + more).or(*sum);
}

fn number(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU time of the children of a process of the group that have ended; `None` for one of another group.
fn children_cpu_s(pid: i32, group: Pid) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may hold anything, parentheses too. After it: state, parent, group, … as in proc(5), from field 3 on.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
    (field(5)? == i64::from(group.as_raw())).then_some(())?;
    Some((field(16)? + field(17)?) as f64 / TICKS_A_SECOND)
}

/// CPU time of a process, to the nanosecond, with threads that have ended.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn own_cpu_s(pid: Pid) -> Option<f64> {
    let clock = nix::time::ClockId::pid_cpu_clock_id(pid).and_then(|clock| clock.now());
    Some(clock.ok()?.num_nanoseconds() as f64 * 1e-9)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn own_cpu_s(_: Pid) -> Option<f64> {
    None
}

/// Linux tells times to user space in these, whatever its own ticks are.
const TICKS_A_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_tells() {
        let stat = "cpu  10 1 5 70 4 0 0 10 3 0\ncpu0 5 0 2 35 2 0 0 5 1 0\n";
        assert_eq!(cpu_ticks(stat), Some([16, 10, 100]));
        assert_eq!((cpu_ticks(""), cpu_ticks("cpu  1 2 x\n")), (None, None));
        let pressure = "some avg10=0.39 avg60=6.31 avg300=30.16 total=3459669945\nfull avg10=0.00 total=7\n";
        assert_eq!((waiting_us(pressure), waiting_us("")), (Some(3_459_669_945), None));
        assert_eq!((number("VmHWM:\\t  12 kB\n", "VmHWM:"), number("", "VmHWM:")), (None, None));
        assert_eq!(number("VmHWM:\t  12 kB\n", "VmHWM:"), Some(12));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_works_is_seen() {
        use std::os::unix::process::CommandExt;
        let mut child =
            std::process::Command::new("sh").args(["-c", "while :; do :; done"]).process_group(0).spawn().unwrap();
        let group = Pid::from_raw(child.id() as i32);
        let watch = HostWatch::start(Some(group));
        let used_s = || Processes::of(group).cpu_s - watch.of_server.cpu_s;
        // However busy the machine is; a minute of nothing is a failure.
        let mut looks = 0;
        while used_s() < 0.05 && looks < 6000 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            looks += 1;
        }
        let (host, server) = watch.stop();
        child.kill().unwrap();
        child.wait().unwrap();
        let server = server.unwrap();
        assert!(server.cpu_s >= 0.05 && server.peak_memory_bytes.unwrap() > 100_000, "{server:?}");
        assert!(server.waits.is_some() && server.preemptions.is_some(), "{server:?}");
        assert!(host.probe_s > 0.0 && host.stolen_share.is_some_and(|share| (0.0..=1.0).contains(&share)), "{host:?}");
    }
}
