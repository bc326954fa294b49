//! A pass for tests: nothing listens at its server.

use std::sync::Arc;

use super::{FailureLimit, Pass, Schedule, Share, Stop};
use crate::{
    client::{Headers, RequestWriter, Sampling, ServerUrl, Target, Timeouts, Trust},
    dataset::Sequence,
};

/// A closed loop with two clients that sends these prompts.
pub fn pass(prompts: impl Into<Sequence>) -> Pass {
    let target = Target::new(ServerUrl::parse("http://h:1").unwrap(), Timeouts::default(), &Trust::default());
    let (target, sampling) = (target.unwrap(), Sampling::default());
    Pass {
        writer: Arc::new(RequestWriter::new(&target.url, "m", &sampling, &Headers::default())),
        target: Arc::new(target),
        sampling: Arc::new(sampling),
        prompts: prompts.into(),
        share: Share::default(),
        start: Arc::new(()),
        schedule: Schedule::Closed { concurrency: 2 },
        lasts: None,
        threads: 2,
        request_id_prefix: "r".into(),
        retries: 0,
        failures: FailureLimit::default(),
        stop: Stop::default(),
        observer: Arc::new(()),
    }
}
