//! Text from outside inside XML and JSON: always well formed, whatever the bytes.
//!
//! Security contexts and helper names come from the kernel, labels from a file, program names from
//! processes. What is not UTF-8, or not allowed in the document, shows as U+FFFD.

use super::out::{Out, hex_digit};

/// U+FFFD in UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Appends text inside an XML element.
pub fn xml(out: &mut Out<'_>, text: &[u8]) {
    each_char(out, text, |out, c| match c {
        '&' => out.lit(b"&amp;"),
        '<' => out.lit(b"&lt;"),
        '>' => out.lit(b"&gt;"),
        '"' => out.lit(b"&quot;"),
        // An entry is one line, and a parser would turn CR into LF.
        '\n' => out.lit(b"&#10;"),
        '\r' => out.lit(b"&#13;"),
        // XML 1.0 has no way to write the other control characters, nor these two code points.
        '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
            out.put(REPLACEMENT);
        }
        c => char(out, c),
    });
}

/// Appends a JSON string with its quotes.
pub fn json(out: &mut Out<'_>, text: &[u8]) {
    out.byte(b'"');
    each_char(out, text, |out, c| match c {
        '"' => out.lit(b"\\\""),
        '\\' => out.lit(b"\\\\"),
        // JSON allows DEL and the C1 controls after it, but they garble terminals.
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => {
            out.lit(b"\\u00");
            out.byte(hex_digit(u32::from(c) >> 4));
            out.byte(hex_digit(u32::from(c) & 15));
        }
        c => char(out, c),
    });
    out.byte(b'"');
}

fn char(out: &mut Out<'_>, c: char) {
    out.put(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Plain text, which is nearly all there is, is copied in one piece; anything else goes by character.
fn each_char(out: &mut Out<'_>, text: &[u8], mut write: impl FnMut(&mut Out<'_>, char)) {
    let plain = |b: &u8| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\' | b'&' | b'<' | b'>');
    if text.iter().all(plain) {
        return out.put(text);
    }
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|c| write(out, c));
        if !chunk.invalid().is_empty() {
            out.put(REPLACEMENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn text(write: impl FnOnce(&mut Out<'_>)) -> String {
        let mut buf = [0; 256];
        let mut out = Out::new(&mut buf);
        write(&mut out);
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    #[test]
    fn what_each_format_cannot_hold() {
        assert_eq!(
            text(|o| xml(o, b"a<b>&\"c\"\x01\t\xff\r\n")),
            "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}\t\u{fffd}&#13;&#10;"
        );
        assert_eq!(
            text(|o| json(o, b"a\"b\\c\n\x00\x7f\xc2\x9b\xc3\xa9\xc3")),
            "\"a\\\"b\\\\c\\u000a\\u0000\\u007f\\u009b\u{e9}\u{fffd}\""
        );
        assert_eq!(text(|o| json(o, b"ftp-20")), "\"ftp-20\"");
        assert_eq!(text(|o| json(o, b"")), "\"\"");
    }
}
