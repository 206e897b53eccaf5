//! The recordings in tests/captures/peer, which were made on a little-endian machine, as this machine's kernel and a
//! daemon on a machine of this kind would have sent them.

use zct_wire::attr::NLA_F_NESTED;
use zct_wire::peer::{Kind, Messages};

/// What a little-endian conntrackd reverses, and one on another machine does not (sync-protocol.md §3.2): SPAT_PORT,
/// DPAT_PORT and ICMP_ID.
const REVERSED: [u16; 3] = [14, 15, 24];

/// One line of a recording.
#[derive(Debug)]
pub(crate) struct ReplayLine {
    pub(crate) ms: u64,
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) data: Vec<u8>,
}

pub(crate) fn lines(name: &str) -> Vec<ReplayLine> {
    let path = format!("{}/../tests/captures/peer/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    text.lines().filter(|l| !l.starts_with('#')).map(line).collect()
}

fn line(text: &str) -> ReplayLine {
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or_default().to_string();
    let (ms, who, what, hex) = (word().parse().expect(text), word(), word(), word());
    let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).expect(text);
    let data: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let data = match what.as_str() {
        "event" => kernels(&data),
        "sent" | "lost" => datagram(data),
        _ => data,
    };
    ReplayLine { ms, who, what, data }
}

/// The headers of what the kernel sends are in host byte order, and the values are not.
fn kernels(little: &[u8]) -> Vec<u8> {
    let (head, attributes) = little.split_at(20);
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()).to_ne_bytes();
    let half = |at: usize| u16::from_le_bytes(head[at..at + 2].try_into().unwrap()).to_ne_bytes();
    let parts: [&[u8]; 7] =
        [&word(0), &half(4), &half(6), &word(8), &word(12), &head[16..], &nest(attributes)];
    parts.concat()
}

fn nest(little: &[u8]) -> Vec<u8> {
    let mut here = Vec::new();
    let mut rest = little;
    while let Some(([l0, l1, k0, k1], _)) = rest.split_first_chunk() {
        let (len, kind) = (u16::from_le_bytes([*l0, *l1]), u16::from_le_bytes([*k0, *k1]));
        let (value, behind) = rest[4..].split_at(usize::from(len) - 4);
        here.extend([len.to_ne_bytes(), kind.to_ne_bytes()].concat());
        here.extend(if kind & NLA_F_NESTED == 0 { value.to_vec() } else { nest(value) });
        let (padding, behind) = behind.split_at(value.len().wrapping_neg() % 4);
        here.extend(padding);
        rest = behind;
    }
    here
}

fn datagram(data: Vec<u8>) -> Vec<u8> {
    let mut here = Vec::new();
    for m in Messages::new(&data).map(Result::unwrap) {
        let head = m.bytes.len() - m.body().len();
        here.extend(&m.bytes[..head]);
        here.extend(if matches!(m.kind(), Some(Kind::Flow(_))) { flow(m.body()) } else { m.body().to_vec() });
    }
    assert_eq!(here.len(), data.len(), "something lies behind the messages");
    here
}

fn flow(little: &[u8]) -> Vec<u8> {
    let mut here = little.to_vec();
    let mut at = 0;
    while let Some(&[l0, l1, k0, k1, ..]) = little.get(at..) {
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if REVERSED.contains(&u16::from_be_bytes([k0, k1])) {
            let value = u16::from_le_bytes(little[at + 4..at + len].try_into().unwrap());
            here[at + 4..at + len].copy_from_slice(&value.to_ne_bytes());
        }
        at += len.next_multiple_of(4);
    }
    here
}
