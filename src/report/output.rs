use std::io::{Write, stderr};

use super::block::Style;
use crate::text::visible;

/// How results and progress are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// Of what is printed.
    pub style: Style,
    /// Whether nothing is said about what happens now.
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
