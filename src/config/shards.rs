//! Which part of a run a process is.

use super::{ConfigError, ServerSpec, seconds::seconds, settings::Values};
use crate::shard::{Rendezvous, Terms, of_launcher};

/// Names the token of a rendezvous.
pub const TOKEN: &str = "TACHOMETER_RENDEZVOUS_TOKEN";

/// What is to be divided.
pub(super) struct Parts<'a> {
    /// Benchmarks, each with the clients or requests that it has at once, at most.
    pub at_once: Vec<(&'a str, usize)>,
    pub servers: &'a [&'a ServerSpec],
}

/// The terms of a run of several shards; `None` where this process is the whole of it.
pub(super) fn shards(
    top: &Values,
    parts: &Parts,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Terms>, ConfigError> {
    let Some(text) = &top.shard else {
        let alone = [("--shards", top.shards.is_some()), ("--rendezvous", top.rendezvous.is_some())];
        return match alone.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(ConfigError::value(flag, "it needs --shard auto, or --shard RANK/SHARDS")),
            None => Ok(None),
        };
    };
    let share = of_launcher(text, top.shards, variable).map_err(|why| ConfigError::value("--shard", why))?;
    if share.of == 1 {
        return Ok(None);
    }
    if parts.servers.iter().any(|server| !matches!(server, ServerSpec::Live { .. })) {
        let why = "shards measure a server that is running and that all of them reach: give its URL with --server";
        return Err(ConfigError::value("--shard", why));
    }
    let few = parts.at_once.iter().find(|(_, whole)| *whole < share.of);
    if let Some((name, whole)) = few {
        let why = format!("{name} has {whole} at once for {} shards: each needs 1 at least", share.of);
        return Err(ConfigError::value("--shard", why));
    }
    let rendezvous: Rendezvous = match &top.rendezvous {
        Some(text) => text.parse().map_err(|why: String| ConfigError::value("--rendezvous", why))?,
        None => {
            let why = "shards need a place to meet: give a folder that all of them can write, or HOST:PORT of shard 0";
            return Err(ConfigError::value("--rendezvous", why));
        }
    };
    let token = variable(TOKEN).unwrap_or_default();
    if token.is_empty() && matches!(rendezvous, Rendezvous::Tcp(_)) {
        let why = format!("a port needs a secret that all shards know: set {TOKEN} in their environment");
        return Err(ConfigError::value("--rendezvous", why));
    }
    let patience = seconds("--shard-timeout", top.shard_timeout)?;
    Ok(Some(Terms { share, rendezvous, token, patience }))
}
