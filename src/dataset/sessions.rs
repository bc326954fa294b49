//! Conversations of several turns: `sessions:FILE`.

use std::{
    fmt,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;

use super::{
    DatasetError, History, HistoryFrom, Message, Prompt, PythonRandom, Tokenizer,
    own::name_of,
    session_file::{Place, Session, SessionFile, Turn},
    source::{Described, Opening, Source},
};

struct Sessions(PathBuf);

pub(super) fn parse(text: &str) -> Option<Result<Arc<dyn Described>, String>> {
    let path = text.strip_prefix("sessions:")?;
    Some(match path {
        "" => Err(format!("`{text}` names no file: sessions:FILE")),
        path => Ok(Arc::new(Sessions(path.into()))),
    })
}

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "sessions:{}", self.0.display())
    }
}

impl Described for Sessions {
    fn workload_name(&self) -> String {
        format!("sessions-{}", name_of(&self.0))
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn within(&self, folder: &Path) -> Option<String> {
        Some(Self(folder.join(&self.0)).to_string())
    }

    fn open(&self, with: &Opening) -> Result<Box<dyn Source>, DatasetError> {
        let file = SessionFile { path: self.0.clone(), system_turns: with.system_turns, max_tokens: with.max_tokens };
        let places = file.scan(with.min_turns, with.stopped)?;
        let Opening { max_context, history_from, .. } = *with;
        Ok(Box::new(Drawing { file, places, tokenizer: with.tokenizer.clone(), max_context, history_from }))
    }
}

struct Drawing {
    file: SessionFile,
    places: Vec<Place>,
    tokenizer: Arc<Tokenizer>,
    max_context: Option<u32>,
    history_from: HistoryFrom,
}

impl Drawing {
    /// The turns of a conversation as prompts. The tokens of each are those of the messages, each counted by itself: of all that go before it
    /// where those are recorded, and of its own where the server's answers are to come.
    fn prompts(&self, conversation: usize, session: Session) -> Result<Vec<Prompt>, DatasetError> {
        let count = |text: &str| {
            let error = |why| DatasetError::Tokenize { path: self.file.name(), index: conversation, why };
            Ok(self.tokenizer.count(text, false).map_err(error)? as u32)
        };
        let mut messages = Vec::new();
        let mut tokens = 0;
        if let Some(system) = session.system {
            tokens += count(&system)?;
            messages.push(Message { role: "system".to_owned(), content: system });
        }
        let is_recorded = self.history_from == HistoryFrom::Recorded;
        let mut drawn: Vec<(usize, Prompt)> = Vec::new();
        // What the turn before has sent.
        let mut shared_tokens = 0;
        for Turn { user, answer } in session.turns {
            if is_recorded && messages.last().is_some_and(|message: &Message| message.content.is_empty()) {
                return Err(DatasetError::NoAnswers { path: self.file.name() });
            }
            let before = messages.len();
            let prompt_tokens = tokens + count(&user.text)?;
            let answer_tokens = answer.as_deref().map(count).transpose()?;
            let output_tokens = user.output_tokens.or(self.file.max_tokens).or(answer_tokens).unwrap_or(1).max(1);
            if self.max_context.is_some_and(|most| prompt_tokens + output_tokens > most) {
                break;
            }
            let prompt = Prompt {
                conversation,
                turn: drawn.len() as u32,
                pause: user.pause,
                prompt_tokens,
                shared_tokens,
                ..Prompt::new(user.text.clone(), output_tokens)
            };
            drawn.push((before, prompt));
            messages.push(Message { role: "user".to_owned(), content: user.text });
            // Where none was recorded, the server's own will stand there.
            messages.push(Message { role: "assistant".to_owned(), content: answer.unwrap_or_default() });
            (shared_tokens, tokens) = match is_recorded {
                true => (prompt_tokens, prompt_tokens + answer_tokens.unwrap_or_default()),
                false => (0, 0),
            };
        }
        let history = History::from(messages);
        Ok(drawn.into_iter().map(|(before, prompt)| Prompt { before: history.beginning(before), ..prompt }).collect())
    }
}

/// Conversations whose tokens are counted at once.
const BATCH: usize = 256;

impl Source for Drawing {
    /// Whole conversations in an order that the seed draws, until there are so many prompts; the last one is cut there.
    fn draw(&self, seed: u64, num_prompts: usize) -> Result<Vec<Prompt>, DatasetError> {
        let mut order: Vec<usize> = (0..self.places.len()).collect();
        PythonRandom::new(seed).shuffle(&mut order);
        let mut file = BufReader::new(File::open(&self.file.path).map_err(|e| self.file.read_error(e))?);
        let mut prompts = Vec::new();
        for batch in order.chunks(BATCH) {
            let mut sessions = Vec::new();
            let mut turns = prompts.len();
            for place in batch {
                if turns >= num_prompts {
                    break;
                }
                let session = self.file.load(&mut file, &self.places[*place])?;
                turns += session.turns.len();
                sessions.push((*place, session));
            }
            let drawn: Vec<Result<Vec<Prompt>, DatasetError>> =
                sessions.into_par_iter().map(|(place, session)| self.prompts(place, session)).collect();
            for drawn in drawn {
                prompts.extend(drawn?);
            }
            if prompts.len() >= num_prompts {
                prompts.truncate(num_prompts);
                return Ok(prompts);
            }
        }
        Err(DatasetError::TooFewPrompts { path: self.file.name(), wanted: num_prompts, there: prompts.len() })
    }

    fn counted_by(&self) -> Option<&'static str> {
        Some(self.tokenizer.package())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::{
        dataset::{Dataset, Prompts, SystemTurns, draw_pauses},
        fixtures,
    };

    fn drawn_with(file: &str, n: usize, edit: impl FnOnce(&mut Opening)) -> Result<Vec<Prompt>, DatasetError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        std::fs::write(&path, file).unwrap();
        let mut with = Opening::new(Arc::new(fixtures::tokenizer().unwrap()));
        edit(&mut with);
        format!("sessions:{}", path.display()).parse::<Dataset>().unwrap().open(&with)?.draw(0, n)
    }

    fn drawn(file: &str, n: usize) -> Vec<Prompt> {
        drawn_with(file, n, |_| ()).unwrap()
    }

    /// All messages of the last prompt, and its own text.
    fn said(prompts: &[Prompt]) -> Vec<&str> {
        let last = prompts.last().unwrap();
        last.before.iter().map(|message| message.content.as_str()).chain([last.text.as_str()]).collect()
    }

    fn sharegpt(conversations: &[(&str, &[(&str, &str)])]) -> String {
        let turns = |turns: &[(&str, &str)]| -> Vec<Value> {
            turns.iter().map(|(from, value)| serde_json::json!({"from": from, "value": value})).collect()
        };
        let all: Vec<Value> = conversations
            .iter()
            .map(|(id, said)| serde_json::json!({"id": id, "conversations": turns(said)}))
            .collect();
        Value::from(all).to_string()
    }

    #[test]
    fn turns_carry_what_was_said_before() {
        let file = sharegpt(&[(
            "a",
            &[("system", "Be"), ("human", "one"), ("gpt", "two three"), ("human", "four"), ("gpt", "five")],
        )]);
        let prompts = drawn(&file, 2);
        assert_eq!(said(&prompts), ["Be", "one", "two three", "four"]);
        let roles: Vec<&str> = prompts[1].before.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant"]);
        let tokenizer = fixtures::tokenizer().unwrap();
        let count = |texts: &[&str]| texts.iter().map(|text| tokenizer.count(text, false).unwrap() as u32).sum::<u32>();
        let [first, second] = &prompts[..] else { unreachable!("two were drawn") };
        assert_eq!((first.turn, first.prompt_tokens, first.shared_tokens), (0, count(&["Be", "one"]), 0));
        assert_eq!((second.turn, second.conversation), (1, 0));
        assert_eq!(second.prompt_tokens, count(&["Be", "one", "two three", "four"]));
        assert_eq!((second.shared_tokens, second.output_tokens), (first.prompt_tokens, count(&["five"])));
        // With the server's answers, what a turn adds.
        let live = drawn_with(&file, 2, |with| with.history_from = HistoryFrom::Server).unwrap();
        assert_eq!((live[1].prompt_tokens, live[1].shared_tokens), (count(&["four"]), 0));
        let dropped = drawn_with(&file, 2, |with| with.system_turns = SystemTurns::Drop).unwrap();
        assert_eq!(said(&dropped)[0], "one");
        // A turn that does not fit ends it there.
        let cut = |most: u32| drawn_with(&file, 1, |with| with.max_context = Some(most)).map(|prompts| prompts.len());
        let whole = second.prompt_tokens + second.output_tokens;
        assert_eq!(
            (cut(whole - 1).unwrap(), drawn_with(&file, 2, |with| with.max_context = Some(whole - 1)).is_err()),
            (1, true)
        );
    }

    #[test]
    fn parts_of_a_conversation_are_put_together() {
        let file = sharegpt(&[
            ("a_0", &[("human", "one"), ("gpt", "two")]),
            ("b_0", &[("human", "other"), ("gpt", "other"), ("human", "other"), ("gpt", "other")]),
            ("a_1", &[("gpt", "again"), ("human", "three"), ("gpt", "four")]),
            ("a_x", &[("human", "no part"), ("gpt", "no")]),
        ]);
        let prompts = drawn(&file, 4);
        let a: Vec<&Prompt> = prompts.iter().filter(|prompt| prompt.conversation == 0).collect();
        // The speaker of the second part's first turn was the last one already.
        assert_eq!(said(&[a[1].clone()]), ["one", "two", "three"]);
        assert!(drawn_with(&file, 5, |_| ()).unwrap_err().to_string().contains("holds 4"));
        // With conversations of one turn there is one more.
        assert_eq!(drawn_with(&file, 5, |with| with.min_turns = 1).unwrap().len(), 5);
        assert!(drawn_with(&file, 1, |with| with.min_turns = 3).is_err());
    }

    #[test]
    fn speakers_take_turns_or_are_left_out() {
        let good: &[(&str, &str)] = &[("human", "x"), ("gpt", "x"), ("human", "x"), ("gpt", "x")];
        for (turns, left) in [
            (&[("gpt", "hello"), ("human", "one"), ("gpt", "two"), ("human", "three"), ("gpt", "four")][..], 2),
            (&[("user", "one"), ("bing", "two"), ("user", "three"), ("bard", "four"), ("user", "last")], 2),
            (&[("human", "one"), ("human", "two"), ("gpt", "three"), ("human", "four"), ("gpt", "five")], 0),
            (&[("human", "one"), ("gpt", ""), ("human", "three"), ("gpt", "four")], 0),
            (&[("human", "one"), ("alien", "two"), ("human", "three"), ("gpt", "four")], 0),
        ] {
            let file = sharegpt(&[("a", good), ("b", turns)]);
            let there = drawn_with(&file, 99, |_| ()).unwrap_err().to_string();
            assert!(there.contains(&format!("holds {}", 2 + left)), "{turns:?}: {there}");
        }
    }

    #[test]
    fn other_formats_are_read() {
        let vllm = r#"[{"id": "a_0", "messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"}, {"role": "assistant", "content": "four"}]}]"#;
        assert_eq!(said(&drawn(vllm, 2)), ["one", "two", "three"]);
        let aiperf = "\n{\"session_id\": \"a\", \"turns\": [{\"text\": \"one\", \"max_tokens\": 3}, {\"texts\": [\"two\"], \"delay\": 1500, \"max_tokens\": 4}]}\n";
        let live = drawn_with(aiperf, 2, |with| with.history_from = HistoryFrom::Server).unwrap();
        assert_eq!(
            (live[1].text.as_str(), live[1].pause, live[1].output_tokens),
            ("two", Duration::from_millis(1500), 4)
        );
        assert_eq!((live[1].before[0].content.as_str(), live[1].before[1].content.as_str()), ("one", ""));
        assert!(drawn_with(aiperf, 2, |_| ()).unwrap_err().to_string().contains("--history-from server"));
        let recorded = aiperf.replace("{\"texts\"", "{\"role\": \"assistant\", \"text\": \"A\"}, {\"texts\"");
        assert_eq!(said(&drawn(&recorded, 2)), ["one", "A", "two"]);
        for (file, expected) in [
            (
                r#"{"filetype": "generate_conversations", "num_conversations": 4}"#,
                "it tells vLLM how to generate conversations",
            ),
            ("3", "it is neither an array nor has an object a line"),
            ("", "it is empty"),
            ("[]", "none of its 0 elements"),
            ("{\"a\": 1}", "line 1: it has no list `turns`, `messages` or `conversations`"),
            ("[{]", "is not JSON: line 1 column 3"),
        ] {
            let error = drawn_with(file, 1, |_| ()).unwrap_err().to_string();
            assert!(error.contains(expected), "{file}: {error}");
        }
    }

    /// On every machine.
    #[test]
    fn a_seed_draws_the_same_conversations_and_pauses_everywhere() {
        let file = include_str!("../../fixtures/sharegpt.json");
        let prompts = |seed: u64| {
            let mut prompts = drawn(file, 100);
            draw_pauses(&mut prompts, &"lognormal(2,0.5)".parse().unwrap(), seed);
            Prompts { seed, prompts }
        };
        let digest = prompts(0).digest(&()).to_string();
        assert_eq!(digest, "sha256:9ebc5a8a2272d9fa62f3033d58aed73709316b583c1b699a17170cb82da9247d");
        assert_ne!(prompts(1).digest(&()).to_string(), digest);
    }
}
