/// What the engine did for one request. All times are nanoseconds of the machine's monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct RequestTruth {
    /// The request's `x-request-id`, empty where it had none.
    pub request_id: String,
    /// When its last byte had been read.
    pub received_ns: u64,
    /// When it stopped waiting and began to run.
    pub admitted_ns: u64,
    /// Just before each token was handed to the kernel; without streaming, when it was made.
    pub token_ns: Vec<u64>,
    /// Just before the last piece of the response was handed to the kernel.
    pub ended_ns: u64,
    /// Tokens of the prompt, as the engine counted them.
    pub prompt_tokens: u32,
    /// Those of them that came from the cache.
    pub cached_tokens: u32,
    /// What it did wrong on purpose; it has no tokens then.
    pub fault: Option<super::Fault>,
    /// Whether the client went away before the end.
    pub cancelled: bool,
}
