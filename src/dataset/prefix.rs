//! Prompts that share their beginnings, as those of assistants do: `prefix:GROUPS:SYSTEM_TOKENS:QUESTION_TOKENS:OUTPUT_TOKENS`.
//!
//! Each group has a system's message of its own, and each of its prompts a question of its own. A seed draws all of them anew, so that what
//! a server can take from its cache is what the prompts of one pass share.

use std::{collections::HashSet, fmt, str::FromStr, sync::Arc};

use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::{
    DatasetError, History, Message, Prompt, PythonRandom, Tokenizer, WordList,
    distribution::Lengths,
    source::{Described, Opening, Source},
    synthetic::lengths_rng,
};

/// `GROUPS:SYSTEM_TOKENS:QUESTION_TOKENS:OUTPUT_TOKENS`, then `grouped` and `weights=W,…` in any order.
#[derive(Clone, Debug)]
struct Prefix {
    groups: usize,
    system_tokens: Lengths,
    question_tokens: Lengths,
    output_tokens: Lengths,
    /// The prompts of a group one after the other, in place of all mixed.
    is_grouped: bool,
    /// How the prompts are shared among the groups; none for equal parts.
    weights: Option<Vec<f64>>,
}

struct Groups {
    shape: Prefix,
    tokenizer: Arc<Tokenizer>,
    list: WordList,
}

/// More groups than this are a mistake.
const MOST_GROUPS: usize = 1_000_000;
/// Draws of a group's text before the group is given up.
const TRIES: usize = 64;

const FORM: &str =
    "prefix:GROUPS:SYSTEM_TOKENS:QUESTION_TOKENS:OUTPUT_TOKENS, optionally followed by :grouped or :weights=W,W,…";

pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    let shape = text.strip_prefix("prefix:")?;
    Some(match shape.parse::<Prefix>() {
        Ok(prefix) => Ok(Arc::new(prefix)),
        Err(why) => Err(format!("`{text}` is not {FORM}: {why}")),
    })
}

impl FromStr for Prefix {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [groups, system, question, output, options @ ..] = parts.as_slice() else {
            return Err("it has too few numbers".to_owned());
        };
        let groups = groups.parse().ok().filter(|groups| (1..=MOST_GROUPS).contains(groups));
        let groups =
            groups.ok_or_else(|| format!("`{}` is not a number of groups from 1 to {MOST_GROUPS}", parts[0]))?;
        let mut prefix = Self {
            groups,
            system_tokens: system.parse()?,
            question_tokens: question.parse()?,
            output_tokens: output.parse()?,
            is_grouped: false,
            weights: None,
        };
        for option in options {
            match (*option, option.strip_prefix("weights=")) {
                ("grouped", _) => prefix.is_grouped = true,
                (_, Some(weights)) => prefix.weights = Some(weights_of(weights, groups)?),
                _ => return Err(format!("`{option}` is neither `grouped` nor `weights=…`")),
            }
        }
        Ok(prefix)
    }
}

fn weights_of(text: &str, groups: usize) -> Result<Vec<f64>, String> {
    let weight = |text: &str| text.parse::<f64>().ok().filter(|weight| weight.is_finite() && *weight > 0.0);
    let weights: Option<Vec<f64>> = text.split(',').map(weight).collect();
    let weights = weights.ok_or_else(|| format!("`{text}` is not a list of numbers above 0"))?;
    match weights.len() == groups {
        true => Ok(weights),
        false => Err(format!("{groups} groups need as many weights, but there are {}", weights.len())),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { groups, system_tokens, question_tokens, output_tokens, is_grouped, weights } = self;
        write!(f, "prefix:{groups}:{system_tokens}:{question_tokens}:{output_tokens}")?;
        if *is_grouped {
            f.write_str(":grouped")?;
        }
        let Some(weights) = weights else { return Ok(()) };
        let weights: Vec<String> = weights.iter().map(ToString::to_string).collect();
        write!(f, ":weights={}", weights.join(","))
    }
}

impl Described for Prefix {
    fn workload_name(&self) -> String {
        let Self { groups, system_tokens, question_tokens, output_tokens, .. } = self;
        format!("prefix-{groups}-{}-{}-{}", system_tokens.name(), question_tokens.name(), output_tokens.name())
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let tokenizer = with.tokenizer.clone();
        let list = WordList::new(&tokenizer)?;
        Ok(Box::new(Groups { shape: self.clone(), tokenizer, list }))
    }
}

impl Prefix {
    /// How many of so many prompts each group has: its part, rounded so that they are as many (the largest remainders go up).
    fn sizes(&self, num_prompts: usize) -> Vec<usize> {
        let equal = vec![1.0; self.groups];
        let weights = self.weights.as_ref().unwrap_or(&equal);
        let all: f64 = weights.iter().sum();
        let parts: Vec<f64> = weights.iter().map(|weight| num_prompts as f64 * weight / all).collect();
        let mut sizes: Vec<usize> = parts.iter().map(|part| *part as usize).collect();
        let mut by_rest: Vec<usize> = (0..self.groups).collect();
        by_rest.sort_by(|a, b| parts[*b].fract().total_cmp(&parts[*a].fract()));
        let missing = num_prompts.saturating_sub(sizes.iter().sum());
        by_rest.into_iter().cycle().take(missing).for_each(|group| sizes[group] += 1);
        sizes
    }
}

impl Groups {
    /// The system's message of each group, no two the same, and its tokens.
    fn systems(&self, rng: &mut ChaCha8Rng, lengths: &mut ChaCha8Rng) -> Result<Vec<(History, u32)>, DatasetError> {
        let mut seen = HashSet::new();
        let mut system = |_| {
            let tokens = self.shape.system_tokens.draw(lengths);
            for _ in 0..TRIES {
                let content = self.list.text(tokens as usize, &self.tokenizer, rng)?;
                if seen.insert(content.clone()) {
                    return Ok((vec![Message { role: "system".to_owned(), content }].into(), tokens));
                }
            }
            let why = format!("that is too short for {} different groups", self.shape.groups);
            Err(DatasetError::Synthetic { tokens: tokens as usize, why })
        };
        (0..self.shape.groups).map(&mut system).collect()
    }
}

impl Source for Groups {
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let Prefix { question_tokens, output_tokens, is_grouped, .. } = &self.shape;
        let (mut rng, mut lengths) = (ChaCha8Rng::seed_from_u64(seed), lengths_rng(seed));
        let systems = self.systems(&mut rng, &mut lengths)?;
        let sizes = self.shape.sizes(num_prompts);
        let mut groups: Vec<usize> =
            sizes.iter().enumerate().flat_map(|(group, size)| std::iter::repeat_n(group, *size)).collect();
        if !is_grouped {
            PythonRandom::new(seed).shuffle(&mut groups);
        }
        let mut is_known = vec![false; systems.len()];
        let prompt = |(conversation, group): (usize, usize)| {
            let tokens = question_tokens.draw(&mut lengths);
            let text = self.list.text(tokens as usize, &self.tokenizer, &mut rng)?;
            let (before, system_tokens) = systems[group].clone();
            Ok(Prompt {
                conversation,
                before,
                prompt_tokens: system_tokens + tokens,
                shared_tokens: if std::mem::replace(&mut is_known[group], true) { system_tokens } else { 0 },
                ..Prompt::new(text, output_tokens.draw(&mut lengths))
            })
        };
        groups.into_iter().enumerate().map(prompt).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{super::dataset::tests::drawn, *};
    use crate::{dataset::Dataset, fixtures};

    fn by_group(prompts: &[Prompt]) -> HashMap<&str, usize> {
        let mut groups = HashMap::new();
        prompts.iter().for_each(|prompt| *groups.entry(prompt.before[0].content.as_str()).or_insert(0) += 1);
        groups
    }

    #[test]
    fn prompts_of_a_group_share_their_beginning_and_nothing_else() {
        let tokenizer = fixtures::tokenizer().unwrap();
        let prompts = drawn("prefix:4:20:7:5", 3, 30);
        let groups = by_group(&prompts);
        let mut sizes: Vec<usize> = groups.values().copied().collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [7, 7, 8, 8]);
        let questions: HashSet<&str> = prompts.iter().map(|prompt| prompt.text.as_str()).collect();
        assert_eq!(questions.len(), 30);
        for (i, prompt) in prompts.iter().enumerate() {
            let count = |text: &str| tokenizer.count(text, false).unwrap();
            assert_eq!((count(&prompt.before[0].content), count(&prompt.text)), (20, 7));
            assert_eq!((prompt.conversation, prompt.output_tokens, prompt.before.len()), (i, 5, 1));
            assert_eq!(prompt.prompt_tokens, 27);
            let is_first = prompts[..i].iter().all(|other| other.before != prompt.before);
            assert_eq!(prompt.shared_tokens, if is_first { 0 } else { 20 });
            assert_eq!(prompt.before[0].role, "system");
        }
        // The same seed the same ones, another seed others.
        assert_eq!(prompts, drawn("prefix:4:20:7:5", 3, 30));
        let others = drawn("prefix:4:20:7:5", 4, 30);
        assert!(by_group(&others).keys().all(|system| !groups.contains_key(system)));
        // Mixed, or one group after the other.
        let changes = |prompts: &[Prompt]| prompts.windows(2).filter(|pair| pair[0].before != pair[1].before).count();
        assert!(changes(&prompts) > 10, "{}", changes(&prompts));
        assert_eq!(changes(&drawn("prefix:4:20:7:5:grouped", 3, 30)), 3);
    }

    #[test]
    fn weights_share_the_prompts_out() {
        let sizes = |text: &str, n| text.parse::<Prefix>().unwrap().sizes(n);
        assert_eq!(sizes("3:9:9:9:weights=6,3,1", 20), [12, 6, 2]);
        assert_eq!(sizes("3:9:9:9:weights=1,1,0.1", 5), [3, 2, 0]);
        assert_eq!(sizes("4:9:9:9", 2), [1, 1, 0, 0]);
        let prompts = drawn("prefix:2:9:9:9:weights=3,1:grouped", 0, 8);
        assert!(prompts[..6].iter().all(|prompt| prompt.before == prompts[0].before));
        assert!(prompts[6..].iter().all(|prompt| prompt.before != prompts[0].before));
    }

    #[test]
    fn it_prints_as_it_is_written() {
        for text in ["prefix:4:20:7:5", "prefix:2:uniform(5,9):normal(7,2):5:grouped:weights=2,0.5"] {
            assert_eq!(text.parse::<Dataset>().unwrap().to_string(), text);
        }
        let name = |text: &str| text.parse::<Dataset>().unwrap().workload_name();
        assert_eq!(name("prefix:4:uniform(5,9):7:5:grouped"), "prefix-4-uniform-5-9-7-5");
        for (text, why) in [
            ("prefix:4:20:7", "it has too few numbers"),
            ("prefix:0:20:7:5", "`0` is not a number of groups from 1 to 1000000"),
            ("prefix:4:20:x:5", "`x` is not a number, uniform(LEAST,MOST)"),
            ("prefix:4:20:7:5:mixed", "`mixed` is neither `grouped` nor `weights=…`"),
            ("prefix:4:20:7:5:weights=1,2", "4 groups need as many weights, but there are 2"),
            ("prefix:2:20:7:5:weights=1,-2", "`1,-2` is not a list of numbers above 0"),
        ] {
            let error = text.parse::<Dataset>().unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is not {FORM}: {why}")), "{error}");
        }
        // Two groups of one token each can differ, a thousand can't.
        let tokenizer = Arc::new(fixtures::tokenizer().unwrap());
        let list = WordList::new(&tokenizer).unwrap();
        let groups = Groups { shape: "1000:1:7:5".parse().unwrap(), tokenizer, list };
        let error = groups.draw(0, 5).unwrap_err().to_string();
        assert!(error.contains("that is too short for 1000 different groups"), "{error}");
    }
}
