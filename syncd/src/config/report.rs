//! What is wrong with a configuration file, and where it is.

use std::fmt;

/// A position in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePlace {
    /// The line, counted from 1.
    pub line: u32,
    /// The column in bytes, counted from 1.
    pub column: u32,
}

/// A value with the place it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value that was read.
    pub value: T,
    /// Where its directive begins.
    pub place: FilePlace,
}

/// How serious a remark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file works, but something does not do what one may think.
    Warning,
    /// The file is well formed and good enough for control commands, but no daemon can run with it: the
    /// original accepts it as a client, and complains only when the daemon starts.
    CannotStart,
    /// The file is refused in every role.
    Error,
}

/// One remark about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// How bad it is.
    pub severity: Severity,
    /// Its position; `None` when it is about the file as a whole.
    pub place: Option<FilePlace>,
    /// The text, on one line.
    pub text: String,
}

/// How many remarks are kept. Further ones are only counted: in a file that is not a configuration at all,
/// each word is an error.
pub const REMARKS_MAX: usize = 100;

/// All remarks about a file, in the order of their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    remarks: Vec<Remark>,
    left_out: usize,
    worst: Option<Severity>,
}

impl Report {
    /// The remarks that were kept.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// How many remarks there were beyond [`REMARKS_MAX`].
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// True when the file is refused in every role.
    pub fn is_refused(&self) -> bool {
        self.worst == Some(Severity::Error)
    }

    /// True when a daemon can run with it.
    pub fn can_start(&self) -> bool {
        self.worst.is_none_or(|w| w == Severity::Warning)
    }

    /// True when further remarks will only be counted.
    pub(crate) fn is_full(&self) -> bool {
        self.remarks.len() >= REMARKS_MAX
    }

    /// Adds a remark.
    pub(crate) fn add(&mut self, severity: Severity, place: Option<FilePlace>, text: String) {
        self.worst = self.worst.max(Some(severity));
        if self.is_full() {
            self.left_out += 1;
        } else {
            self.remarks.push(Remark { severity, place, text });
        }
    }

    /// Sorts the remarks by line; those about the whole file come last.
    pub(crate) fn sort(&mut self) {
        self.remarks.sort_by_key(|r| (r.place.is_none(), r.place));
    }

    /// The remarks as lines `FILE:LINE:COLUMN: TEXT` with their severity, for a log.
    pub fn by_severity(&self, file: &str) -> Vec<(Severity, String)> {
        let line = |r: &Remark| match r.place {
            Some(p) => format!("{file}:{}:{}: {}", p.line, p.column, r.text),
            None => format!("{file}: {}", r.text),
        };
        let mut all: Vec<_> = self.remarks.iter().map(|r| (r.severity, line(r))).collect();
        if let (Some(worst), 1..) = (self.worst, self.left_out) {
            all.push((worst, format!("{file}: and {} more", self.left_out)));
        }
        all
    }

    /// The remarks as lines `FILE:LINE:COLUMN: error: TEXT`, ready to be printed.
    pub fn lines<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        ReportLines { report: self, file }
    }
}

struct ReportLines<'a> {
    report: &'a Report,
    file: &'a str,
}

impl fmt::Display for ReportLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for r in &self.report.remarks {
            f.write_str(self.file)?;
            if let Some(p) = r.place {
                write!(f, ":{}:{}", p.line, p.column)?;
            }
            let what = match r.severity {
                Severity::Warning => "warning",
                Severity::CannotStart | Severity::Error => "error",
            };
            writeln!(f, ": {what}: {}", r.text)?;
        }
        if self.report.left_out > 0 {
            writeln!(f, "{}: and {} more", self.file, self.report.left_out)?;
        }
        Ok(())
    }
}

/// A word of the file as shown in messages: quoted as by the original, cut when long, without control bytes.
pub(crate) fn quoted(word: &[u8]) -> String {
    const SHOWN: usize = 48;
    let shown = word.get(..SHOWN).unwrap_or(word);
    let mut text = String::from("`");
    for b in shown {
        match b {
            b' '..=b'~' => text.push(char::from(*b)),
            b => text.push_str(&format!("\\x{b:02x}")),
        }
    }
    if shown.len() < word.len() {
        text.push_str("...");
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_lines_in_the_order_of_the_file() {
        let mut r = Report::default();
        assert!(r.can_start() && !r.is_refused());
        r.add(Severity::CannotStart, None, "no link".into());
        r.add(Severity::Warning, Some(FilePlace { line: 2, column: 3 }), "old".into());
        assert!(!r.can_start() && !r.is_refused());
        r.add(Severity::Error, Some(FilePlace { line: 1, column: 9 }), "bad".into());
        assert!(!r.can_start() && r.is_refused());
        r.sort();
        assert_eq!(
            r.lines("f.conf").to_string(),
            "f.conf:1:9: error: bad\nf.conf:2:3: warning: old\nf.conf: error: no link\n"
        );
        assert_eq!(
            r.by_severity("f.conf"),
            [
                (Severity::Error, "f.conf:1:9: bad".into()),
                (Severity::Warning, "f.conf:2:3: old".into()),
                (Severity::CannotStart, "f.conf: no link".into()),
            ]
        );
    }

    #[test]
    fn what_is_not_kept_is_counted() {
        let mut r = Report::default();
        for i in 0..REMARKS_MAX + 7 {
            let severity = if i < REMARKS_MAX { Severity::Warning } else { Severity::Error };
            r.add(severity, None, "x".into());
        }
        assert_eq!((r.remarks().len(), r.left_out()), (REMARKS_MAX, 7));
        assert!(r.is_refused());
        assert!(r.lines("f").to_string().ends_with("f: and 7 more\n"));
        assert_eq!(r.by_severity("f").last(), Some(&(Severity::Error, "f: and 7 more".into())));
    }

    #[test]
    fn words_are_shown_without_control_bytes() {
        assert_eq!(quoted(b"a\x1b[31m\xff"), "`a\\x1b[31m\\xff'");
        assert_eq!(quoted(&[b'x'; 60]), format!("`{}...'", "x".repeat(48)));
    }
}
