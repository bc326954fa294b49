//! Prompts of exact lengths, in tokens, for those who have no dataset: `random:PROMPT_TOKENS:OUTPUT_TOKENS`.

use std::{fmt, sync::Arc};

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{
    DatasetError, Prompt, Tokenizer, WordList,
    distribution::Lengths,
    source::{Described, Opening, Source},
};

#[derive(Clone, Copy)]
struct Random {
    prompt_tokens: Lengths,
    output_tokens: Lengths,
}

struct Words {
    lengths: Random,
    tokenizer: Arc<Tokenizer>,
    list: WordList,
}

pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    let lengths = text.strip_prefix("random:")?;
    let Some((prompt, output)) = lengths.split_once(':') else {
        return Some(Err(format!("`{text}` is not random:PROMPT_TOKENS:OUTPUT_TOKENS")));
    };
    let parsed = prompt.parse().and_then(|prompt_tokens| Ok(Random { prompt_tokens, output_tokens: output.parse()? }));
    Some(match parsed {
        Ok(random) => Ok(Arc::new(random)),
        Err(why) => Err(format!("`{text}` is not random:PROMPT_TOKENS:OUTPUT_TOKENS: {why}")),
    })
}

impl fmt::Display for Random {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "random:{}:{}", self.prompt_tokens, self.output_tokens)
    }
}

impl Described for Random {
    fn workload_name(&self) -> String {
        format!("random-{}-{}", self.prompt_tokens.name(), self.output_tokens.name())
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let tokenizer = with.tokenizer.clone();
        let list = WordList::new(&tokenizer)?;
        Ok(Box::new(Words { lengths: *self, tokenizer, list }))
    }
}

impl Source for Words {
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let Random { prompt_tokens, output_tokens } = self.lengths;
        let mut rng = lengths_rng(seed);
        let lengths = (0..num_prompts).map(|_| (prompt_tokens.draw(&mut rng), output_tokens.draw(&mut rng)));
        self.list.prompts_of(&self.tokenizer, seed, lengths)
    }
}

/// What draws lengths: apart from what draws words, so that those of a seed stay the same whatever the lengths are.
pub(super) fn lengths_rng(seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(1);
    rng
}

#[cfg(test)]
mod tests {
    use super::{super::dataset::tests, *};
    use crate::{
        dataset::{Dataset, Prompts},
        fixtures,
    };

    fn drawn(text: &str) -> Prompts {
        Prompts { seed: 1, prompts: tests::drawn(text, 1, 200) }
    }

    /// On every machine: the digests of other kinds of prompts are in the tests of their files.
    #[test]
    fn a_seed_draws_the_same_prompts_everywhere() {
        let digests = [
            "random:12:7",
            "random:uniform(5,20):normal(50,20)",
            "random:lognormal(20,0.5,60):exponential(30)",
            "prefix:4:20:uniform(5,9):7",
        ]
        .map(|text| drawn(text).digest(&()).to_string());
        assert_eq!(
            digests,
            [
                "sha256:b8e0911f9ea26add09e8ac9fd0ed495a9417ebfa38b3d64ffa00a2a0a40dc225",
                "sha256:8f220ed7f3771742d1fec2503bb20173882bc48a87cceb3cac2ae2cbb8be4397",
                "sha256:f9af9485b553791cc109cf9adecefa01d9218c559ede5230d0607cce1e76854c",
                "sha256:491d39ceab3d14d30e3c6f85fdbb50c12f5a9016c3f7d36a3a88201b42616b46",
            ]
        );
    }

    #[test]
    fn lengths_are_those_of_the_distributions() {
        let tokenizer = fixtures::tokenizer().unwrap();
        let prompts = drawn("random:uniform(5,20):normal(50,20)").prompts;
        for prompt in &prompts {
            assert_eq!(tokenizer.count(&prompt.text, false).unwrap(), prompt.prompt_tokens as usize);
            assert!((5..=20).contains(&prompt.prompt_tokens) && prompt.output_tokens > 0, "{prompt:?}");
        }
        let mean = prompts.iter().map(|prompt| f64::from(prompt.output_tokens)).sum::<f64>() / 200.0;
        // Five standard errors of 200 draws.
        assert!((mean - 50.0).abs() < 7.1, "{mean}");
        // A constant length draws the words that it has always drawn.
        let constant = drawn("random:12:7").prompts;
        assert!(constant.iter().all(|prompt| (prompt.prompt_tokens, prompt.output_tokens) == (12, 7)));
        let list = WordList::new(&tokenizer).unwrap();
        assert_eq!(constant, list.prompts(&tokenizer, 1, 200, 12, 7).unwrap());
    }

    #[test]
    fn it_prints_as_it_is_written() {
        for text in ["random:12:7", "random:uniform(5,20):lognormal(50,0.5,90)"] {
            assert_eq!(text.parse::<Dataset>().unwrap().to_string(), text);
        }
        let name = |text: &str| text.parse::<Dataset>().unwrap().workload_name();
        assert_eq!(name("random:uniform(5,20):7"), "random-uniform-5-20-7");
        for (text, why) in [
            ("random:5", ""),
            ("random:0:5", ": `0` is no number of tokens"),
            ("random:5:x", ": `x` is not a number, "),
        ] {
            let error = text.parse::<Dataset>().unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is not random:PROMPT_TOKENS:OUTPUT_TOKENS{why}")), "{error}");
        }
    }
}
