//! Foreign texts (of servers, files and commits) as they may reach a terminal or a report.

use std::borrow::Cow;

/// The text with every character escaped (`\\u{1b}`) that is not seen but acts: control characters, which terminals obey, and
/// those that change the direction or the order of what is shown.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_hidden(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Whether a character acts without being seen.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_without_being_seen_is_escaped() {
        let table = [
            ("größe 海 😀 \\", "größe 海 😀 \\"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("a\nb\u{9b}2J\x7f", "a\\u{a}b\\u{9b}2J\\u{7f}"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{61c}", "a\\u{202e}b\\u{2066}c\\u{200f}\\u{61c}"),
            ("\u{feff}\u{2028}", "\\u{feff}\\u{2028}"),
        ];
        for (text, expected) in table {
            assert_eq!(visible(text), expected);
        }
    }
}
