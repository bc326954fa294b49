/// What is asked beside the prompts, the same for all of them.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub model: &'a str,
    pub stream: bool,
    pub ignore_eos: bool,
    pub temperature: f64,
    pub top_p: f64,
    /// The field that says how many tokens are wanted.
    pub max_tokens_field: &'a str,
    /// Whether streams are to report token counts, where that must be asked for.
    pub include_usage: bool,
}
