//! The metrics in the other text format, OpenMetrics 1.0, for those who ask for it.

use std::str;

/// The media type of the text, for a header `Content-Type`.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Converts the text from Prometheus's format. The differences: a counter's family is named without the
/// `_total` that its samples have, quotes in a help are escaped, and the end is marked.
pub fn from_text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 16);
    let mut lines = text.split_inclusive(|b| *b == b'\n').peekable();
    while let Some(line) = lines.next() {
        let Some(help) = line.strip_prefix(b"# HELP ") else {
            out.extend_from_slice(line);
            continue;
        };
        // The type always follows.
        let kind = lines.next_if(|l| l.starts_with(b"# TYPE ")).unwrap_or_default();
        let name = help.split(|b| *b == b' ').next().unwrap_or_default();
        let family = match name.strip_suffix(b"_total") {
            Some(short) if kind.ends_with(b" counter\n") => short,
            _ => name,
        };
        out.extend_from_slice(b"# HELP ");
        out.extend_from_slice(family);
        for byte in help.get(name.len()..).unwrap_or_default() {
            if *byte == b'"' {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        if let Some(kind) = kind.get(b"# TYPE ".len() + name.len()..) {
            out.extend_from_slice(b"# TYPE ");
            out.extend_from_slice(family);
            out.extend_from_slice(kind);
        }
    }
    out.extend_from_slice(b"# EOF\n");
    out
}

/// Whether the values of the `Accept` headers, in any order, prefer this format to the other one, which is
/// the default.
pub fn is_preferred<'a>(accepts: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut open, mut text) = (0, 0);
    for range in accepts.flat_map(|value| value.split(|b| *b == b',')) {
        let mut parts = range.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut weight, mut version) = (1000, None);
        for part in parts {
            match part.split_at_checked(2) {
                Some((b"q=" | b"Q=", number)) => weight = thousandths(number),
                _ => {
                    version =
                        version.or(part.to_ascii_lowercase().strip_prefix(b"version=").map(<[u8]>::to_vec))
                }
            }
        }
        let is = |known: &[u8]| version.as_deref().is_none_or(|v| v == known);
        match &kind[..] {
            b"application/openmetrics-text" if is(b"1.0.0") => open = open.max(weight),
            b"text/plain" if is(b"0.0.4") => text = text.max(weight),
            b"text/*" | b"*/*" => text = text.max(weight),
            _ => {}
        }
    }
    open > text
}

/// A weight from 0 to 1 with up to three decimals, in thousandths; anything else counts as 0.
fn thousandths(number: &[u8]) -> u32 {
    let number = str::from_utf8(number).ok().and_then(|n| n.parse::<f32>().ok());
    number.filter(|n| (0.0..=1.0).contains(n)).map_or(0, |n| (n * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_counters_lose_their_suffix_and_nothing_else_changes() {
        let text = b"# HELP a_total Of \"a\" \\n.\n# TYPE a_total counter\na_total{x=\"_total\"} 1\n\
                     # HELP b_total_bytes A gauge.\n# TYPE b_total_bytes gauge\nb_total_bytes 2.5\n";
        let want = "# HELP a Of \\\"a\\\" \\n.\n# TYPE a counter\na_total{x=\"_total\"} 1\n\
                    # HELP b_total_bytes A gauge.\n# TYPE b_total_bytes gauge\nb_total_bytes 2.5\n# EOF\n";
        assert_eq!(String::from_utf8(from_text(text)).unwrap(), want);
        assert_eq!(from_text(b""), b"# EOF\n");
    }

    #[test]
    fn the_default_stays_unless_the_other_one_is_preferred() {
        let preferred = |headers: &[&str]| is_preferred(headers.iter().map(|h| h.as_bytes()));
        for yes in [
            // Prometheus 2.42, and 2.50.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "Application/OpenMetrics-Text",
            "application/openmetrics-text; version=1.0.0 ; q=0.002, */*;q=0.001",
        ] {
            assert!(preferred(&[yes]), "{yes}");
        }
        for no in [
            "",
            "*/*",
            "text/plain",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0.5, text/*;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=x",
            "application/openmetrics-text2",
            ";;;,,;q=",
        ] {
            assert!(!preferred(&[no]), "{no}");
        }
        assert!(!preferred(&["application/openmetrics-text", "*/*"]) && !preferred(&[]));
        assert!(preferred(&["*/*;q=0.5", "application/openmetrics-text"]));
    }
}
