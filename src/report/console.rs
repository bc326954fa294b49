//! The console's block, in criterion's language: a name, then `[lower estimate upper]`, within 80 columns.

use std::io::{self, Write, stdout};

use super::{
    block::{INDENT, Style, WIDTH, wrapped, write_block},
    boundary::boundary_lines,
    conversations::{cached_words, conversation_lines},
    numbers::{Time, count, estimated, grouped, is_meaningless, share, significant},
    objectives::objective_lines,
    output::Output,
    shards::shard_lines,
    sink::*,
    sparkline::sparkline_of,
    summary::print_summary,
    sweep::print_sweeps,
    verdicts::{change_lines, print_verdicts},
};
use crate::{
    client::TokenSource,
    load::StopReason,
    metrics::{
        Distribution, Gauge, GpuMetrics, HostUse, Metric, PassMetrics, Point, Quantity, ServerMetrics, ServerUse,
        Steady,
    },
    run::{Cache, Partial, Report},
    stats::{Replication, over_passes},
};

struct Console(Output);

/// A block as each benchmark ends, and the verdicts of all when they are done.
pub(super) fn sink(outputs: &Outputs) -> Box<dyn Sink> {
    Box::new(Console(outputs.output))
}

impl Sink for Console {
    fn benchmark(&mut self, measured: &Measured) -> Result<(), SinkError> {
        Ok(print_block(&mut stdout().lock(), measured.report, self.0.style)?)
    }

    fn beside(&mut self, report: &Report) -> Result<(), SinkError> {
        Ok(print_block(&mut stdout().lock(), report, self.0.style)?)
    }

    fn partial(&mut self, report: &Report) -> Result<(), SinkError> {
        Ok(print_block(&mut stdout().lock(), report, self.0.style)?)
    }

    fn end(&mut self, reports: &[Report]) -> Result<(), SinkError> {
        let mut out = stdout().lock();
        print_sweeps(&mut out, reports, self.0.style)?;
        print_verdicts(&mut out, reports, self.0.style)?;
        Ok(print_summary(&mut out, reports, self.0.style)?)
    }
}

/// Prints one benchmark.
///
/// # Errors
/// Where `out` fails.
pub fn print_block(out: &mut impl Write, report: &Report, style: Style) -> io::Result<()> {
    let mut lines: Vec<String> = Vec::new();
    if let Some(boundary) = &report.boundary {
        lines.extend(boundary_lines(boundary, style).iter().flat_map(|line| wrapped(line, WIDTH - INDENT)));
        if report.boundary.as_ref().is_some_and(|boundary| boundary.highest_met.is_some()) {
            lines.push(format!("at {}:", report.load));
        }
    }
    for quantity in Quantity::all() {
        // The same as ttft, where the model does not reason.
        if quantity.name == "ttfo" && same(report, quantity, "ttft") {
            continue;
        }
        if quantity.is_rare() && quantity.metrics().all(|metric| !report.estimates.contains_key(&metric)) {
            continue;
        }
        let row = format!("{:<8}{}", quantity.label, value(report, quantity));
        lines.extend(wrapped(&row, WIDTH - INDENT));
        if let Some(line) = sparkline_of(report, quantity).filter(|_| style.draws) {
            lines.push(format!("{:<8}{line}", ""));
        }
        let belongs = |metric: Metric| metric.quantity().name == quantity.name;
        let changes = report.comparison.iter().flat_map(|comparison| change_lines(comparison, &belongs));
        lines.extend(changes.map(|line| format!("{:<8}{line}", "")));
    }
    let objectives = report.objectives.iter().flat_map(|judged| objective_lines(judged, report.passes.len(), style));
    lines.extend(objectives.flat_map(|line| wrapped(&line, WIDTH - INDENT)));
    lines.extend(conversation_lines(report));
    lines.extend(remarks(report, style.verbose).into_iter().flat_map(|remark| wrapped(&remark, WIDTH - INDENT)));
    if style.verbose {
        let passes = report.passes.iter().enumerate().map(|(i, pass)| pass_line(i, pass));
        lines.extend(passes.flat_map(|line| wrapped(&line, WIDTH - INDENT)));
    }

    // Of two servers that were measured in turn, each is named.
    let title = match &report.server.name {
        Some(name) => format!("{} on {name}", report.id),
        None => report.id.clone(),
    };
    write_block(out, &title, &lines, style)
}

/// What the numbers rest on, and what must be known to read them; what is as it should be only for a verbose style.
pub(super) fn remarks(report: &Report, verbose: bool) -> Vec<String> {
    let passes = &report.passes;
    let sum = |of: fn(&PassMetrics) -> u64| passes.iter().map(of).sum::<u64>();
    let (completed, failed) = (sum(|p| p.completed as u64), sum(|p| p.failed as u64));
    let prompts = grouped(report.workload.num_prompts as u64);
    let of = match report.workload.duration_s {
        Some(time_s) => format!("{time_s} s"),
        None => format!("{prompts} prompts"),
    };
    let of_them = format!("{} of {of}", count(passes.len(), "pass", "passes"));
    let mut remarks = vec![format!("{of_them}: {} completed, {} failed", grouped(completed), grouped(failed))];
    let rounds = (completed + failed) as f64 / (passes.len() * report.workload.num_prompts).max(1) as f64;
    if report.workload.duration_s.is_some() && rounds > 1.0 {
        remarks.push(format!("a pass sent its {prompts} prompts {rounds:.1} times, each time in a new order"));
    }
    if let Some(Partial { why, passes_wanted, last_pass_cut }) = report.partial {
        let why = match why {
            StopReason::Failures => "too many requests failed",
            StopReason::Interrupted => "it was interrupted",
            StopReason::Error => "it ended with an error",
        };
        let cut = if last_pass_cut { "the last pass is cut short, and " } else { "" };
        let wanted = count(passes_wanted, "pass", "passes");
        remarks.insert(0, format!("PARTIAL, of {wanted}: {why}; {cut}this is no baseline"));
    }
    if report.estimates.iter().any(|(metric, estimate)| metric.point().is_none() && is_meaningless(estimate)) {
        let number = count(passes.len(), "pass", "passes");
        remarks.push(format!("{number}: too few for some intervals; raise --sample-size"));
    }
    if report.server.embedded {
        let what = "the embedded engine, a simulation, not a real server";
        remarks.push(what.to_owned());
    }
    let (output, asked) = (sum(|p| p.output_tokens), sum(|p| p.requested_tokens));
    let mut sources: Vec<TokenSource> = passes.iter().filter_map(|p| p.token_source).collect();
    sources.dedup();
    let source = match (sources.len() > 1).then_some(TokenSource::Mixed).or(sources.first().copied()) {
        Some(TokenSource::Usage) => "server's count",
        Some(TokenSource::Client) => "client's count",
        Some(TokenSource::Mixed) => "server's and client's counts mixed",
        None => "no count",
    };
    let generates = report.workload.api.generates();
    let inputs = count(report.workload.batch.unwrap_or(1), "input", "inputs");
    remarks.push(match output == asked {
        _ if !generates => {
            format!("{} input tokens, {inputs} a request; no tokens come", grouped(sum(|p| p.prompt_tokens)))
        }
        true => format!("{} output tokens, as asked for ({source})", grouped(output)),
        false => format!("{} output tokens of {} asked for ({source})", grouped(output), grouped(asked)),
    });
    let cached: u64 = passes.iter().filter_map(|p| p.cached_tokens).sum();
    if cached > 0 {
        let share = 100.0 * cached as f64 / sum(|p| p.prompt_tokens) as f64;
        let ideal = cached_words(passes).unwrap_or_default();
        remarks.push(format!("{share:.0} % of prompt tokens came from the server's cache{ideal}"));
    }
    remarks.extend(report.cache.iter().flat_map(|cache| cache_remarks(cache, completed + failed)));
    remarks
        .extend(report.failures().into_iter().map(|(class, (n, example))| format!("failed: {n} {class}: {example}")));
    let retried = sum(|p| p.retried as u64);
    if retried > 0 {
        remarks
            .push(format!("{retried} requests were retried (--retries); their latencies count from the first attempt"));
    }
    let contradicted = sum(|p| p.contradicted as u64);
    if contradicted > 0 {
        remarks.push(format!(
            "the server's count of output tokens can't be trusted: in {contradicted} answers it is lower than the number of token events"
        ));
    }
    let filtered = sum(|p| p.content_filtered as u64);
    if filtered > 0 {
        remarks.push(format!("{filtered} answers ended by the server's content filter, and counted as completed"));
    }
    if passes.len() == 1 {
        let interval = report.estimates.values().any(|e| e.replication == Replication::Batch && e.lower.is_some());
        remarks.push(match interval {
            true => "one pass: intervals by batch means, within this run alone".to_owned(),
            false => "one pass has no interval: --sample-size 5 gives one".to_owned(),
        });
    }
    if !report.workload.stream && generates {
        remarks.push("token latencies need streaming: --stream true".to_owned());
    }
    let fewest = passes.iter().filter_map(|p| p.e2e_s).map(|l| l.count).min().unwrap_or(0);
    if (1..100).contains(&fewest) {
        remarks.push(format!("p99 rests on {fewest} requests per pass, so it is near the maximum"));
    }
    remarks.extend(open_loop(report));
    remarks.extend(from_the_send(passes));
    remarks.extend(client(passes, verbose));
    remarks.extend(steady(report));
    let coalesced = passes.iter().map(|p| p.coalesced_share).fold(0.0, f64::max);
    if coalesced >= 0.01 {
        remarks.push(format!("{:.1} % of token events shared a read with another", coalesced * 100.0));
    }
    let real = passes.iter().filter_map(|p| p.itl_real_share).fold(1.0, f64::min);
    if real < 0.99 {
        remarks.push(format!("itl rests on {:.0} % of the gaps: the others lie within one read", real * 100.0));
    }
    let reopened = sum(|p| u64::from(p.connections.reopened));
    if reopened > 0 {
        remarks.push(format!("{reopened} connections had to be opened in mid-pass"));
    }
    let resent = sum(|p| u64::from(p.connections.resent));
    if resent > 0 {
        remarks.push(format!("{resent} requests resent: the server had closed their idle connection"));
    }
    let left_open = sum(|p| p.connections.left_open as u64);
    if left_open > 0 {
        let waited_s: f64 = passes.iter().map(|p| p.connections.end_wait_s).sum();
        remarks.push(format!(
            "after {left_open} answers the server left the body open: the client waited {} in total, not counted in any latency, and \
             continued on other connections",
            Time(waited_s)
        ));
    }
    remarks
}

/// What the server may have had in its cache.
fn cache_remarks(cache: &Cache, sent: u64) -> Vec<String> {
    let mut remarks = Vec::new();
    if let (Some(before), Some(true)) = (&cache.sent_before, cache.caches) {
        let factor = cache.probe_factor.map_or_else(String::new, |factor| format!(" ({factor:.1} times faster)"));
        remarks.push(format!(
            "CACHED: the server answers prompts it has seen faster{factor}, and these were sent to it before: {before}; \
             use --cache-bust or --fresh-prompts to keep them out of its cache"
        ));
    } else if let (Some(before), None) = (&cache.sent_before, cache.caches) {
        remarks.push(format!("these prompts were sent to the server before ({before}), and it may have cached them"));
    }
    if cache.repeated > 0 && cache.caches != Some(false) {
        let repeated = grouped(cache.repeated as u64);
        remarks.push(format!("{repeated} of {} prompts were sent more than once in this run", grouped(sent)));
    }
    remarks
}

/// What became of an open loop's schedule.
fn open_loop(report: &Report) -> Option<String> {
    let load = report.load.shape();
    let asked = match load.request_rate() {
        Some(rate) => format!("{rate} requests/s"),
        None if load.is_recorded() => "at the recorded times".to_owned(),
        None => return None,
    };
    let passes = &report.passes;
    let late_s = passes.iter().filter_map(|p| p.send_lag_s).map(|lag| lag.p99).fold(0.0, f64::max);
    let rates: Vec<f64> = passes.iter().filter_map(|p| p.achieved_rate).collect();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let sent = match rates.is_empty() {
        true => String::new(),
        false if load.is_recorded() => format!("{} requests/s ", significant(mean)),
        false => format!("{} of ", significant(mean)),
    };
    let limit = load.max_in_flight().map_or_else(String::new, |most| format!(", held back above {most} in flight"));
    Some(format!("sent {sent}{asked}; sends up to {} late at p99{limit}", Time(late_s)))
}

/// The latencies of an open loop from the moment at which requests really went out.
fn from_the_send(passes: &[PassMetrics]) -> Option<String> {
    let points = |name: &str, of: fn(&PassMetrics) -> Option<Distribution>| {
        let mean = |point: fn(Distribution) -> f64| over_passes(passes, |pass| of(pass).map(point)).map(Time);
        Some(format!("{name} p50 {}, p99 {}", mean(|l| l.p50)?, mean(|l| l.p99)?))
    };
    let latencies = [points("ttft", |pass| pass.ttft_sent_s), points("e2e", |pass| pass.e2e_sent_s)];
    let latencies: Vec<String> = latencies.into_iter().flatten().collect();
    (!latencies.is_empty())
        .then(|| format!("latencies count from the intended send; from the actual send: {}", latencies.join("; ")))
}

/// How well the client kept up.
fn client(passes: &[PassMetrics], verbose: bool) -> Vec<String> {
    let reads = passes.iter().filter_map(|p| p.client.read_late_s).map(|late| late.p99).fold(None, most);
    let timers = passes.iter().filter_map(|p| p.client.timer_late_s).map(|late| late.p99).fold(None, most);
    let mut remarks = shard_lines(passes);
    match (reads, timers) {
        // As it should be.
        (Some(_), _) if !verbose => {}
        (Some(late_s), _) => {
            remarks.push(format!("arrivals stamped by the kernel; reads up to {} later at p99", Time(late_s)));
        }
        (None, Some(late_s)) => {
            remarks.push(format!("arrivals stamped by the client; its timers up to {} late at p99", Time(late_s)));
        }
        (None, None) => {}
    }
    remarks.extend(server_use(passes));
    remarks.extend(server_metrics(passes));
    remarks.extend(gpus(passes));
    remarks.extend(host(passes));
    let shares: Vec<f64> = passes.iter().filter_map(|p| p.client.share).collect();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    if !shares.is_empty() && (verbose || mean > SMALL_SHARE) {
        let mean = share(mean);
        remarks.push(match passes.iter().any(|p| p.send_lag_s.is_some()) {
            true => format!("the client's share {mean}: the lateness of sends in the latencies"),
            false => format!("the client's share {mean}: the time from an answer to the next send"),
        });
    }
    let busy: Vec<f64> = passes.iter().filter_map(PassMetrics::client_cpu_share).collect();
    let busiest = busy.into_iter().fold(None, most).filter(|share| *share > BUSY);
    if let Some(busiest) = busiest {
        remarks.push(format!(
            "the client's threads were busy {:.0} % of the time and may be the bottleneck: \
             raise --client-threads, or run the client on a machine of its own",
            busiest * 100.0
        ));
    }
    remarks
}

/// What the server's processes used, where the run starts it.
fn server_use(passes: &[PassMetrics]) -> Option<String> {
    let all: Vec<(f64, &ServerUse)> = passes.iter().filter_map(|p| Some((p.duration_s, p.server.as_ref()?))).collect();
    let (time_s, cpu_s) = all.iter().fold((0.0, 0.0), |sum, (time_s, server)| (sum.0 + time_s, sum.1 + server.cpu_s));
    let memory = all.iter().filter_map(|(_, server)| server.peak_memory_bytes).max();
    let memory =
        memory.map_or_else(String::new, |bytes| format!(", and {} MB of memory at most", grouped(bytes / 1_000_000)));
    (time_s > 0.0).then(|| format!("the server used {:.2} cores{memory}", cpu_s / time_s))
}

/// What the server counted itself, where it has a page of metrics.
fn server_metrics(passes: &[PassMetrics]) -> Vec<String> {
    let all: Vec<&ServerMetrics> = passes.iter().filter_map(|pass| pass.server_metrics.as_ref()).collect();
    let Some(first) = all.first() else { return Vec::new() };
    let sum = |of: fn(&ServerMetrics) -> Option<u64>| all.iter().filter_map(|metrics| of(metrics)).sum::<u64>();
    let means = |of: &dyn Fn(&ServerMetrics) -> Option<f64>| {
        let means: Vec<f64> = all.iter().filter_map(|metrics| of(metrics)).collect();
        (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
    };
    let mut told = Vec::new();
    told.extend(means(&|m| m.running.map(|running| running.mean)).map(|mean| format!("{mean:.1} requests running")));
    told.extend(means(&|m| m.waiting.map(|waiting| waiting.mean)).map(|mean| format!("{mean:.1} waiting")));
    let kv_use = all.iter().filter_map(|metrics| metrics.kv_use).map(|kv_use| kv_use.max).fold(None, most);
    told.extend(kv_use.map(|share| format!("its KV cache {:.0} % full at most", 100.0 * share)));
    told.extend(means(&|m| m.ttft_mean_s).map(|mean| format!("a TTFT of {} on average", Time(mean))));
    let mut remarks = Vec::new();
    if !told.is_empty() {
        remarks.push(format!("by its own metrics ({}) the server had {}", first.server, told.join(", ")));
    }
    let preemptions = sum(|metrics| metrics.preemptions);
    if preemptions > 0 {
        remarks.push(format!(
            "{} by the server, for want of KV cache",
            count(preemptions as usize, "preemption", "preemptions")
        ));
    }
    let others = sum(|metrics| metrics.tokens_of_others);
    if others > 0 {
        remarks.push(format!(
            "SOMEBODY ELSE used the server: it generated {} more tokens than this run asked for; nothing is compared",
            grouped(others)
        ));
    }
    if all.iter().any(|metrics| metrics.restarted) {
        remarks.push("the server was RESTARTED in the middle of a pass: its counters dropped".to_owned());
    }
    let ours: u64 = passes.iter().filter(|pass| pass.server_metrics.is_some()).map(|pass| pass.output_tokens).sum();
    let theirs = sum(|metrics| metrics.generated_tokens);
    let is_whole = passes.iter().all(|pass| pass.failed == 0) && others == 0 && theirs > 0;
    if is_whole && theirs.abs_diff(ours) > ours / 100 {
        remarks.push(format!(
            "the server counted {} generated tokens, and its answers {}",
            grouped(theirs),
            grouped(ours)
        ));
    }
    remarks
}

/// What the GPUs did, where they have a page.
fn gpus(passes: &[PassMetrics]) -> Option<String> {
    let all: Vec<&GpuMetrics> = passes.iter().filter_map(|pass| pass.gpu.as_ref()).collect();
    let gpus = all.iter().map(|gpu| gpu.gpus).max()?;
    let gauge = |of: fn(&GpuMetrics) -> Option<Gauge>| {
        let gauges: Vec<Gauge> = all.iter().filter_map(|gpu| of(gpu)).collect();
        let mean = gauges.iter().map(|gauge| gauge.mean).sum::<f64>() / gauges.len() as f64;
        gauges.iter().map(|gauge| gauge.max).reduce(f64::max).map(|max| (mean, max))
    };
    let mut told = Vec::new();
    told.extend(gauge(|gpu| gpu.power_w).map(|(mean, max)| format!("{mean:.0} W, {max:.0} W at most")));
    told.extend(gauge(|gpu| gpu.utilization).map(|(mean, _)| format!("{:.0} % in use", mean * 100.0)));
    told.extend(
        gauge(|gpu| gpu.memory_bytes).map(|(_, max)| format!("{:.1} GiB of memory at most", max / f64::from(1 << 30))),
    );
    (!told.is_empty()).then(|| format!("{}: {}", count(gpus, "GPU", "GPUs"), told.join("; ")))
}

/// What the machine did, where it may explain the numbers.
fn host(passes: &[PassMetrics]) -> Option<String> {
    let hosts: Vec<&HostUse> = passes.iter().filter_map(|p| p.host.as_ref()).collect();
    let ends = |of: fn(&HostUse) -> Option<f64>| {
        let all = || hosts.iter().filter_map(|host| of(host));
        Some((all().reduce(f64::min)?, all().reduce(f64::max)?))
    };
    let mean = |of: fn(&HostUse) -> Option<f64>| {
        let all: Vec<f64> = hosts.iter().filter_map(|host| of(host)).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    };
    let mut told = Vec::new();
    if let Some((least, most)) = ends(|host| Some(host.probe_s)).filter(|(least, most)| *most > PROBES_DIFFER * least) {
        told.push(format!(
            "a fixed piece of work took {} before one pass and {} before another",
            Time(least),
            Time(most)
        ));
    }
    if let Some((least, most)) = ends(|host| host.clock_mhz).filter(|(least, most)| *most > CLOCKS_DIFFER * least) {
        told.push(format!("its clock ran at {least:.0} to {most:.0} MHz"));
    }
    if hosts.iter().any(|host| host.throttled.is_some_and(|times| times > 0)) {
        told.push("cores were throttled because of heat".to_owned());
    }
    if let Some(stolen) = mean(|host| host.stolen_share).filter(|share| *share > STOLEN) {
        told.push(format!("{:.0} % of its time was stolen", stolen * 100.0));
    }
    if let Some(cores) = mean(|host| host.others_cores).filter(|cores| *cores > OTHERS) {
        told.push(format!("other processes used {cores:.1} cores"));
    }
    (!told.is_empty())
        .then(|| format!("the machine was shared with other work, or its speed varied: {}", told.join("; ")))
}

/// What of the machine is worth a word: probes, and clocks, that differ by these factors, a share of its time, cores.
const PROBES_DIFFER: f64 = 1.1;
const CLOCKS_DIFFER: f64 = 1.05;
const STOLEN: f64 = 0.01;
const OTHERS: f64 = 0.15;

/// Of a client that is worth no word.
const SMALL_SHARE: f64 = 0.02;

/// Threads that are busier than this may be what limits the pass.
const BUSY: f64 = 0.9;

fn most(a: Option<f64>, b: f64) -> Option<f64> {
    Some(a.map_or(b, |a| a.max(b)))
}

/// The steady state beside the whole pass.
fn steady(report: &Report) -> Option<String> {
    let windows: Vec<&Steady> = report.passes.iter().filter_map(|p| p.steady.as_ref()).collect();
    let mean = |of: fn(&Steady) -> f64| windows.iter().map(|window| of(window)).sum::<f64>() / windows.len() as f64;
    if windows.is_empty() {
        let more = longer(report).map_or_else(String::new, |longer| format!("; {longer} would give one"));
        return Some(format!("no steady state: ramp-up and drain fill the pass{more}"));
    }
    // Rates stand beside the estimates, and are put together as those are.
    let rate = |of: fn(&Steady) -> f64| over_passes(&report.passes, |pass| pass.steady.as_ref().map(of)).unwrap_or(0.0);
    let rates = |tokens_per_s: f64, rpm: f64| match tokens_per_s > 0.0 {
        true => format!("{} tokens/s, rpm {}", significant(tokens_per_s), significant(rpm)),
        false => format!("rpm {}", significant(rpm)),
    };
    let (share, law) = (mean(|w| w.share), mean(|w| w.littles_law));
    let steady = rates(rate(|w| w.output_tokens_per_s), rate(|w| w.rpm));
    if (LAW.0..=LAW.1).contains(&law) {
        return Some(format!("steady state, {:.0} % of the pass: {steady}", share * 100.0));
    }
    // What enters it is not what leaves it.
    let all = |of: fn(&PassMetrics) -> f64| over_passes(&report.passes, |pass| Some(of(pass))).unwrap_or(0.0);
    let whole = rates(all(|pass| pass.output_tokens_per_s), all(|pass| pass.rpm));
    let more = longer(report).map_or_else(|| "a longer pass".to_owned(), |longer| format!("{longer} or more"));
    Some(format!(
        "the steady part is too short for its longest answers: {:.0} % of the pass ran at {steady}, the whole at {whole}; {more} \
         would bring the two together (Little's law {law:.2})",
        share * 100.0
    ))
}

/// Completions per second times the mean latency, over the requests in flight, of a window that is long enough.
const LAW: (f64, f64) = (0.9, 1.1);

/// What makes a pass of which most is steady: four times as many prompts as are in flight, and some ends to count. `None` where all are
/// sent at once, which never is.
fn longer(report: &Report) -> Option<String> {
    let shape = report.load.shape();
    let latencies: Vec<f64> = report.passes.iter().filter_map(|pass| Some(pass.e2e_s?.mean)).collect();
    let mean_s = latencies.iter().sum::<f64>() / latencies.len().max(1) as f64;
    let in_flight = match (shape.concurrency(), shape.request_rate()) {
        (Some(clients), _) => clients as f64,
        (None, Some(rate)) if rate.0.is_finite() => rate.0 * mean_s,
        (None, _) => return None,
    };
    let prompts = (4.0 * in_flight).max(in_flight + 40.0).ceil() as u64;
    let sent = match report.workload.duration_s {
        Some(_) => report.passes.iter().map(|pass| (pass.completed + pass.failed) as u64).min()?,
        None => report.workload.num_prompts as u64,
    };
    // It was enough by that, and did not do: the server's answers are too uneven to propose a number.
    (prompts > sent).then(|| match report.workload.duration_s {
        Some(time_s) => format!("--duration {:.0}s", (time_s * prompts as f64 / sent.max(1) as f64).ceil()),
        None => format!("--num-prompts {prompts}"),
    })
}

fn pass_line(i: usize, pass: &PassMetrics) -> String {
    let ttft = pass.ttft_s.map_or_else(|| "-".to_owned(), |l| Time(l.p50).to_string());
    format!(
        "pass {i}: rpm {}, {} tokens/s, ttft p50 {ttft}{}",
        significant(pass.rpm),
        significant(pass.output_tokens_per_s),
        pass.client.share.map_or_else(String::new, |of| format!(", client's share {}", share(of)))
    )
}

fn value(report: &Report, quantity: &'static Quantity) -> String {
    let Some(points) = points(report, quantity) else {
        // The label `rpm:` says its unit.
        let unit = if quantity.unit == "1/min" { String::new() } else { format!(" {}", quantity.unit_in_words) };
        let estimate = quantity.metrics().next().and_then(|metric| report.estimates.get(&metric));
        return estimated(estimate, &unit);
    };
    match points {
        [Some(p50), Some(p90), Some(p99)] => format!("p50 {:<10} p90 {:<10} p99 {}", Time(p50), Time(p90), Time(p99)),
        _ => "-".to_owned(),
    }
}

/// The points that are shown of a distribution; `None` for what has none.
fn points(report: &Report, quantity: &'static Quantity) -> Option<[Option<f64>; 3]> {
    quantity.at(Point::P50)?;
    Some([Point::P50, Point::P90, Point::P99].map(|point| Some(report.estimates.get(&quantity.at(point)?)?.point)))
}

fn same(report: &Report, quantity: &'static Quantity, as_other: &str) -> bool {
    let other = Quantity::all().find(|other| other.name == as_other);
    other.is_some_and(|other| points(report, quantity) == points(report, other))
}

/// Where sends were in time, the latencies from both moments are the same numbers, however much the passes differ.
#[test]
fn latencies_from_the_actual_send_are_put_together_as_the_estimates_are() {
    use crate::{
        run::samples,
        stats::{Stopping, estimates},
    };
    let report = samples::report(|r| {
        for (pass, factor) in r["passes"].as_array_mut().unwrap().iter_mut().zip([0.1, 0.2, 0.8]) {
            for (key, of_send) in [("ttft_s", "ttft_sent_s"), ("e2e_s", "e2e_sent_s")] {
                pass[key]["p50"] = factor.into();
                pass[of_send] = pass[key].clone();
            }
        }
    });
    let told = from_the_send(&report.passes).unwrap();
    assert_eq!(
        told,
        "latencies count from the intended send; from the actual send: ttft p50 251.98 ms, p99 1.0000 s; e2e p50 251.98 ms, p99 1.0000 s"
    );
    // Two passes of one process count as one: 0.1 and 0.2 are 0.141, and with 0.8 they make 0.336.
    let by_process = samples::report(|r| {
        for (pass, (p50, instance)) in
            r["passes"].as_array_mut().unwrap().iter_mut().zip([(0.1, 0), (0.2, 0), (0.8, 1)])
        {
            pass["instance"] = instance.into();
            pass["ttft_s"]["p50"] = p50.into();
            pass["ttft_sent_s"] = pass["ttft_s"].clone();
        }
    });
    let told = from_the_send(&by_process.passes).unwrap();
    assert!(told.ends_with("ttft p50 336.36 ms, p99 1.0000 s"), "{told}");
    let estimate = &estimates(&by_process.passes, 0.95, Stopping::Planned)[&"ttft_p50".parse().unwrap()];
    assert!((estimate.point - 0.33636).abs() < 1e-5, "{estimate:?}");
    assert_eq!(from_the_send(&samples::report(|_| ()).passes), None);
}
