//! A block of the console: a name, and lines beside it, within 80 columns, as criterion has it.

use std::io::{self, Write};

/// How the block looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Whether the terminal takes colours.
    pub color: bool,
    /// Whether each pass gets a line.
    pub verbose: bool,
    /// Whether it shows blocks of a line's height, to draw a distribution with.
    pub draws: bool,
}

pub(super) const WIDTH: usize = 80;
pub(super) const INDENT: usize = 24;

/// A name, and lines beside it.
pub(super) fn write_block(out: &mut impl Write, name: &str, lines: &[String], style: Style) -> io::Result<()> {
    let (bold, plain) = if style.color { ("\x1b[32m", "\x1b[0m") } else { ("", "") };
    // As criterion does, a long name gets a line of its own.
    let mut first = if name.len() < INDENT {
        format!("{bold}{}{plain}{}", name, " ".repeat(INDENT - name.len()))
    } else {
        writeln!(out, "{bold}{}{plain}", name)?;
        " ".repeat(INDENT)
    };
    for line in lines {
        writeln!(out, "{}", format!("{first}{line}").trim_end())?;
        first = " ".repeat(INDENT);
    }
    writeln!(out)
}

/// The lines of a text that is longer than there is room.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let (mut used, mut is_first) = (0, true);
    for word in text.split(' ') {
        let length = word.chars().count();
        let is_full = used + 1 + length > width && used > CONTINUED.len() && !is_first;
        if is_full {
            lines.push(CONTINUED.to_owned());
            used = CONTINUED.len();
        }
        let line = lines.last_mut().into_iter();
        line.for_each(|line| {
            // Runs of spaces stay what they are, but where a line begins.
            if !is_first && !is_full {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
        });
        used += length;
        is_first = false;
    }
    lines
}

/// What lines after the first begin with.
const CONTINUED: &str = "  ";

/// Text in a colour, where the terminal takes one.
pub(super) fn paint(text: &str, color: &str, style: Style) -> String {
    if style.color && !color.is_empty() { format!("{color}{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_remarks_wrap() {
        let text = "failed: 3 http_400: some message that goes on and on, for longer than a line of the block may be";
        let lines = wrapped(text, 56);
        assert!(lines.iter().all(|line| line.chars().count() <= 56), "{lines:?}");
        assert_eq!(lines.iter().map(|l| l.trim()).collect::<Vec<_>>().join(" "), text);
        assert_eq!(wrapped(&"x".repeat(100), 56), ["x".repeat(100)]);
        for text in ["a  b", "ttft:   -", "rpm:    [1 2 3]"] {
            assert_eq!(wrapped(text, 56), [text]);
        }
        assert_eq!(wrapped("cpu:    [1 2] of it", 14), ["cpu:    [1 2]", "  of it"]);
    }
}
