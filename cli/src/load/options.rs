//! The options of `-R`, which follow the file's name.

/// What the options after the file name say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Report every line that fails and go on.
    pub keep_going: bool,
    /// Show what the lines would do, and change nothing.
    pub dry_run: bool,
}

impl Options {
    /// Finds the options among the words after the file name. Other words are ignored, as in the original.
    pub fn of(words: &[&[u8]]) -> Options {
        Options {
            keep_going: words.contains(&&b"--keep-going"[..]),
            dry_run: words.contains(&&b"--dry-run"[..]),
        }
    }
}
