//! What one source uses from others: its imports and paths, without what is compiled for tests only.

use std::collections::BTreeSet;

const KEYWORDS: [&str; 11] =
    ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod", "impl", "use"];

/// The words and signs of a source, without comments, lifetimes and quoted text.
fn tokens(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => quoted(rest),
            '\'' => quote_or_lifetime(rest),
            c if c.is_alphanumeric() || c == '_' => {
                let len = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(len);
                let raw = behind.trim_start_matches('#');
                if matches!(word, "r" | "br" | "cr") && raw.starts_with('"') {
                    let end = format!("\"{}", "#".repeat(behind.len() - raw.len()));
                    let body = rest.len() - raw.len() + 1;
                    rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
                } else {
                    found.push(word);
                    len
                }
            }
            ':' if rest.starts_with("::") => {
                found.push("::");
                2
            }
            c => {
                if !c.is_whitespace() {
                    found.push(&rest[..c.len_utf8()]);
                }
                c.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    found
}

/// The length of a text in double quotes.
fn quoted(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, b)) = bytes.next() {
        match b {
            b'\\' => _ = bytes.next(),
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character in quotes, or of a lifetime.
fn quote_or_lifetime(text: &str) -> usize {
    let inner = &text[1..];
    if let Some(escaped) = inner.strip_prefix('\\') {
        let one = escaped.chars().next().map_or(0, char::len_utf8);
        return escaped[one..].find('\'').map_or(text.len(), |at| 2 + one + at + 1);
    }
    let one = inner.chars().next().map_or(0, char::len_utf8);
    if inner[one..].starts_with('\'') {
        return one + 2;
    }
    inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(text.len(), |at| at + 1)
}

/// Where the attribute that begins at `at` ends, and whether it makes its item test-only.
fn attribute(tokens: &[&str], at: usize) -> Option<(usize, bool)> {
    let open = match tokens.get(at..at + 2)? {
        ["#", "["] => at + 1,
        ["#", "!"] if tokens.get(at + 2) == Some(&"[") => at + 2,
        _ => return None,
    };
    let inner = &tokens[open + 1..];
    let test =
        inner.starts_with(&["cfg", "(", "test", ")"]) || inner.starts_with(&["cfg", "(", "all", "(", "test"]);
    Some((close(tokens, open), test))
}

/// The place after the bracket that closes the one at `open`.
fn close(tokens: &[&str], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// Where the item that begins at `at` ends: after its body, its semicolon, or a member's comma.
fn item_end(tokens: &[&str], at: usize) -> usize {
    let item =
        |t: &&&str| KEYWORDS.contains(*t) || matches!(**t, "unsafe" | "extern" | "async" | "macro_rules");
    let member = tokens[at..]
        .iter()
        .find(|t| item(t) || matches!(**t, ":" | "," | "=" | "}"))
        .is_none_or(|t| !item(&t));
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        at = match *token {
            "{" if !member => {
                let end = close(tokens, at);
                return if tokens.get(end) == Some(&";") { end + 1 } else { end };
            }
            ";" => return at + 1,
            "," if member => return at + 1,
            "}" => return at,
            "(" | "[" | "{" => close(tokens, at),
            _ => at + 1,
        };
    }
    at
}

/// Drops what is compiled for tests only; the names of its modules go to `modules`.
fn without_tests<'a>(tokens: &[&'a str], modules: &mut BTreeSet<String>) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let (mut at, mut test) = (0, false);
    while at < tokens.len() {
        if let Some((end, of_tests)) = attribute(tokens, at) {
            if of_tests && tokens[at + 1] == "!" {
                return Vec::new();
            }
            test |= of_tests;
            at = end;
        } else if std::mem::take(&mut test) {
            let end = item_end(tokens, at);
            let declared = tokens[at..end].windows(3).find(|w| w[0] == "mod" && w[2] == ";");
            modules.extend(declared.map(|w| w[1].to_owned()));
            at = end;
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// Names as they are written with `::` between them.
pub(super) type Names = Vec<String>;

/// A name that `use` brings in, or that a path begins with.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) names: Names,
    /// Its local name; `*` for everything that is there.
    pub(super) called: String,
    /// Whether it is re-exported.
    pub(super) public: bool,
    /// The modules inside the file that it stands in.
    pub(super) within: Names,
}

/// What a file says about others.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Its path within the room.
    pub(super) name: String,
    pub(super) lines: usize,
    pub(super) children: BTreeSet<String>,
    pub(super) tests: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    pub(super) paths: Vec<Import>,
    pub(super) defines: BTreeSet<String>,
    /// All words except those of `use` and of module declarations.
    pub(super) words: BTreeSet<String>,
}

impl File {
    pub(super) fn parse(name: &str, source: &str) -> File {
        let mut file = File { name: name.to_owned(), lines: source.lines().count(), ..File::default() };
        let tokens = without_tests(&tokens(source), &mut file.tests);
        let mut within: Vec<(String, usize)> = Vec::new();
        let (mut at, mut depth) = (0, 0usize);
        while at < tokens.len() {
            let next = |n: usize| tokens.get(at + n).copied().unwrap_or("");
            let before = |n: usize| at.checked_sub(n).map_or("", |at| tokens[at]);
            match tokens[at] {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if within.last().is_some_and(|(_, opened)| *opened == depth) {
                        within.pop();
                    }
                }
                "mod" if next(2) == ";" => {
                    file.children.insert(next(1).to_owned());
                    at += 2;
                }
                "mod" if next(2) == "{" => {
                    file.defines.insert(next(1).to_owned());
                    within.push((next(1).to_owned(), depth));
                    depth += 1;
                    at += 2;
                }
                "use" if next(1) != "<" => {
                    let end = at + tokens[at..].iter().position(|t| *t == ";").unwrap_or(tokens.len() - at);
                    let within: Names = within.iter().map(|(name, _)| name.clone()).collect();
                    let public = matches!(before(1), "pub" | ")");
                    let mut leaves = Vec::new();
                    use_tree(&tokens[at + 1..end], &[], &mut leaves);
                    file.imports.extend(leaves.into_iter().map(|(names, called)| Import {
                        names,
                        called,
                        public,
                        within: within.clone(),
                    }));
                    at = end;
                }
                word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                    if KEYWORDS.contains(&word) || (word == "macro_rules" && next(1) == "!") {
                        let skip = if word == "macro_rules" { 2 } else { 1 };
                        file.defines.insert(next(skip).to_owned());
                    }
                    file.words.insert(word.to_owned());
                    let begins =
                        next(1) == "::" && before(1) != "::" && !(before(1) == "in" && before(2) == "(");
                    if begins {
                        let mut names = vec![word.to_owned()];
                        let mut end = at;
                        while tokens.get(end + 1) == Some(&"::") {
                            let Some(word) =
                                tokens.get(end + 2).filter(|w| w.starts_with(char::is_alphabetic))
                            else {
                                break;
                            };
                            names.push((*word).to_owned());
                            end += 2;
                        }
                        let within = within.iter().map(|(name, _)| name.clone()).collect();
                        file.paths.push(Import { names, called: String::new(), public: false, within });
                    }
                }
                _ => {}
            }
            at += 1;
        }
        file
    }
}

/// Collects what a `use` brings in, each with its local name.
fn use_tree(tokens: &[&str], before: &[String], leaves: &mut Vec<(Names, String)>) {
    let mut names = before.to_vec();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match *token {
            "::" => {}
            "{" => {
                let inner = &tokens[at + 1..close(tokens, at) - 1];
                let (mut depth, mut from) = (0usize, 0);
                for (i, token) in inner.iter().enumerate() {
                    match *token {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        "," if depth == 0 => {
                            use_tree(&inner[from..i], &names, leaves);
                            from = i + 1;
                        }
                        _ => {}
                    }
                }
                if from < inner.len() {
                    use_tree(&inner[from..], &names, leaves);
                }
                return;
            }
            "*" => return leaves.push((names, "*".to_owned())),
            "as" => {
                let called = tokens.get(at + 1).map_or("_", |t| t);
                return leaves.push((names, called.to_owned()));
            }
            // `x::{self}` means x.
            "self" if !names.is_empty() => {}
            name => names.push(name.to_owned()),
        }
        at += 1;
    }
    let called = names.last().cloned().unwrap_or_default();
    leaves.push((names, called));
}
