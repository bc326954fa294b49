//! What a response has said so far, whatever the API; its dialect (`api/`) reads the items and puts them here.

use super::failure::one_line;

/// What one event carries; several may be set (llama.cpp packs role and first token together).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Names the speaker.
    pub role: bool,
    /// Non-empty answer text.
    pub content: bool,
    /// Non-empty reasoning text.
    pub reasoning: bool,
    /// Non-empty tool-call arguments.
    pub tool_call: bool,
    /// A finish reason.
    pub finish: bool,
    /// Token counts.
    pub usage: bool,
    /// An error.
    pub error: bool,
    /// `[DONE]`.
    pub done: bool,
    /// Is one of the API's own, whatever it carries.
    pub known: bool,
}

impl Event {
    /// Whether it carries generated text.
    pub fn is_token(self) -> bool {
        self.content || self.reasoning || self.tool_call
    }

    /// What either carries.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            role: self.role || other.role,
            content: self.content || other.content,
            reasoning: self.reasoning || other.reasoning,
            tool_call: self.tool_call || other.tool_call,
            finish: self.finish || other.finish,
            usage: self.usage || other.usage,
            error: self.error || other.error,
            done: self.done || other.done,
            known: self.known || other.known,
        }
    }

    /// Whether it belongs to the protocol at all; `null` and unknown objects are pings.
    pub fn is_ping(self) -> bool {
        self == Self::default()
    }
}

/// Token counts as the server reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// `usage.prompt_tokens`.
    pub prompt_tokens: Option<u32>,
    /// `usage.completion_tokens`.
    pub completion_tokens: Option<u32>,
    /// `usage.prompt_tokens_details.cached_tokens`.
    pub cached_tokens: Option<u32>,
}

/// What a response has said so far; kept and cleared for each request, so that its buffers stop growing.
#[derive(Debug, Default)]
pub struct Answer {
    /// All generated text in order of arrival: reasoning, content and tool-call arguments.
    pub text: String,
    /// The last finish reason; an empty one is none.
    pub finish_reason: Option<String>,
    /// Each count as it was last reported.
    pub usage: Option<Usage>,
    /// The first error inside HTTP 200, as one line; a finish reason that is a failure is one too.
    pub error: Option<String>,
    /// `[DONE]` was seen, or a whole response body.
    pub done: bool,
    /// Choices that have begun, and those of them that have a finish reason: a bit each, the last for all beyond.
    begun: u64,
    finished: u64,
    /// Text has come for a choice that had its finish reason: of this server's answers that is no end.
    goes_on: bool,
    /// Of each choice, where events repeat what was said before.
    choices: Vec<Choice>,
}

/// What the texts of a choice's events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// All that the choice has said so far.
    SoFar,
    /// What it has added.
    Added,
}

#[derive(Debug, Default)]
struct Choice {
    said: String,
    texts: Option<Texts>,
    usage: Usage,
}

impl Answer {
    /// Forgets the last response but the text buffer's capacity.
    pub fn clear(&mut self) {
        self.text.clear();
        self.finish_reason = None;
        self.usage = None;
        self.error = None;
        self.done = false;
        (self.begun, self.finished, self.goes_on) = (0, 0, false);
        for choice in &mut self.choices {
            choice.said.clear();
            (choice.texts, choice.usage) = (None, Usage::default());
        }
    }

    /// Whether every choice that has begun has its finish reason: what may still follow are counts, and the end.
    pub fn is_finished(&self) -> bool {
        self.finished != 0 && self.begun == self.finished && !self.goes_on
    }

    /// Adds generated text; gives whether there was some.
    pub(super) fn append(&mut self, text: &str) -> bool {
        self.text.push_str(text);
        !text.is_empty()
    }

    /// Adds an event's text, which may be all that the choice has said so far; without `texts` it is, for as long as each text
    /// begins with the one before. Gives whether there was something new.
    pub(super) fn append_either(&mut self, choice: u32, text: &str, texts: Option<Texts>) -> bool {
        let choice = choice_of(&mut self.choices, choice);
        // A character that was not whole yet is another one afterwards.
        let whole = choice.said.trim_end_matches('\u{fffd}').len();
        let goes_on = text.as_bytes().starts_with(&choice.said.as_bytes()[..whole]);
        let texts = match (texts, choice.texts) {
            (Some(texts), _) => Some(texts),
            (None, Some(Texts::Added)) => Some(Texts::Added),
            (None, _) => Some(if goes_on { Texts::SoFar } else { Texts::Added }),
        };
        choice.texts = texts;
        let new = match texts {
            Some(Texts::SoFar) if goes_on => {
                let undone = choice.said.len() - whole;
                if text.as_bytes().starts_with(choice.said.as_bytes()) {
                    &text[choice.said.len()..]
                } else {
                    if self.text.ends_with(&choice.said[whole..]) {
                        self.text.truncate(self.text.len() - undone);
                    }
                    choice.said.truncate(whole);
                    &text[whole..]
                }
            }
            // All so far, and yet not what was said: it begins anew.
            Some(Texts::SoFar) => {
                choice.said.clear();
                text
            }
            Some(Texts::Added) | None => text,
        };
        choice.said.push_str(new);
        self.text.push_str(new);
        !new.is_empty()
    }

    /// Takes counts of one choice alone: those of all choices add up.
    pub(super) fn add_usage_of(&mut self, choice: u32, new: Usage) -> bool {
        choice_of(&mut self.choices, choice).usage = new;
        let sum = |of: fn(&Usage) -> Option<u32>| {
            self.choices.iter().filter_map(|choice| of(&choice.usage)).reduce(|a, b| a + b)
        };
        let total = Usage {
            prompt_tokens: sum(|usage| usage.prompt_tokens),
            completion_tokens: sum(|usage| usage.completion_tokens),
            cached_tokens: sum(|usage| usage.cached_tokens),
        };
        self.add_usage(total)
    }

    /// Notes that a choice has begun, and whether it has just said something.
    pub(super) fn hear(&mut self, choice: u32, said_something: bool) {
        let bit = bit(choice);
        self.begun |= bit;
        self.goes_on |= self.finished & bit != 0 && said_something;
    }

    /// Notes why a choice ended.
    pub(super) fn finish(&mut self, choice: u32, reason: String) {
        self.finished |= bit(choice);
        self.finish_reason = Some(reason);
    }

    /// Takes counts: of each the one that was said last holds. Gives whether there was any.
    pub(super) fn add_usage(&mut self, new: Usage) -> bool {
        if new == Usage::default() {
            return false;
        }
        let known = self.usage.unwrap_or_default();
        self.usage = Some(Usage {
            prompt_tokens: new.prompt_tokens.or(known.prompt_tokens),
            completion_tokens: new.completion_tokens.or(known.completion_tokens),
            cached_tokens: new.cached_tokens.or(known.cached_tokens),
        });
        true
    }

    /// Takes note of an error; the first one counts.
    pub(super) fn fail(&mut self, why: impl FnOnce() -> String) {
        self.error.get_or_insert_with(why);
    }

    /// Takes what an error event, or a line `error: …` of the stream, says.
    pub fn take_error(&mut self, data: &[u8]) -> Event {
        self.error.get_or_insert_with(|| match error_message(data) {
            message if message.is_empty() => "the server sent an error event without a message".to_owned(),
            message => message,
        });
        Event { error: true, ..Event::default() }
    }
}

/// More choices than these share the last one's state.
const MOST_CHOICES: u32 = 63;

fn choice_of(choices: &mut Vec<Choice>, index: u32) -> &mut Choice {
    let index = index.min(MOST_CHOICES) as usize;
    if choices.len() <= index {
        choices.resize_with(index + 1, Choice::default);
    }
    &mut choices[index]
}

/// Of a choice, the last for all beyond.
fn bit(choice: u32) -> u64 {
    1 << choice.min(MOST_CHOICES)
}

/// The message in an error body: `{"error": {"message": …}}`, `{"error": …}`, `{"detail": …}`, `{"message": …}`, or the
/// text itself, as one line.
pub fn error_message(body: &[u8]) -> String {
    let message = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => message_in(&value).unwrap_or_else(|| value.to_string()),
        Err(_) => without_tags(&String::from_utf8_lossy(body)),
    };
    one_line(&message)
}

fn message_in(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Object(fields) => ["error", "message", "detail"]
            .iter()
            .filter_map(|key| fields.get(*key))
            .find(|v| !v.is_null())
            .map(|v| message_in(v).unwrap_or_else(|| v.to_string())),
        _ => None,
    }
}

/// The text of an HTML error page.
fn without_tags(text: &str) -> String {
    if !text.trim_start().starts_with('<') {
        return text.to_owned();
    }
    let pieces = text.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, after)| after));
    pieces.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_events_together_carry_what_either_does() {
        let none = Event::default();
        let each = [
            Event { role: true, ..none },
            Event { content: true, ..none },
            Event { reasoning: true, ..none },
            Event { tool_call: true, ..none },
            Event { finish: true, ..none },
            Event { usage: true, ..none },
            Event { error: true, ..none },
            Event { done: true, ..none },
            Event { known: true, ..none },
        ];
        for event in each {
            assert_eq!((event.and(none), none.and(event), event.and(event)), (event, event, event));
        }
        assert!(none.and(none).is_ping());
    }

    #[test]
    fn texts_go_on_or_are_added() {
        use Texts::{Added, SoFar};
        type Said<'a> = &'a [(u32, &'a str, Option<Texts>)];
        let table: [(Said, &str); 7] = [
            (&[(0, "a", None), (0, "ab", None), (0, "abc", None)], "abc"),
            (&[(0, "a", None), (0, "b", None), (0, "bc", None)], "abbc"),
            (&[(0, "a", None), (0, "ab", Some(Added))], "aab"),
            // All so far, and yet another beginning.
            (&[(0, "abc", Some(SoFar)), (0, "xyz", Some(SoFar)), (0, "xyz!", Some(SoFar))], "abcxyz!"),
            // The second half of a character comes with the next event.
            (&[(0, "wxyz\u{fffd}", None), (0, "wxyzé", None), (0, "wxyzé.", None)], "wxyzé."),
            (&[(0, "x\u{fffd}\u{fffd}", None), (0, "x𝄞", None)], "x𝄞"),
            // What another choice has said since is not taken back.
            (&[(0, "x\u{fffd}", None), (1, "y", None), (0, "xé", None)], "x\u{fffd}yé"),
        ];
        for (events, expected) in table {
            let mut answer = Answer::default();
            for (choice, text, texts) in events {
                assert!(answer.append_either(*choice, text, *texts), "{events:?}: {text} is something new");
            }
            assert!(!answer.append_either(9, "", None));
            assert_eq!(answer.text, expected, "{events:?}");
        }
    }

    #[test]
    fn counts_of_all_choices_add_up() {
        let usage =
            |prompt_tokens, completion_tokens, cached_tokens| Usage { prompt_tokens, completion_tokens, cached_tokens };
        let mut answer = Answer::default();
        assert!(!answer.add_usage_of(0, Usage::default()));
        answer.add_usage_of(0, usage(Some(5), Some(1), None));
        answer.add_usage_of(2, usage(Some(7), Some(2), Some(4)));
        assert!(answer.add_usage_of(0, usage(Some(5), Some(3), None)), "its last count holds");
        assert_eq!(answer.usage, Some(usage(Some(12), Some(5), Some(4))));
    }

    #[test]
    fn error_bodies_of_any_shape_give_their_message() {
        let table = [
            (r#"{"error":{"message":"a  b","code":400}}"#, "a b"),
            (r#"{"error":"plain"}"#, "plain"),
            (
                r#"{"detail":"Unexpected fields in the request: {'ignore_eos'}"}"#,
                "Unexpected fields in the request: {'ignore_eos'}",
            ),
            (
                r#"{"detail":[{"loc":["body","model"],"msg":"Field required"}]}"#,
                r#"[{"loc":["body","model"],"msg":"Field required"}]"#,
            ),
            (r#"{"object":"error","message":"no model","type":"x","code":404}"#, "no model"),
            (r#"{"code":1}"#, r#"{"code":1}"#),
            ("Internal Server Error", "Internal Server Error"),
            ("<html>\r\n<head><title>429 Too Many Requests</title></head></html>", "429 Too Many Requests"),
            ("", ""),
        ];
        for (body, expected) in table {
            assert_eq!(error_message(body.as_bytes()), expected, "{body}");
        }
        assert!(error_message("word ".repeat(1000).as_bytes()).len() < 320);
    }
}
