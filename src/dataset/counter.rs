//! Counts the tokens of many texts: by kitoken where it counts as tokenizers does, which takes a fraction of the time.
//!
//! Whether it does is tried, never assumed: on a fixed probe and on the tokenizer's own vocabulary when it is loaded, and on a share
//! of the texts themselves. tokenizers is the judge; where the two differ, it counts everything.

#[cfg(feature = "fast-count")]
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::Tokenizer;
#[cfg(feature = "fast-count")]
use super::fast::Model;

/// Who counts tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CountedBy {
    /// The tokenizer as it is: tokenizers, or kitoken for a SentencePiece model.
    Itself,
    /// kitoken, in place of tokenizers.
    Kitoken,
}

/// Counts texts with a tokenizer.
pub(super) struct Counter<'a> {
    tokenizer: &'a Tokenizer,
    #[cfg(feature = "fast-count")]
    fast: Option<Fast>,
}

/// Of so many texts, one is counted by both.
#[cfg(feature = "fast-count")]
const JUDGED: usize = 256;

#[cfg(feature = "fast-count")]
struct Fast {
    model: Arc<Model>,
    /// A text was counted differently.
    differs: AtomicBool,
}

impl<'a> Counter<'a> {
    /// The fastest one that counts as the tokenizer does, as far as the probe shows.
    pub fn fast(tokenizer: &'a Tokenizer) -> Self {
        Self {
            #[cfg(feature = "fast-count")]
            fast: tokenizer.fast(Model::judged).map(|model| Fast { model, differs: AtomicBool::new(false) }),
            ..Self::plain(tokenizer)
        }
    }

    /// The tokenizer itself.
    pub fn plain(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            #[cfg(feature = "fast-count")]
            fast: None,
        }
    }

    /// Who counts.
    pub fn counted_by(&self) -> CountedBy {
        #[cfg(feature = "fast-count")]
        if self.fast.is_some() {
            return CountedBy::Kitoken;
        }
        CountedBy::Itself
    }

    /// Whether a text has shown that the faster one counts differently: what it has counted so far is worth nothing.
    pub fn is_refuted(&self) -> bool {
        #[cfg(feature = "fast-count")]
        if let Some(fast) = &self.fast {
            return fast.differs.load(Ordering::Relaxed);
        }
        false
    }

    /// As [`Tokenizer::count_up_to`]; `number` is the text's in the dataset, by which it may be judged.
    pub fn count_up_to(&self, number: usize, text: &str, specials: bool, most: usize) -> Result<Option<usize>, String> {
        #[cfg(feature = "fast-count")]
        if let Some(fast) = self.fast.as_ref().filter(|fast| !fast.model.leaves(text)) {
            let counted = fast.model.count(text).map(|tokens| tokens + self.tokenizer.specials(specials));
            let counted = counted.map(|tokens| Some(tokens).filter(|&tokens| tokens <= most));
            if number.is_multiple_of(JUDGED) || counted.is_none() {
                let judged = self.tokenizer.count_up_to(text, specials, most)?;
                if counted != Some(judged) {
                    fast.differs.store(true, Ordering::Relaxed);
                }
                return Ok(judged);
            }
            return Ok(counted.flatten());
        }
        #[cfg(not(feature = "fast-count"))]
        let _ = number;
        self.tokenizer.count_up_to(text, specials, most)
    }
}

#[cfg(all(test, feature = "fast-count"))]
pub(super) mod tests {
    use super::*;
    use crate::dataset::{ShareGpt, SystemTurns};

    const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sharegpt.json");

    /// The fixture's vocabulary with the pre-tokenizer of today's byte-level models.
    fn modern_file() -> serde_json::Value {
        let mut file: serde_json::Value = serde_json::from_str(include_str!("../../fixtures/tokenizer.json")).unwrap();
        let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        file["pre_tokenizer"] = serde_json::json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]});
        file
    }

    pub fn modern() -> Tokenizer {
        Tokenizer::from_json(modern_file().to_string().as_bytes()).unwrap()
    }

    #[test]
    fn kitoken_counts_where_it_counts_alike() {
        let tokenizer = modern();
        let mut texts = 0;
        let whole = Counter::fast(&tokenizer);
        assert_eq!(whole.counted_by(), CountedBy::Kitoken);
        ShareGpt::file(FIXTURE)
            .scan(SystemTurns::Keep, |place, conversation| {
                for text in [conversation.prompt, conversation.answer] {
                    let expected = tokenizer.count(&text, true).unwrap();
                    let got = whole.count_up_to(place.index as usize, &text, true, usize::MAX - 1).unwrap();
                    assert_eq!(got, Some(expected), "{text:?}");
                    texts += 1;
                }
                Ok(())
            })
            .unwrap();
        assert!(texts > 2000 && !whole.is_refuted());
        // Its pre-tokenizer is one that kitoken has only about.
        let about = Tokenizer::from_json(include_bytes!("../../fixtures/tokenizer.json")).unwrap();
        assert_eq!(Counter::fast(&about).counted_by(), CountedBy::Itself);
    }

    /// Two of a byte-pair model's unknown tokens are one to kitoken where they fuse: a text that holds the token is left to tokenizers,
    /// whichever of the added tokens are looked at first.
    #[test]
    fn added_tokens_that_are_taken_differently_are_counted_by_the_tokenizer() {
        let mut file = modern_file();
        file["model"]["unk_token"] = "<unk>".into();
        file["model"]["fuse_unk"] = true.into();
        let id = file["model"]["vocab"].as_object().unwrap().len();
        file["model"]["vocab"]["<unk>"] = id.into();
        let unknown = serde_json::json!({"id": id, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true});
        file["added_tokens"].as_array_mut().unwrap().push(unknown);
        let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
        let counter = Counter::fast(&tokenizer);
        assert_eq!(counter.counted_by(), CountedBy::Kitoken);
        let text = "a<unk><unk> b";
        let expected = tokenizer.count(text, false).unwrap();
        assert_ne!(counter.fast.as_ref().unwrap().model.count(text), Some(expected));
        assert_eq!(counter.count_up_to(1, text, false, 99).unwrap(), Some(expected));
        assert!(!counter.is_refuted());
    }

    /// One that counts wrongly is found out by the texts themselves.
    #[test]
    fn texts_refute_a_wrong_counter() {
        let mut other = modern_file();
        other["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = ".".into();
        let other = Tokenizer::from_json(other.to_string().as_bytes()).unwrap();
        let model = other.fast(|_, kitoken| Some(Model::unjudged(kitoken))).unwrap();
        let tokenizer = modern();
        let wrong = Counter { tokenizer: &tokenizer, fast: Some(Fast { model, differs: AtomicBool::new(false) }) };
        let text = "the server answered";
        assert_ne!(wrong.count_up_to(1, text, false, 99).unwrap(), Some(tokenizer.count(text, false).unwrap()));
        assert!(!wrong.is_refuted());
        assert_eq!(wrong.count_up_to(JUDGED, text, false, 99).unwrap(), Some(tokenizer.count(text, false).unwrap()));
        assert!(wrong.is_refuted());
    }

    /// The tokenizers in the folder that `TEST_TOKENIZERS` names, as scripts/check-counts.sh fills it; `*.fast.json` are those that
    /// kitoken is to count with.
    #[test]
    fn kitoken_counts_alike_with_other_tokenizers() {
        let Some(folder) = std::env::var_os("TEST_TOKENIZERS") else { return };
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let tokenizer = Tokenizer::load(&path).unwrap();
            let counter = Counter::fast(&tokenizer);
            let (mut texts, mut different) = (0, 0);
            let mut check = |number: usize, text: &str| {
                // Never a number that is judged.
                let number = number * JUDGED + 1;
                let got = counter.count_up_to(number, text, false, usize::MAX - 1).unwrap();
                texts += 1;
                different += usize::from(got != Some(tokenizer.count(text, false).unwrap()));
            };
            for dataset in [FIXTURE].into_iter().map(str::to_owned).chain(std::env::var("TEST_DATASET").ok()) {
                ShareGpt::file(dataset)
                    .scan(SystemTurns::Keep, |place, conversation| {
                        check(place.index as usize, &conversation.prompt);
                        check(place.index as usize, &conversation.answer);
                        Ok(())
                    })
                    .unwrap();
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            println!("{name}: {:?}, {different} of {texts} texts differ", counter.counted_by());
            assert_eq!(different, 0, "{name}");
            assert_eq!(counter.counted_by() == CountedBy::Kitoken, name.ends_with(".fast.json"), "{name}");
        }
    }
}
