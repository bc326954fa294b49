use std::time::{Duration, Instant};

use super::{Process, Readiness, StartError, launch::Launch};
use crate::{
    client::{Headers, Target, why_not_ready},
    load::Stop,
};

/// How often a server is asked whether it is ready.
const POLL: Duration = Duration::from_millis(50);

/// Waits until a server that was started is ready. `tell` hears each new reason to wait.
///
/// # Errors
/// Where it ends, is not ready in time, or the run is stopped.
pub async fn wait_until_ready(
    process: &mut Process,
    launch: &Launch,
    (target, headers): (&Target, &Headers),
    stop: &Stop,
    tell: impl Fn(&str),
) -> Result<(), StartError> {
    let started = Instant::now();
    let mut last = String::new();
    loop {
        // Whoever answers on its port in its place is not meant.
        if let Some(error) = process.ended() {
            return Err(error);
        }
        let left = launch.ready_timeout.saturating_sub(started.elapsed());
        let asked = tokio::time::timeout(left, lacks(process, launch, target, headers));
        let Some(asked) = stop.unless_stopped(asked).await else {
            return Err(StartError::Stopped { name: launch.name.clone() });
        };
        let why = match asked {
            Ok(None) => return process.ended().map_or(Ok(()), Err),
            Ok(Some(why)) => why,
            Err(_) if last.is_empty() => "no answer".to_owned(),
            Err(_) => last.clone(),
        };
        if why != last {
            tell(&format!("Waiting for the server {}: {why}", launch.name));
            last = why;
        }
        if started.elapsed() >= launch.ready_timeout {
            let (log, lines) = process.output();
            let seconds = launch.ready_timeout.as_secs_f64();
            return Err(StartError::NotReady { name: launch.name.clone(), seconds, last, log, lines });
        }
        _ = stop.unless_stopped(tokio::time::sleep(POLL)).await;
    }
}

/// What it lacks to be ready.
async fn lacks(process: &Process, launch: &Launch, target: &Target, headers: &Headers) -> Option<String> {
    match &launch.ready {
        Readiness::Health => why_not_ready(target, headers, None).await,
        Readiness::Path(path) => why_not_ready(target, headers, Some(path)).await,
        Readiness::Line(line) => (!process.has_said(line)).then(|| format!("it has not printed `{line}`")),
        Readiness::Port => {
            let address = (target.url.host.as_str(), target.url.port);
            tokio::net::TcpStream::connect(address).await.err().map(|e| e.to_string())
        }
    }
}
