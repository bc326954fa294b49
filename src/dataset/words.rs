//! Texts of an exact token length: for synthetic prompts, for warm-up requests and for the embedded engine.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{DatasetError, Prompt, Tokenizer};

/// Common English words; those that are one token each in a tokenizer make texts of any exact length in it.
const WORDS: &str = "the of and to in is that for it as was with be by on not he his but at are this have from or had an \
they which one you were all her she there would their we him been has when who will no more if out so up said what its \
about than into them can only other time new some could these two may first then do any like my now over such our man me \
even most made after also well many must before back through years much where your way down should because long each just \
state those people too little how good world make very year still see own work men day get here between both life being \
under three never know same last another while us off might great go come since against right came take used states day \
house use without place around small found man part once high upon school every number course end water point fact though \
head table light door room face side night mind field home hand book line word list plan test wind rain road tree bird";

/// Words that are exactly one token each, with the space before them, in one tokenizer.
pub struct WordList {
    words: Vec<&'static str>,
}

impl WordList {
    /// The words that this tokenizer counts as one token.
    ///
    /// # Errors
    /// [`DatasetError::Synthetic`] for a tokenizer of another kind (characters, another language), which has too few.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, DatasetError> {
        let error = |why: String| DatasetError::Synthetic { tokens: 1, why };
        let base = tokenizer.count("the", false).map_err(error)?;
        let mut words = Vec::new();
        for word in WORDS.split_ascii_whitespace() {
            if tokenizer.count(&format!("the {word}"), false).map_err(error)? == base + 1 {
                words.push(word);
            }
        }
        if words.len() < 8 {
            return Err(error(format!("only {} common English words are one token in it", words.len())));
        }
        Ok(Self { words })
    }

    /// The words, each one token when it follows a space.
    pub fn words(&self) -> &[&'static str] {
        &self.words
    }

    /// A text that the tokenizer counts (without special tokens) as exactly `tokens`, at least 1.
    ///
    /// # Errors
    /// [`DatasetError::Synthetic`] where the counts do not add up, which no tokenizer met so far does.
    pub fn text(&self, tokens: usize, tokenizer: &Tokenizer, rng: &mut ChaCha8Rng) -> Result<String, DatasetError> {
        let error = |why: String| DatasetError::Synthetic { tokens, why };
        let mut chosen: Vec<&str> =
            (0..tokens.max(1)).map(|_| self.words[rng.random_range(0..self.words.len())]).collect();
        // One round is enough where words do not merge; SentencePiece models may need a second, and a text of one token some more.
        for _ in 0..64 {
            let text = chosen.join(" ");
            match tokenizer.count(&text, false).map_err(error)? {
                n if n == tokens => return Ok(text),
                n if n > tokens && chosen.len() > n - tokens => chosen.truncate(chosen.len() - (n - tokens)),
                n if n < tokens => {
                    chosen.extend((n..tokens).map(|_| self.words[rng.random_range(0..self.words.len())]));
                }
                // A first word that is more than one token on its own: try others.
                _ => chosen.iter_mut().for_each(|w| *w = self.words[rng.random_range(0..self.words.len())]),
            }
        }
        Err(error("its token counts do not add up over words".to_owned()))
    }

    /// `num_prompts` prompts of exactly these lengths, from a seed.
    ///
    /// # Errors
    /// As [`WordList::text`].
    pub fn prompts(
        &self,
        tokenizer: &Tokenizer,
        seed: u64,
        num_prompts: usize,
        prompt_tokens: u32,
        output_tokens: u32,
    ) -> Result<Vec<Prompt>, DatasetError> {
        self.prompts_of(tokenizer, seed, std::iter::repeat_n((prompt_tokens, output_tokens), num_prompts))
    }

    /// A prompt for each of these lengths: of the prompt, and of what is asked for.
    ///
    /// # Errors
    /// As [`WordList::text`].
    pub fn prompts_of(
        &self,
        tokenizer: &Tokenizer,
        seed: u64,
        lengths: impl Iterator<Item = (u32, u32)>,
    ) -> Result<Vec<Prompt>, DatasetError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let prompt = |(conversation, (prompt_tokens, output_tokens)): (usize, (u32, u32))| {
            let text = self.text(prompt_tokens as usize, tokenizer, &mut rng)?;
            Ok(Prompt { conversation, prompt_tokens, ..Prompt::new(text, output_tokens) })
        };
        lengths.enumerate().map(prompt).collect()
    }
}

/// Prompts of so many letters and spaces, for a tokenizer that has too few of these words.
///
/// # Errors
/// What the tokenizer said.
#[cfg(feature = "harness")]
pub fn letters(
    tokenizer: &Tokenizer,
    seed: u64,
    n: usize,
    characters: usize,
    output_tokens: u32,
) -> Result<Vec<Prompt>, String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut prompt = |conversation: usize| {
        let letter = |i: usize| if i % 6 == 5 { ' ' } else { char::from(rng.random_range(b'a'..=b'z')) };
        let text: String = (0..characters.max(1)).map(letter).collect();
        let prompt_tokens = tokenizer.count(&text, false)? as u32;
        Ok(Prompt { conversation, prompt_tokens, ..Prompt::new(text, output_tokens) })
    };
    (0..n).map(&mut prompt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "harness")]
    #[test]
    fn letters_serve_where_words_are_none() {
        let mut file: serde_json::Value = serde_json::from_str(include_str!("../../fixtures/tokenizer.json")).unwrap();
        // A tokenizer of bytes.
        file["model"]["merges"] = serde_json::json!([]);
        let bytes = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
        assert!(WordList::new(&bytes).is_err());
        let prompts = letters(&bytes, 1, 3, 20, 5).unwrap();
        assert_eq!(
            prompts.iter().map(|p| (p.text.len(), p.prompt_tokens, p.output_tokens)).collect::<Vec<_>>(),
            [(20, 20, 5); 3]
        );
        assert!(prompts[0].text != prompts[1].text);
    }

    #[test]
    fn texts_have_exactly_the_tokens_asked_for() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
        for path in ["tokenizer.json", "golden/bpe.model", "golden/unigram.model"] {
            let tokenizer = match Tokenizer::load(format!("{root}/{path}")) {
                Ok(tokenizer) => tokenizer,
                Err(_) if cfg!(not(feature = "sentencepiece")) => continue,
                Err(e) => panic!("{e}"),
            };
            let words = WordList::new(&tokenizer).unwrap();
            for tokens in [1, 2, 3, 7, 64, 1000] {
                let prompts = words.prompts(&tokenizer, 7, 3, tokens, 5).unwrap();
                for prompt in &prompts {
                    assert_eq!(tokenizer.count(&prompt.text, false).unwrap(), tokens as usize, "{path}");
                }
                assert_eq!(prompts, words.prompts(&tokenizer, 7, 3, tokens, 5).unwrap());
            }
        }
    }
}
