//! The fenced blocks of the documents for people, and what their first line says about them.
//!
//! `sh` is run, `sh by-hand` cannot be (it installs, builds, or asks for a service), `sh on=A`, `on=B` and
//! `on=both` are run on the nodes of a pair, with `eventually` until they succeed. `conf on=A` is a file,
//! named by its first line.

use std::path::{Path, PathBuf};

/// One block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The file it stands in.
    pub file: PathBuf,
    /// The number of the line that opens it.
    pub line: usize,
    /// The language, which GitHub colours by.
    pub language: String,
    /// The words behind the language.
    pub words: Vec<String>,
    /// What is in it.
    pub text: String,
}

impl Block {
    /// True with this word behind the language.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word)
    }

    /// The nodes it is for; none, if it is not about a pair.
    pub fn nodes(&self) -> &'static [&'static str] {
        match self.words.iter().find_map(|w| w.strip_prefix("on=")) {
            Some("A") => &["A"],
            Some("B") => &["B"],
            Some("both") => &["A", "B"],
            Some(other) => panic!("{}: a node called {other}", self.place()),
            None => &[],
        }
    }

    /// File and line, for messages.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

/// All blocks of a document.
///
/// # Panics
/// When the file cannot be read, or a block is not closed.
pub fn blocks(file: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut all = Vec::new();
    let mut open: Option<Block> = None;
    for (line, number) in text.lines().zip(1..) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                open = Some(Block {
                    file: file.to_owned(),
                    line: number,
                    language: words.next().unwrap_or_default(),
                    words: words.collect(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => all.extend(open.take()),
            (None, Some(block)) => {
                block.text += line;
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", file.display());
    all
}
