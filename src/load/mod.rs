//! How prompts are sent.
//!
//! Takes the prompts of a pass and a load shape; gives a record for each prompt. In a closed loop C clients drain one queue
//! of prompts in order, each sending the next as soon as its last one has ended.

mod closed_loop;
mod progress;

pub use closed_loop::{Pass, PassRecords, run_closed_loop};
pub use progress::Progress;
