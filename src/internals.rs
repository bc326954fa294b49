//! What this repository's own tests, benchmarks and fuzz targets look into. No promise holds here: any release may change it.

#[cfg(fuzzing)]
pub use crate::client::fuzzing::read_response;
#[cfg(feature = "harness")]
pub use crate::{
    baseline::{History, calibration_from_json, to_json},
    compare::calibrate,
    config::settings::SETTINGS,
    report::append_csv,
    shard::{Order, ShardRecords, read_records, write_records},
    stats::{
        estimate::{each, estimates, interval},
        holm::holm,
        levels::level_changes,
        paired::{PairedChange, Threshold},
    },
};
pub use crate::{
    client::{
        answer::{Answer, error_message},
        clock::{now_ns, thread_cpu_ns},
        per_thread::PerThread,
        sse::{EventTooLarge, SseDecoder, SseItem},
        stream_reader::StreamReader,
    },
    dataset::words::WordList,
    load::{arrivals::arrivals_ns, open_files::raise_open_files_limit},
};
