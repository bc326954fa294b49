//! What was said before a prompt.

use std::{fmt, ops::Deref, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// A message that goes before a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`, mostly.
    pub role: String,
    /// Its text.
    pub content: String,
}

/// Messages that go before a prompt. It derefs to a slice of them. Those of a conversation's turns share one list, of which each has the
/// beginning, so that a conversation takes no more room than its text.
#[derive(Clone, Default)]
pub struct History {
    messages: Arc<[Message]>,
    length: usize,
}

impl History {
    /// The first so many of them, or all.
    pub fn beginning(&self, length: usize) -> Self {
        Self { messages: self.messages.clone(), length: length.min(self.length) }
    }
}

/// Whose answers stand in the history of a conversation's later turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HistoryFrom {
    /// Those that the dataset has: every run sends the same.
    #[default]
    Recorded,
    /// Those that the server has just given: what is sent hangs on the server.
    Server,
}

impl fmt::Display for HistoryFrom {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Recorded => "recorded",
            Self::Server => "server",
        })
    }
}

impl FromStr for HistoryFrom {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "recorded" => Ok(Self::Recorded),
            "server" => Ok(Self::Server),
            _ => Err(format!("`{text}` is neither recorded nor server")),
        }
    }
}

impl Deref for History {
    type Target = [Message];
    fn deref(&self) -> &[Message] {
        &self.messages[..self.length]
    }
}

impl From<Vec<Message>> for History {
    fn from(messages: Vec<Message>) -> Self {
        Self { length: messages.len(), messages: messages.into() }
    }
}

impl FromIterator<Message> for History {
    fn from_iter<I: IntoIterator<Item = Message>>(messages: I) -> Self {
        messages.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'a> IntoIterator for &'a History {
    type Item = &'a Message;
    type IntoIter = std::slice::Iter<'a, Message>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for History {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_share_their_messages() {
        let message = |text: &str| Message { role: "user".to_owned(), content: text.to_owned() };
        let whole: History = ["a", "b", "c"].map(message).into_iter().collect();
        let first = whole.beginning(2);
        assert_eq!((first.len(), &first[1], whole.len()), (2, &message("b"), 3));
        assert!(std::ptr::eq(&raw const first[0], &raw const whole[0]));
        assert_eq!(first, History::from(vec![message("a"), message("b")]));
        assert_ne!(first, whole);
        assert_eq!((whole.beginning(9).len(), first.beginning(0).len(), History::default().len()), (3, 0, 0));
    }
}
