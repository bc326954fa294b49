use std::io::{Write, stderr};

use crate::{report::Style, text::visible};

/// How results are shown.
#[derive(Clone, Copy)]
pub struct Output {
    pub style: Style,
    pub quiet: bool,
}

impl Output {
    /// A line on stderr about what happens now.
    pub fn status(self, line: &str) {
        if !self.quiet {
            // With stderr closed there is nobody to tell.
            _ = writeln!(stderr(), "{}", visible(line));
        }
    }
}

/// A line on stderr about what is odd, and no error.
pub fn warn(line: String) {
    _ = writeln!(stderr(), "warning: {}", visible(&line));
}
