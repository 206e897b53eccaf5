//! What was typed: the bytes of a terminal as keys.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPress {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-U: all that was typed goes.
    Clear,
}

/// The keys that terminals send as a sequence behind ESC `[` or ESC `O`.
const SEQUENCES: [(&[u8], KeyPress); 10] = [
    (b"A", KeyPress::Up),
    (b"B", KeyPress::Down),
    (b"H", KeyPress::Home),
    (b"F", KeyPress::End),
    (b"5~", KeyPress::PageUp),
    (b"6~", KeyPress::PageDown),
    (b"1~", KeyPress::Home),
    (b"4~", KeyPress::End),
    (b"7~", KeyPress::Home),
    (b"8~", KeyPress::End),
];

/// Takes the keys off the front of what was typed. Only a sequence that has not come in whole stays; an ESC
/// that nothing follows is the key of that name.
pub(super) fn take(typed: &mut Vec<u8>) -> Vec<KeyPress> {
    let mut keys = Vec::new();
    let mut rest = typed.as_slice();
    loop {
        match rest {
            [] => break,
            [0x1b, b'[' | b'O', sequence @ ..] => {
                let Some(end) = sequence.iter().position(|b| (0x40..=0x7e).contains(b)) else { break };
                let (name, after) = sequence.split_at(end + 1);
                keys.extend(SEQUENCES.iter().find(|(s, _)| *s == name).map(|(_, key)| *key));
                rest = after;
            }
            [0x1b, after @ ..] => {
                keys.push(KeyPress::Escape);
                rest = after;
            }
            [b, after @ ..] if *b < 0x20 || *b == 0x7f => {
                keys.extend(match b {
                    b'\r' | b'\n' => Some(KeyPress::Enter),
                    0x08 | 0x7f => Some(KeyPress::Backspace),
                    0x03 => Some(KeyPress::Interrupt),
                    0x15 => Some(KeyPress::Clear),
                    _ => None,
                });
                rest = after;
            }
            [first, ..] => {
                let len = match first {
                    0xf0.. => 4,
                    0xe0.. => 3,
                    0xc0.. => 2,
                    _ => 1,
                };
                let Some((bytes, after)) = rest.split_at_checked(len) else { break };
                keys.extend(
                    std::str::from_utf8(bytes).ok().and_then(|s| s.chars().next()).map(KeyPress::Char),
                );
                rest = after;
            }
        }
    }
    let left = rest.len();
    typed.drain(..typed.len() - left);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_their_bytes() {
        for (bytes, want) in [
            (&b"q"[..], &[KeyPress::Char('q')][..]),
            (b"\x1b", &[KeyPress::Escape]),
            (
                b"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~",
                &[
                    KeyPress::Up,
                    KeyPress::Down,
                    KeyPress::PageUp,
                    KeyPress::PageDown,
                    KeyPress::Home,
                    KeyPress::End,
                ],
            ),
            (b"\x1b[15~x", &[KeyPress::Char('x')]),
            (
                b"a\r\x7f\x03\x15\x01",
                &[
                    KeyPress::Char('a'),
                    KeyPress::Enter,
                    KeyPress::Backspace,
                    KeyPress::Interrupt,
                    KeyPress::Clear,
                ],
            ),
            ("\u{e9}\u{20ac}".as_bytes(), &[KeyPress::Char('\u{e9}'), KeyPress::Char('\u{20ac}')]),
            (b"\xff1234", &[]),
        ] {
            let mut typed = bytes.to_vec();
            let keys = take(&mut typed);
            if !want.is_empty() {
                assert_eq!((keys.as_slice(), typed.is_empty()), (want, true), "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_sequence_in_two_parts_is_one_key() {
        let mut typed = b"x\x1b[5".to_vec();
        assert_eq!(take(&mut typed), [KeyPress::Char('x')]);
        typed.push(b'~');
        assert_eq!(take(&mut typed), [KeyPress::PageUp]);
        let mut typed = b"\xe2\x82".to_vec();
        assert_eq!(take(&mut typed), []);
        typed.push(0xac);
        assert_eq!(take(&mut typed), [KeyPress::Char('\u{20ac}')]);
    }

    #[test]
    fn any_bytes_end() {
        for seed in 0..2000u64 {
            let mut rng = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut typed: Vec<u8> = (0..20)
                .map(|_| {
                    rng ^= rng << 13;
                    rng ^= rng >> 7;
                    rng ^= rng << 17;
                    if rng & 3 == 0 { 0x1b } else { (rng >> 8) as u8 }
                })
                .collect();
            let len = typed.len();
            take(&mut typed);
            assert!(typed.len() <= len);
        }
    }
}
