//! Token counts, as the model's own tokenizer gives them.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokenizers::{Model, OffsetReferential, OffsetType, PostProcessor, PreTokenizer, TruncationDirection};

use super::DatasetError;

/// A Hugging Face `tokenizer.json`, or a SentencePiece `tokenizer.model` (feature `sentencepiece`).
pub struct Tokenizer {
    kind: Kind,
    /// Of all that its counts depend on.
    digest: [u8; 32],
}

enum Kind {
    HuggingFace(Box<HuggingFace>),
    #[cfg(feature = "sentencepiece")]
    SentencePiece(Box<SentencePiece>),
}

struct HuggingFace {
    model: tokenizers::Tokenizer,
    /// Its file, until kitoken has been tried.
    #[cfg(feature = "fast-count")]
    file: std::sync::Mutex<String>,
    /// The same as kitoken has it, where that counts alike.
    #[cfg(feature = "fast-count")]
    fast: std::sync::OnceLock<Option<std::sync::Arc<super::fast::Model>>>,
}

#[cfg(feature = "sentencepiece")]
struct SentencePiece {
    model: kitoken::Kitoken,
    charsmap: Option<super::charsmap::CharsMap>,
    /// Spaces at both ends are dropped before anything else.
    strips: bool,
    adds_bos: bool,
}

#[cfg(feature = "sentencepiece")]
impl SentencePiece {
    fn parse(bytes: &[u8], adds_bos: bool) -> Result<Self, String> {
        use kitoken::Normalization::{CaseFold, CharsMap, NMT, Unicode};

        let error = |e: String| format!("not a SentencePiece model: {e}");
        let file = sentencepiece_model::SentencePieceModel::from_slice(bytes).map_err(|e| error(e.to_string()))?;
        let normalizer = file.normalizer();
        let charsmap = normalizer.and_then(|n| super::charsmap::CharsMap::parse(n.precompiled_charsmap()));
        let strips = normalizer.is_none_or(|n| n.remove_extra_whitespaces());
        let mut definition = kitoken::Definition::from_sentencepiece_slice(bytes).map_err(|e| error(e.to_string()))?;
        if charsmap.is_some() {
            let named =
                |n: &kitoken::Normalization| matches!(n, Unicode { .. } | NMT | CaseFold { .. } | CharsMap { .. });
            definition.config.normalization.retain(|n| !named(n));
        }
        let model = kitoken::Kitoken::try_from(definition).map_err(|e| error(e.to_string()))?;
        Ok(Self { model, charsmap, strips, adds_bos })
    }

    fn count(&self, text: &str) -> Result<usize, String> {
        self.ids(text).map(|tokens| tokens.len())
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>, String> {
        let normalized = self.charsmap.as_ref().map(|map| map.normalize(text));
        let text = normalized.as_deref().unwrap_or(text);
        // kitoken puts the leading space in front of nothing, too.
        if text.is_empty() || self.strips && text.bytes().all(|b| b == b' ') {
            return Ok(Vec::new());
        }
        self.model.encode(text, false).map_err(|e| e.to_string())
    }
}

impl Tokenizer {
    /// Loads a `tokenizer.json`, a `tokenizer.model`, or a folder that holds one of them (`tokenizer.json` is preferred).
    ///
    /// # Errors
    /// [`DatasetError::Tokenizer`], with the path and what was expected there.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let given = path.as_ref();
        let path = Self::locate(given)?;
        let error = |why: String| DatasetError::Tokenizer { path: path.clone(), why };
        let bytes = std::fs::read(&path).map_err(|e| error(e.to_string()))?;
        if path.extension().is_some_and(|e| e == "model") {
            return Self::from_sentencepiece(&bytes, adds_bos(&path)).map_err(error);
        }
        Self::from_json(&bytes).map_err(error)
    }

    /// The tokenizer of a `tokenizer.json`'s bytes.
    ///
    /// # Errors
    /// What the parser said.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let error = |e: tokenizers::Error| format!("not a tokenizer.json: {e}");
        // Not `from_bytes`, which would be compiled into this crate once more.
        let file = std::str::from_utf8(bytes).map_err(|e| format!("not a tokenizer.json: {e}"))?;
        let mut tokenizer: tokenizers::Tokenizer = file.parse().map_err(error)?;
        let mut digest = Sha256::new_with_prefix(bytes);
        // As the Python tools do when they count: what is cut or filled up would be counted as it is not sent.
        if tokenizer.get_truncation().is_some() || tokenizer.get_padding().is_some() {
            tokenizer.with_truncation(None).map_err(error)?;
            tokenizer.with_padding(None);
            // Counts of an index made before are others.
            digest.update("whole");
        }
        let kind = HuggingFace {
            model: tokenizer,
            #[cfg(feature = "fast-count")]
            file: file.to_owned().into(),
            #[cfg(feature = "fast-count")]
            fast: std::sync::OnceLock::new(),
        };
        Ok(Self { kind: Kind::HuggingFace(Box::new(kind)), digest: digest.finalize().into() })
    }

    #[cfg(feature = "sentencepiece")]
    fn from_sentencepiece(bytes: &[u8], adds_bos: bool) -> Result<Self, String> {
        let model = SentencePiece::parse(bytes, adds_bos)?;
        let digest = Sha256::new_with_prefix(bytes).chain_update([u8::from(adds_bos)]).finalize().into();
        Ok(Self { kind: Kind::SentencePiece(Box::new(model)), digest })
    }

    #[cfg(not(feature = "sentencepiece"))]
    fn from_sentencepiece(_: &[u8], _: bool) -> Result<Self, String> {
        Err("SentencePiece's tokenizer.model needs the feature `sentencepiece`, which this build does not have: add \
             features = [\"sentencepiece\"] in Cargo.toml, or pass --features sentencepiece to cargo install"
            .to_owned())
    }

    /// The package that counts.
    pub(super) fn package(&self) -> &'static str {
        match &self.kind {
            Kind::HuggingFace(_) => "tokenizers",
            #[cfg(feature = "sentencepiece")]
            Kind::SentencePiece(_) => "kitoken",
        }
    }

    /// As kitoken has it, where `judged` finds that it counts alike; it is asked once.
    #[cfg(feature = "fast-count")]
    pub(super) fn fast(
        &self,
        judged: impl FnOnce(&tokenizers::Tokenizer, kitoken::Kitoken) -> Option<super::fast::Model>,
    ) -> Option<std::sync::Arc<super::fast::Model>> {
        let HuggingFace { model, file, fast } = match &self.kind {
            Kind::HuggingFace(tokenizer) => &**tokenizer,
            #[cfg(feature = "sentencepiece")]
            Kind::SentencePiece(_) => return None,
        };
        let convert = || {
            let file = std::mem::take(&mut *file.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
            let mut definition = kitoken::Definition::from_tokenizers_slice(file.as_bytes()).ok()?;
            // What `from_json` has switched off.
            let cuts = |step: &kitoken::Processing| {
                matches!(step, kitoken::Processing::Truncate { .. } | kitoken::Processing::Pad { .. })
            };
            definition.config.processing.retain(|step| !cuts(step));
            judged(model, kitoken::Kitoken::try_from(definition).ok()?).map(Into::into)
        };
        fast.get_or_init(convert).clone()
    }

    /// How many tokens are added around a text with `specials`.
    pub(super) fn specials(&self, specials: bool) -> usize {
        match &self.kind {
            Kind::HuggingFace(t) => {
                t.model.get_post_processor().filter(|_| specials).map_or(0, |p| p.added_tokens(false))
            }
            #[cfg(feature = "sentencepiece")]
            Kind::SentencePiece(model) => usize::from(specials && model.adds_bos),
        }
    }

    /// Of everything that its counts depend on.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn locate(given: &Path) -> Result<PathBuf, DatasetError> {
        let error = |why: &str| DatasetError::Tokenizer { path: given.to_owned(), why: why.to_owned() };
        if given.is_dir() {
            return ["tokenizer.json", "tokenizer.model"]
                .into_iter()
                .map(|name| given.join(name))
                .find(|candidate| candidate.is_file())
                .ok_or_else(|| error("the folder holds neither tokenizer.json nor tokenizer.model"));
        }
        if !given.exists() {
            return Err(error("no such file or folder"));
        }
        Ok(given.to_owned())
    }

    /// How many tokens a text has; with `specials`, those that the tokenizer adds on its own (a BOS) count too.
    ///
    /// A bare `tokenizer.model` adds none, unless the `tokenizer_config.json` beside it says `"add_bos_token": true`.
    ///
    /// # Errors
    /// What the tokenizer said.
    pub fn count(&self, text: &str, specials: bool) -> Result<usize, String> {
        match &self.kind {
            Kind::HuggingFace(t) => t.model.encode_fast(text, specials).map(|e| e.len()).map_err(|e| e.to_string()),
            #[cfg(feature = "sentencepiece")]
            Kind::SentencePiece(model) => Ok(model.count(text)? + self.specials(specials)),
        }
    }

    /// The tokens of a text, without those that the tokenizer adds on its own.
    ///
    /// # Errors
    /// What the tokenizer said.
    #[cfg(feature = "harness")]
    pub(crate) fn ids(&self, text: &str) -> Result<Vec<u32>, String> {
        match &self.kind {
            Kind::HuggingFace(t) => {
                t.model.encode_fast(text, false).map(|e| e.get_ids().to_vec()).map_err(|e| e.to_string())
            }
            #[cfg(feature = "sentencepiece")]
            Kind::SentencePiece(model) => model.ids(text),
        }
    }

    /// As [`Tokenizer::count`], but `None` where there are more than `most`, which is known as soon as there are.
    ///
    /// # Errors
    /// What the tokenizer said.
    pub fn count_up_to(&self, text: &str, specials: bool, most: usize) -> Result<Option<usize>, String> {
        let tokens = match &self.kind {
            Kind::HuggingFace(t) => {
                count_until(&t.model, text, most.saturating_add(1)).map_err(|e| e.to_string())?
                    + self.specials(specials)
            }
            #[cfg(feature = "sentencepiece")]
            Kind::SentencePiece(_) => self.count(text, specials)?,
        };
        Ok(Some(tokens).filter(|&tokens| tokens <= most))
    }
}

/// The tokens of a text, or of its beginning once there are so many. The steps are those of the tokenizer's own `encode`,
/// which stops at its truncation in the same way.
fn count_until(tokenizer: &tokenizers::Tokenizer, text: &str, enough: usize) -> tokenizers::Result<usize> {
    let mut pieces = tokenizer.get_added_vocabulary().extract_and_normalize(tokenizer.get_normalizer(), text);
    if let Some(splitter) = tokenizer.get_pre_tokenizer() {
        splitter.pre_tokenize(&mut pieces)?;
    }
    tokenizer.get_model().tokenize_in_pretokenized(&mut pieces, Some((enough, TruncationDirection::Right)))?;
    let pieces = pieces.get_splits(OffsetReferential::Normalized, OffsetType::None);
    Ok(pieces.iter().map(|(_, _, tokens)| tokens.as_ref().map_or(0, Vec::len)).sum())
}

fn adds_bos(model: &Path) -> bool {
    let Ok(config) = std::fs::read(model.with_file_name("tokenizer_config.json")) else { return false };
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
    config["add_bos_token"].as_bool().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{ShareGpt, SystemTurns};

    /// The texts of the first two turns of the fixture's conversations.
    fn fixture_texts() -> Vec<String> {
        let mut texts = Vec::new();
        let fixture = ShareGpt::file(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sharegpt.json"));
        fixture
            .scan(SystemTurns::Keep, |_, c| {
                texts.extend([c.prompt, c.answer]);
                Ok(())
            })
            .unwrap();
        texts
    }

    #[test]
    fn a_folder_gives_the_tokenizer_in_it() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let tokenizer = Tokenizer::load(&fixtures).unwrap();
        assert_eq!(tokenizer.count("the server", true).unwrap(), tokenizer.count("the server", false).unwrap() + 1);
        for (path, expected) in
            [("streams", "holds neither"), ("nowhere", "no such file"), ("sharegpt.json", "not a tokenizer.json")]
        {
            let message = Tokenizer::load(fixtures.join(path)).err().unwrap().to_string();
            assert!(message.contains(expected) && message.contains(path), "{message}");
        }
    }

    /// Texts are counted as they are sent: whole, and not filled up.
    #[test]
    fn truncation_and_padding_of_the_file_are_switched_off() {
        let mut file: serde_json::Value = serde_json::from_str(include_str!("../../fixtures/tokenizer.json")).unwrap();
        file["truncation"] =
            serde_json::json!({"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0});
        file["padding"] = serde_json::json!({"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
                                             "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"});
        let cutting = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
        let whole = crate::fixtures::tokenizer().unwrap();
        for text in fixture_texts().iter().take(200) {
            for specials in [false, true] {
                let expected = whole.count(text, specials).unwrap();
                assert_eq!(cutting.count(text, specials).unwrap(), expected);
                assert_eq!(cutting.count_up_to(text, specials, 2048).unwrap(), Some(expected).filter(|n| *n <= 2048));
            }
        }
        // An index of the counts that such a file gave before is no index of these.
        assert_ne!(cutting.digest(), <[u8; 32]>::from(Sha256::digest(file.to_string())));
    }

    #[test]
    fn a_count_that_stops_is_the_whole_count_where_that_fits() {
        let tokenizer = crate::fixtures::tokenizer().unwrap();
        let mut texts = vec![String::new(), "<s>".to_owned(), "the<s> server</s>".repeat(9)];
        texts.extend(fixture_texts());
        for text in &texts {
            for specials in [false, true] {
                let whole = tokenizer.count(text, specials).unwrap();
                for most in [whole, whole + 1, 100, whole.saturating_sub(1), whole / 2] {
                    let counted = tokenizer.count_up_to(text, specials, most).unwrap();
                    assert_eq!(counted, (whole <= most).then_some(whole), "{text:?}, at most {most}");
                }
            }
        }
        assert!(texts.len() > 2000);
    }

    #[cfg(feature = "sentencepiece")]
    #[test]
    fn counts_what_sentencepiece_counts() {
        let golden = include_str!("../../fixtures/golden/sentencepiece.json");
        let golden: std::collections::BTreeMap<String, Vec<usize>> = serde_json::from_str(golden).unwrap();
        for (name, expected) in golden {
            let path = format!("{}/fixtures/golden/{name}.model", env!("CARGO_MANIFEST_DIR"));
            let tokenizer = Tokenizer::load(path).unwrap();
            let texts = fixture_texts();
            assert_eq!(texts.len(), expected.len());
            for (text, expected) in texts.iter().zip(expected) {
                assert_eq!(tokenizer.count(text, false).unwrap(), expected, "{name}: {text:?}");
            }
        }
    }
}
