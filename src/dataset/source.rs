//! Where prompts come from: what each kind of dataset says of itself.

use std::{fmt, path::Path, sync::Arc};

#[cfg(feature = "harness")]
use super::TraceWindow;
use super::{DatasetError, HistoryFrom, Policy, Prompt, SystemTurns, Tokenizer};

/// A dataset that is ready to give prompts.
pub trait Source {
    /// The prompts that a seed chooses, in the order in which they are sent.
    ///
    /// # Errors
    /// Where there are not so many, or they can't be read.
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError>;

    /// What must be known of the prompts that were drawn last.
    fn remark(&self) -> Option<String> {
        None
    }

    /// The package that counted the prompts' tokens, as report.json names it.
    fn counted_by(&self) -> Option<&'static str> {
        None
    }
}

/// A dataset by its name; nothing of it has been read. It prints as `--dataset` and report.json spell it.
pub trait Described: fmt::Display + Send + Sync {
    /// What a workload of it is called, where it was given no name.
    fn workload_name(&self) -> String;

    /// The file that it reads, if it reads one.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// Its name with a relative path taken from that folder; `None` where it names no file.
    fn within(&self, folder: &Path) -> Option<String> {
        self.file().map(|file| folder.join(file).display().to_string())
    }

    /// Whether each of its conversations has a time at which it was recorded.
    fn has_times(&self) -> bool {
        false
    }

    /// Makes it ready.
    ///
    /// # Errors
    /// Where it can't be read, or gives no prompts.
    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError>;
}

/// What a dataset is opened with.
pub struct Opening<'a> {
    /// What counts tokens.
    pub tokenizer: Arc<Tokenizer>,
    /// How prompts are drawn, where there is something to choose from.
    pub policy: Policy,
    /// What becomes of conversations that the system begins.
    pub system_turns: SystemTurns,
    /// Tokens to ask for where a prompt does not say.
    pub max_tokens: Option<u32>,
    /// Conversations with fewer turns are left out.
    pub min_turns: usize,
    /// A conversation is cut before the turn whose prompt and answer together would have more tokens.
    pub max_context: Option<u32>,
    /// Whose answers stand in the history of later turns.
    pub history_from: HistoryFrom,
    /// The part of a trace that is sent.
    #[cfg(feature = "harness")]
    pub trace_window: Option<TraceWindow>,
    /// A folder for what a scan of the dataset finds, which spares the next one.
    pub index: Option<&'a Path>,
    /// Asked now and then whether to give up.
    pub stopped: &'a dyn Fn() -> bool,
}

impl Opening<'_> {
    /// With a tokenizer, and the defaults of the settings.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            tokenizer,
            policy: Policy::FilterThenSample,
            system_turns: SystemTurns::Keep,
            max_tokens: None,
            min_turns: 2,
            max_context: None,
            history_from: HistoryFrom::default(),
            #[cfg(feature = "harness")]
            trace_window: None,
            index: None,
            stopped: &|| false,
        }
    }
}

/// One way to spell a dataset: `None` where a text is another's, an error where it is this one's and wrong.
pub(super) type Parse = fn(&str) -> Option<Result<Arc<dyn Described>, String>>;
