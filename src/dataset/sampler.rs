//! Which conversations a seed chooses, exactly as the Python serving benchmarks choose them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use rayon::prelude::*;

use super::{
    DatasetError, Limits, Message, Policy, Prompt, PythonRandom, ShareGpt, SystemTurns, Tokenizer,
    conversations::{Conversation, Place, Scan},
    counter::{CountedBy, Counter},
    index::{Index, Key, Row},
};
use crate::files::write_whole;

/// Draws the prompts of any number of passes from one dataset, reading and tokenizing it once.
pub struct Sampler {
    dataset: ShareGpt,
    tokenizer: Arc<Tokenizer>,
    policy: Policy,
    system_turns: SystemTurns,
    limits: Limits,
    /// Prompts of the last draw that are the system's turns.
    of_system: AtomicUsize,
    conversations: usize,
    /// Of the bytes that were scanned.
    digest: [u8; 32],
    counted_by: CountedBy,
    /// Every conversation that fits (filter-then-sample), or every one with two turns (shuffle-then-filter).
    rows: Vec<Row>,
}

/// Conversations that are tokenized together, so that all cores have work and few texts stand in memory.
const BATCH: usize = 512;

/// A conversation, and where it stands.
type Text = (Place, Conversation);

/// Finds the conversations that fit.
struct Sizer<'a> {
    dataset: &'a ShareGpt,
    policy: Policy,
    limits: Limits,
    counter: &'a Counter<'a>,
}

impl Sizer<'_> {
    /// Those of all batches, in order.
    fn admit_all(&self, batches: mpsc::Receiver<Vec<Text>>) -> Result<Vec<Row>, DatasetError> {
        let mut rows = Vec::new();
        for batch in batches {
            // Of several that can't be counted, the first is told.
            let sized: Vec<Result<Option<Row>, DatasetError>> =
                batch.par_iter().map(|(place, text)| self.size(*place, text)).collect();
            for row in sized {
                rows.extend(row?);
            }
            // What has been counted is worth nothing, and the scan begins anew.
            if self.counter.is_refuted() {
                break;
            }
        }
        Ok(rows)
    }

    /// Counts the tokens of a conversation; `None` where it does not fit. Neither text is tokenized further than that takes.
    fn size(&self, place: Place, conversation: &Conversation) -> Result<Option<Row>, DatasetError> {
        let Limits { min_tokens, max_prompt, max_total } = self.limits;
        let number = place.index as usize;
        let count = |text: &str, most| {
            let tokens = self.counter.count_up_to(number, text, self.policy.counts_specials(), most);
            let tokens = tokens.map(|n| n.filter(|&n| n >= min_tokens));
            tokens.map_err(|why| DatasetError::Tokenize { path: self.dataset.name(), index: number, why })
        };
        let Some(prompt_tokens) = count(&conversation.whole_prompt(), max_prompt)? else { return Ok(None) };
        let Some(output_tokens) = count(&conversation.answer, max_total.saturating_sub(prompt_tokens))? else {
            return Ok(None);
        };
        // Both are within the limits.
        Ok(Some(Row { place, prompt_tokens: prompt_tokens as u32, output_tokens: output_tokens as u32 }))
    }
}

impl Sampler {
    /// Reads the dataset; under filter-then-sample this tokenizes every conversation.
    ///
    /// # Errors
    /// Where the file can't be read, is not JSON or not ShareGPT, or the tokenizer refuses a text.
    pub fn new(dataset: ShareGpt, tokenizer: Arc<Tokenizer>, policy: Policy) -> Result<Self, DatasetError> {
        Self::scan(dataset, tokenizer, policy, SystemTurns::Keep, &|| false)
    }

    pub(super) fn scan(
        dataset: ShareGpt,
        tokenizer: Arc<Tokenizer>,
        policy: Policy,
        system_turns: SystemTurns,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Self, DatasetError> {
        if policy == Policy::FilterThenSample {
            let counter = Counter::fast(&tokenizer);
            let sampler = Self::scan_with(&dataset, &tokenizer, policy, system_turns, &counter, stopped);
            if !counter.is_refuted() {
                return sampler;
            }
        }
        Self::scan_with(&dataset, &tokenizer, policy, system_turns, &Counter::plain(&tokenizer), stopped)
    }

    fn scan_with(
        dataset: &ShareGpt,
        tokenizer: &Arc<Tokenizer>,
        policy: Policy,
        system_turns: SystemTurns,
        counter: &Counter,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Self, DatasetError> {
        let mut sampler = Self {
            dataset: dataset.clone(),
            tokenizer: tokenizer.clone(),
            policy,
            system_turns,
            limits: Limits::default(),
            of_system: AtomicUsize::new(0),
            conversations: 0,
            digest: [0; 32],
            counted_by: counter.counted_by(),
            rows: vec![],
        };
        let (batches, counted) = mpsc::sync_channel::<Vec<Text>>(1);
        let sizer = Sizer { dataset, policy, limits: sampler.limits, counter };
        // Counted on all cores while the next batch is read.
        let (scan, rows) = std::thread::scope(|scope| {
            let counting = scope.spawn(|| sizer.admit_all(counted));
            let mut batch = Vec::with_capacity(BATCH);
            let scan = dataset.scan(system_turns, |place, conversation| {
                // Whoever counts has gone: what it says of that counts more than this.
                let gone = |_| DatasetError::Stopped;
                if stopped() {
                    return Err(DatasetError::Stopped);
                }
                match policy {
                    Policy::ShuffleThenFilter => sampler.rows.push(Row { place, prompt_tokens: 0, output_tokens: 0 }),
                    Policy::FilterThenSample => {
                        batch.push((place, conversation));
                        if batch.len() == BATCH {
                            batches.send(std::mem::take(&mut batch)).map_err(gone)?;
                        }
                    }
                }
                Ok(())
            });
            // Where it fails now, so does the scan's end.
            _ = batches.send(batch);
            drop(batches);
            (scan, counting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        sampler.rows.extend(rows?);
        Scan { conversations: sampler.conversations, digest: sampler.digest } = scan?;
        Ok(sampler)
    }

    /// As [`Sampler::new`], with an index in a folder: the scan is left out where one of the same dataset, tokenizer and policy
    /// is there, and otherwise leaves one for the next time. An index that can't be written is none. `stopped` is asked now and
    /// then whether to give up.
    ///
    /// # Errors
    /// As [`Sampler::new`], and [`DatasetError::Stopped`].
    pub fn with_index(
        dataset: ShareGpt,
        tokenizer: Arc<Tokenizer>,
        policy: Policy,
        system_turns: SystemTurns,
        folder: &Path,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Self, DatasetError> {
        let limits = Limits::default();
        let key = |digest| Key::of(digest, tokenizer.digest(), policy, limits, system_turns);
        let before = key(dataset.digest(stopped)?);
        let path = before.path(folder);
        if let Some(Index { conversations, counted_by, rows }) = Index::read(&path, before) {
            let (of_system, digest) = (AtomicUsize::new(0), [0; 32]);
            return Ok(Self {
                dataset,
                tokenizer,
                policy,
                system_turns,
                limits,
                of_system,
                conversations,
                digest,
                counted_by,
                rows,
            });
        }
        let mut sampler = Self::scan(dataset, tokenizer.clone(), policy, system_turns, stopped)?;
        // What has changed meanwhile is another dataset than the one whose index was looked for.
        if key(sampler.digest) == before {
            let Self { conversations, counted_by, .. } = sampler;
            let index = Index { conversations, counted_by, rows: std::mem::take(&mut sampler.rows) };
            _ = write_whole(&path, &index.to_bytes(before));
            sampler.rows = index.rows;
        }
        Ok(sampler)
    }

    /// The prompts that this seed chooses, in the order in which they are sent.
    ///
    /// # Errors
    /// [`DatasetError::TooFew`] where fewer fit than were asked for.
    pub fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        match self.policy {
            Policy::FilterThenSample => {
                if num_prompts > self.rows.len() {
                    return Err(self.too_few(num_prompts, self.rows.len()));
                }
                let chosen = PythonRandom::new(seed).sample(self.rows.len(), num_prompts);
                let chosen: Vec<Row> = chosen.into_iter().map(|i| self.rows[i]).collect();
                let places: Vec<Place> = chosen.iter().map(|row| row.place).collect();
                let texts = self.dataset.load(&places, self.system_turns)?;
                self.note_of_system(texts.iter());
                Ok(chosen.iter().zip(texts).map(|(row, text)| prompt(row, text)).collect())
            }
            Policy::ShuffleThenFilter => self.draw_from_shuffled(seed, num_prompts),
        }
    }

    fn draw_from_shuffled(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let counter = Counter::plain(&self.tokenizer);
        let sizer = Sizer { dataset: &self.dataset, policy: self.policy, limits: self.limits, counter: &counter };
        let mut order = self.rows.clone();
        PythonRandom::new(seed).shuffle(&mut order);
        let mut of_system = 0;
        let mut chosen = Vec::with_capacity(num_prompts.min(order.len()));
        for batch in order.chunks(BATCH) {
            let places: Vec<Place> = batch.iter().map(|row| row.place).collect();
            // No more than could still be needed is read and tokenized, in pieces.
            for places in places.chunks((num_prompts - chosen.len()).clamp(16, BATCH)) {
                if chosen.len() == num_prompts {
                    return Ok(chosen);
                }
                let texts = self.dataset.load(places, self.system_turns)?;
                let sized: Vec<Result<Option<Row>, DatasetError>> =
                    places.par_iter().zip(&texts).map(|(place, text)| sizer.size(*place, text)).collect();
                let sized = sized.into_iter().collect::<Result<Vec<Option<Row>>, DatasetError>>()?;
                let fitting = sized.into_iter().zip(texts).filter_map(|(row, text)| Some((row?, text)));
                let room = num_prompts - chosen.len();
                let fitting: Vec<(Row, Conversation)> = fitting.take(room).collect();
                of_system += fitting.iter().filter(|(_, text)| text.of_system).count();
                chosen.extend(fitting.into_iter().map(|(row, text)| prompt(&row, text)));
                self.of_system.store(of_system, Ordering::Relaxed);
            }
        }
        match chosen.len() {
            fit if fit < num_prompts => Err(self.too_few(num_prompts, fit)),
            _ => Ok(chosen),
        }
    }

    fn note_of_system<'a>(&self, drawn: impl Iterator<Item = &'a Conversation>) {
        self.of_system.store(drawn.filter(|conversation| conversation.of_system).count(), Ordering::Relaxed);
    }

    /// How many prompts of the last draw are the system's turns, and not a person's.
    pub fn of_system(&self) -> usize {
        self.of_system.load(Ordering::Relaxed)
    }

    /// The package that counted the prompts' tokens.
    pub fn counted_by(&self) -> &'static str {
        match self.counted_by {
            CountedBy::Kitoken => "kitoken",
            CountedBy::Itself => self.tokenizer.package(),
        }
    }

    fn too_few(&self, wanted: usize, fit: usize) -> DatasetError {
        DatasetError::TooFew { path: self.dataset.name(), wanted, fit, conversations: self.conversations }
    }
}

fn prompt(row: &Row, conversation: Conversation) -> Prompt {
    let system = conversation.system.map(|content| Message { role: "system".to_owned(), content });
    let text = conversation.prompt;
    let Row { place, prompt_tokens, output_tokens } = *row;
    Prompt {
        conversation: place.index as usize,
        prompt_tokens,
        before: system.into_iter().collect(),
        ..Prompt::new(text, output_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        policy: Policy,
        seed: u64,
        n: usize,
        chosen: Vec<(usize, u32, u32)>,
    }

    fn fixture(policy: Policy, tokenizer: &Arc<Tokenizer>) -> Sampler {
        let dataset = ShareGpt::file(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sharegpt.json"));
        Sampler::new(dataset, tokenizer.clone(), policy).unwrap()
    }

    #[test]
    fn chooses_what_the_python_tools_choose() {
        let tokenizer = Arc::new(crate::fixtures::tokenizer().unwrap());
        let samplers = [Policy::FilterThenSample, Policy::ShuffleThenFilter].map(|policy| fixture(policy, &tokenizer));
        let mut rows = 0;
        for line in include_str!("../../fixtures/golden/samples.jsonl").lines() {
            let golden: Golden = serde_json::from_str(line).unwrap();
            let sampler = samplers.iter().find(|s| s.policy == golden.policy).unwrap();
            let drawn = sampler.draw(golden.seed, golden.n).unwrap();
            let drawn: Vec<_> = drawn.iter().map(|p| (p.conversation, p.prompt_tokens, p.output_tokens)).collect();
            assert_eq!(drawn, golden.chosen, "{} seed {} n {}", golden.policy, golden.seed, golden.n);
            rows += 1;
        }
        assert_eq!(rows, 18);
    }

    /// All that fit can be drawn, each once.
    #[test]
    fn as_many_as_fit_are_drawn() {
        let tokenizer = Arc::new(crate::fixtures::tokenizer().unwrap());
        for policy in [Policy::FilterThenSample, Policy::ShuffleThenFilter] {
            let sampler = fixture(policy, &tokenizer);
            let Err(DatasetError::TooFew { fit, .. }) = sampler.draw(0, 1_000_000) else { panic!("too few") };
            let mut drawn: Vec<usize> = sampler.draw(0, fit).unwrap().iter().map(|p| p.conversation).collect();
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), fit, "{policy}");
        }
    }

    /// As the Python tools, which take the first turn whosever it is.
    #[test]
    fn prompts_that_are_the_systems_turns_are_counted() {
        let tokenizer = Arc::new(crate::fixtures::tokenizer().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let conversations: Vec<_> = (0..60)
            .map(|i| {
                let from = if i % 3 == 0 { "system" } else { "human" };
                let turn = |from: &str, value: String| serde_json::json!({"from": from, "value": value});
                let first = turn(from, format!("{from}: what is this, and what is it for?"));
                serde_json::json!({"conversations": [first, turn("gpt", "It is nothing of importance.".to_owned())]})
            })
            .collect();
        let path = folder.path().join("systems.json");
        std::fs::write(&path, serde_json::to_vec(&conversations).unwrap()).unwrap();
        for policy in [Policy::FilterThenSample, Policy::ShuffleThenFilter] {
            let sampler = Sampler::new(ShareGpt::file(&path), tokenizer.clone(), policy).unwrap();
            assert_eq!(sampler.of_system(), 0);
            // The last draw counts.
            for n in [60, 50, 1] {
                let drawn = sampler.draw(0, n).unwrap();
                let of_system = drawn.iter().filter(|prompt| prompt.text.starts_with("system")).count();
                assert_eq!((drawn.len(), sampler.of_system()), (n, of_system), "{policy}");
            }
        }
    }

    #[test]
    fn a_systems_turn_is_the_prompt_or_left_out_or_goes_before_it() {
        let tokenizer = Arc::new(crate::fixtures::tokenizer().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let turn = |from: &str, value: &str| serde_json::json!({"from": from, "value": value});
        let turns = [
            turn("system", "You answer all questions."),
            turn("human", "What is this, and what is it for?"),
            turn("gpt", "It is nothing of importance."),
        ];
        let path = folder.path().join("system.json");
        std::fs::write(&path, serde_json::json!([{"conversations": turns}]).to_string()).unwrap();
        for policy in [Policy::FilterThenSample, Policy::ShuffleThenFilter] {
            let drawn = |system_turns| {
                let (dataset, tokenizer) = (ShareGpt::file(&path), tokenizer.clone());
                let sampler =
                    Sampler::with_index(dataset, tokenizer, policy, system_turns, folder.path(), &|| false).unwrap();
                let prompt = sampler.draw(0, 1).unwrap().remove(0);
                let before: Vec<String> = prompt.before.iter().map(|m| format!("{}: {}", m.role, m.content)).collect();
                (before.join("; "), prompt.text)
            };
            let texts = |before: &str, text: &str| (before.to_owned(), text.to_owned());
            assert_eq!(drawn(SystemTurns::Keep), texts("", "You answer all questions."));
            assert_eq!(drawn(SystemTurns::Drop), texts("", "What is this, and what is it for?"));
            let sent = texts("system: You answer all questions.", "What is this, and what is it for?");
            assert_eq!(drawn(SystemTurns::Send), sent);
        }
    }

    /// Of the fixture's tokenizer kitoken has only about what it takes.
    #[cfg(feature = "fast-count")]
    #[test]
    fn a_scan_says_who_counted() {
        for (tokenizer, counted_by) in [
            (crate::dataset::counter::tests::modern(), "kitoken"),
            (crate::fixtures::tokenizer().unwrap(), "tokenizers"),
        ] {
            assert_eq!(fixture(Policy::FilterThenSample, &Arc::new(tokenizer)).counted_by(), counted_by);
        }
    }

    /// The scan leaves an index, and what is drawn from it is the same.
    #[test]
    fn an_index_is_left_and_drawn_from() {
        let tokenizer = Arc::new(crate::fixtures::tokenizer().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sharegpt.json");
        let drawn = || {
            let (dataset, policy) = (ShareGpt::file(path), Policy::FilterThenSample);
            let sampler =
                Sampler::with_index(dataset, tokenizer.clone(), policy, SystemTurns::Keep, folder.path(), &|| false)
                    .unwrap();
            sampler.draw(3, 50).unwrap().into_iter().map(|p| (p.text, p.prompt_tokens)).collect::<Vec<_>>()
        };
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files(), 0);
        let first = drawn();
        assert_eq!(files(), 1);
        assert_eq!(drawn(), first);
    }

    #[test]
    fn more_than_fit_is_an_error_that_says_how_many_there_are() {
        let tokenizer = Arc::new(crate::fixtures::tokenizer().unwrap());
        let counts = [Policy::FilterThenSample, Policy::ShuffleThenFilter].map(|policy| {
            match fixture(policy, &tokenizer).draw(0, 1_000_000) {
                Err(DatasetError::TooFew { fit, conversations: 1200, .. }) => fit,
                other => panic!("{other:?}"),
            }
        });
        assert!(counts.iter().all(|fit| (1000..1200).contains(fit)), "{counts:?}");
    }
}
