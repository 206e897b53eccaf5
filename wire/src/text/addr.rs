//! Addresses as text: dotted quad, and IPv6 in the shape of `inet_ntop(3)`.

use super::out::Out;
use crate::tuple::Addr;

/// Each octet as text with its dot: digits from the lowest byte on, and in the highest byte the length.
static OCTETS: [u64; 256] = octets();

/// Builds the table at compile time. Digits are at most 9, so the sums stay ASCII.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // const: a mistake does not compile
const fn octets() -> [u64; 256] {
    let mut table = [0; 256];
    let mut v = 0;
    while v < 256 {
        let (h, t, u) = ((v / 100) as u8 + b'0', (v / 10 % 10) as u8 + b'0', (v % 10) as u8 + b'0');
        let (text, len) = if v >= 100 {
            ([h, t, u, b'.'], 4)
        } else if v >= 10 {
            ([t, u, b'.', 0], 3)
        } else {
            ([u, b'.', 0, 0], 2)
        };
        table[v] = u32::from_le_bytes(text) as u64 | len << 56;
        v += 1;
    }
    table
}

/// Two octets with their dots in the low bytes, and their length.
#[inline]
fn octet_pair(a: u8, b: u8) -> (u64, u32) {
    let a = OCTETS.get(usize::from(a)).copied().unwrap_or(0);
    let b = OCTETS.get(usize::from(b)).copied().unwrap_or(0);
    let (len_a, len_b) = ((a >> 56) as u32, (b >> 56) as u32);
    let text = (a & 0xffff_ffff) | (b & 0xffff_ffff).wrapping_shl(len_a.wrapping_mul(8));
    (text, len_a.wrapping_add(len_b))
}

impl Out<'_> {
    /// Appends an address.
    #[inline]
    pub fn addr(&mut self, a: &Addr) {
        match a {
            Addr::V4(b) => self.ipv4(*b),
            Addr::V6(b) => self.ipv6(b),
        }
    }

    /// Appends a dotted quad.
    #[inline]
    pub fn ipv4(&mut self, [a, b, c, d]: [u8; 4]) {
        let (left, left_len) = octet_pair(a, b);
        let (right, right_len) = octet_pair(c, d);
        self.slot(left.to_le_bytes(), left_len as usize);
        // Without the dot after the last octet.
        self.slot(right.to_le_bytes(), right_len.wrapping_sub(1) as usize);
    }

    /// Appends `src=` or the like and a dotted quad in two pieces.
    #[inline]
    pub(crate) fn keyed_ipv4<const N: usize>(&mut self, key: &[u8; N], [a, b, c, d]: [u8; 4]) {
        const { assert!(N <= 8, "two octets with their dots are eight bytes of 16") }
        let (left, left_len) = octet_pair(a, b);
        let (right, right_len) = octet_pair(c, d);
        self.joined(key, left, left_len);
        self.slot(right.to_le_bytes(), right_len.wrapping_sub(1) as usize);
    }

    /// Appends an IPv6 address: the first longest run of two or more zero groups becomes `::`, and
    /// `::ffff:0:0/96` and `::/96` (but not `::` and `::1`) end in a dotted quad.
    pub fn ipv6(&mut self, bytes: &[u8; 16]) {
        let mut groups = [0u16; 8];
        for (g, pair) in groups.iter_mut().zip(bytes.chunks_exact(2)) {
            *g = pair.first_chunk().copied().map_or(0, u16::from_be_bytes);
        }
        let (start, len) = longest_zero_run(&groups);
        let mapped = start == 0 && (len == 6 || (len == 5 && groups.get(5) == Some(&0xffff)));
        let end = start.saturating_add(len);
        for (i, g) in groups.iter().enumerate() {
            if len >= 2 && i >= start && i < end {
                if i == start {
                    self.byte(b':');
                }
                continue;
            }
            if i > 0 {
                self.byte(b':');
            }
            if mapped && i == 6 {
                return self.ipv4(bytes.last_chunk().copied().unwrap_or_default());
            }
            self.group(*g);
        }
        if len >= 2 && end == 8 {
            self.byte(b':');
        }
    }

    /// One group in hexadecimal without leading zeros.
    #[inline]
    fn group(&mut self, g: u16) {
        let v = u32::from(g);
        // Four digits side by side, the first in the lowest byte; those from ten on become letters.
        let digits = v >> 12 | (v & 0xf00) | (v & 0xf0) << 12 | (v & 0xf) << 24;
        let letters = digits.wrapping_add(0x0606_0606) >> 4 & 0x0101_0101;
        let ascii = digits.wrapping_add(0x3030_3030).wrapping_add(letters.wrapping_mul(0x27));
        let skip = (g.leading_zeros() / 4).min(3);
        let shifted = ascii >> skip.wrapping_mul(8);
        self.slot(shifted.to_le_bytes(), 4usize.wrapping_sub(skip as usize));
    }
}

/// Start and length of the first longest run of zero groups.
fn longest_zero_run(groups: &[u16; 8]) -> (usize, usize) {
    let (mut best, mut run) = ((0, 0usize), 0usize);
    for (i, g) in groups.iter().enumerate() {
        run = if *g == 0 { run.saturating_add(1) } else { 0 };
        if run > best.1 {
            best = (i.saturating_add(1).saturating_sub(run), run);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;
    use std::string::{String, ToString};

    fn text(a: Addr) -> String {
        let mut buf = [0xa5; 64];
        let mut out = Out::new(&mut buf);
        out.addr(&a);
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    #[test]
    fn every_octet() {
        for v in 0..=255u8 {
            assert_eq!(text(Addr::V4([v, 0, v, v])), format!("{v}.0.{v}.{v}"));
        }
    }

    #[test]
    fn every_group() {
        for g in 1..=u16::MAX {
            let [high, low] = g.to_be_bytes();
            let addr = Addr::V6([0, 1, high, low, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]);
            assert_eq!(text(addr), format!("1:{g:x}:3:4:5:6:7:8"));
        }
    }

    #[test]
    fn the_shapes_of_inet_ntop() {
        for (given, want) in [
            ("::", "::"),
            ("::1", "::1"),
            ("1::", "1::"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
            ("0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("::0.1.0.2", "::0.1.0.2"),
            ("ff02::fb", "ff02::fb"),
            ("fe80::1ff:fe23:4567:890a", "fe80::1ff:fe23:4567:890a"),
        ] {
            assert_eq!(text(Addr::V6(given.parse::<Ipv6Addr>().unwrap().octets())), want);
        }
    }

    /// The standard library differs only where it writes `::/96` in groups.
    #[test]
    fn random_addresses_agree_with_the_standard_library() {
        let mut x = 0x2545_f491_4f6c_dd1du64;
        for _ in 0..50_000 {
            let mut b = [0u8; 16];
            for (i, byte) in b.iter_mut().enumerate() {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                // Many zero bytes, so that runs of every place and length come up.
                *byte = if x >> (i + 8) & 3 == 0 { x as u8 } else { 0 };
            }
            if b[..12].iter().all(|v| *v == 0) {
                continue;
            }
            assert_eq!(text(Addr::V6(b)), Ipv6Addr::from(b).to_string());
        }
    }
}
