//! The buffer text is written into, and how numbers get there: fast, bounded, without `core::fmt`.

/// Writes text into borrowed memory.
///
/// Overflow is sticky: writes after it do nothing, [`Out::is_full`] reports it, and [`Out::rewind`] takes
/// back the unfinished piece, so that the caller can flush or grow its buffer and render it again. Nothing
/// is ever cut short silently. Allocates nothing.
#[derive(Debug)]
pub struct Out<'b> {
    buf: &'b mut [u8],
    /// Bytes written; past the end of `buf` once something did not fit, so that the one bounds check of a
    /// write is also the check for an earlier overflow.
    len: usize,
}

/// The length that stands for "something did not fit".
const OVERFLOW: usize = usize::MAX;

/// Eight decimal digits of a number below 10^8, first digit in the lowest byte, not yet ASCII.
///
/// Divides in parallel lanes of one register: thousands, hundreds, tens. Exact for the ranges used here,
/// which a test runs through.
#[inline]
fn digits8(v: u32) -> u64 {
    let (hi, lo) = (u64::from(v / 10_000), u64::from(v % 10_000));
    let four = hi | lo << 32;
    let hundreds = (four.wrapping_mul(10_486) >> 20) & 0x0000_007f_0000_007f;
    let two = hundreds | four.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
    let tens = (two.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
    tens | two.wrapping_sub(tens.wrapping_mul(10)) << 8
}

/// The digits of a number below 10^8 without leading zeros, first digit in the lowest byte, and their
/// count. The bytes above them are zero.
#[inline]
fn ascii8(v: u32) -> (u64, u32) {
    let digits = digits8(v);
    // Zero keeps its last digit.
    let skip = (digits.trailing_zeros() / 8).min(7);
    ((digits | ASCII_ZEROS) >> (skip.wrapping_mul(8)), 8u32.wrapping_sub(skip))
}

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

impl<'b> Out<'b> {
    /// Writes from the start of `buf`.
    pub fn new(buf: &'b mut [u8]) -> Self {
        Out { buf, len: 0 }
    }

    /// Continues after the `len` bytes that are already in `buf`.
    pub fn resume(buf: &'b mut [u8], len: usize) -> Self {
        Out { len: if len > buf.len() { OVERFLOW } else { len }, buf }
    }

    /// Bytes written so far; meaningless after an overflow.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True when something did not fit.
    #[inline]
    #[must_use = "a full buffer holds less than was written"]
    pub fn is_full(&self) -> bool {
        self.len > self.buf.len()
    }

    /// Takes back everything after `len`, and the overflow with it.
    pub fn rewind(&mut self, len: usize) {
        self.len = len.min(self.len);
    }

    /// What has been written; nothing after an overflow.
    pub fn written(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }

    /// Appends bytes of any length.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.buf.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.len = OVERFLOW,
        }
    }

    /// Appends a constant piece; its length is known to the compiler, so this is a few moves.
    #[inline]
    pub fn lit<const N: usize>(&mut self, piece: &[u8; N]) {
        self.slot(*piece, N);
    }

    /// Writes all `N` bytes but counts only the first `used` of them: a fixed-size store is cheaper than
    /// one of the exact size. Near the end of the buffer it falls back to the exact size.
    #[inline]
    pub(crate) fn slot<const N: usize>(&mut self, piece: [u8; N], used: usize) {
        let rest = self.buf.get_mut(self.len..).unwrap_or_default();
        match rest.first_chunk_mut::<N>() {
            Some(room) => {
                *room = piece;
                self.len = self.len.wrapping_add(used);
            }
            None => self.slot_at_the_end(&piece, used),
        }
    }

    #[cold]
    fn slot_at_the_end(&mut self, piece: &[u8], used: usize) {
        self.put(piece.get(..used).unwrap_or_default());
    }

    /// Appends one byte.
    #[inline]
    pub fn byte(&mut self, b: u8) {
        self.slot([b], 1);
    }

    /// Removes one blank at the end, if there is one.
    #[inline]
    pub fn trim_blank(&mut self) {
        let last = self.len.saturating_sub(1);
        if self.buf.get(last) == Some(&b' ') && self.len > 0 {
            self.len = last;
        }
    }

    /// Appends a decimal number.
    #[inline]
    pub fn u32(&mut self, v: u32) {
        if v >= 100_000_000 {
            self.small(v / 100_000_000);
            return self.eight(v % 100_000_000);
        }
        self.small(v);
    }

    /// Appends a decimal number and a blank; below 10^7 both are one write.
    #[inline]
    pub(crate) fn u32_blank(&mut self, v: u32) {
        if v >= 10_000_000 {
            self.u32(v);
            return self.byte(b' ');
        }
        let (ascii, n) = ascii8(v);
        let blank = u64::from(b' ').wrapping_shl(n.wrapping_mul(8));
        self.slot((ascii | blank).to_le_bytes(), n.wrapping_add(1) as usize);
    }

    /// Appends a number below 10^8 without leading zeros.
    #[inline]
    fn small(&mut self, v: u32) {
        let (ascii, n) = ascii8(v);
        self.slot(ascii.to_le_bytes(), n as usize);
    }

    /// Appends ` sport=` or the like and a port in one write, which halves the bounds checks.
    #[inline]
    pub(crate) fn keyed<const N: usize>(&mut self, key: &[u8; N], port: u16) {
        let (ascii, n) = ascii8(u32::from(port));
        self.joined(key, ascii, n);
    }

    /// The same with a blank after it.
    #[inline]
    pub(crate) fn keyed_blank<const N: usize>(&mut self, key: &[u8; N], port: u16) {
        // A port has at most five digits, so the blank is within eight bytes.
        let (ascii, n) = ascii8(u32::from(port));
        let blank = u64::from(b' ').wrapping_shl(n.wrapping_mul(8));
        self.joined(key, ascii | blank, n.wrapping_add(1));
    }

    /// Appends a constant piece and the low `n` bytes of `tail`, whose other bytes are zero; together they
    /// are at most 16.
    #[inline]
    pub(crate) fn joined<const N: usize>(&mut self, key: &[u8; N], tail: u64, n: u32) {
        const { assert!(N <= 10, "a port and a blank are six bytes of 16") }
        let mut low = [0; 16];
        for (to, from) in low.iter_mut().zip(key) {
            *to = *from;
        }
        let piece = u128::from_le_bytes(low) | u128::from(tail).wrapping_shl(const { N as u32 * 8 });
        self.slot(piece.to_le_bytes(), N.wrapping_add(n as usize));
    }

    /// Appends exactly eight digits.
    #[inline]
    fn eight(&mut self, v: u32) {
        self.slot((digits8(v) | ASCII_ZEROS).to_le_bytes(), 8);
    }

    /// Appends a decimal number.
    #[inline]
    pub fn u64(&mut self, v: u64) {
        const E8: u64 = 100_000_000;
        // Each remainder is below 10^8 and each top part below 10^4, so the casts keep everything.
        match (v / E8, (v % E8) as u32) {
            (0, low) => self.small(low),
            (top, low) if top < E8 => {
                self.small(top as u32);
                self.eight(low);
            }
            (top, low) => {
                self.small((top / E8) as u32);
                self.eight((top % E8) as u32);
                self.eight(low);
            }
        }
    }

    /// Appends a signed decimal number.
    pub fn i64(&mut self, v: i64) {
        if v < 0 {
            self.byte(b'-');
        }
        self.u64(v.unsigned_abs());
    }

    /// Appends a number with zeros in front up to `width` digits.
    pub fn padded(&mut self, v: u64, width: u32) {
        let digits = v.checked_ilog10().unwrap_or(0).saturating_add(1);
        for _ in digits..width {
            self.byte(b'0');
        }
        self.u64(v);
    }

    /// Appends a number in hexadecimal, lower case, without a prefix.
    pub fn hex(&mut self, v: u32) {
        let digits = (32u32.saturating_sub(v.leading_zeros())).div_ceil(4).max(1);
        for i in (0..digits).rev() {
            self.byte(hex_digit(v >> i.saturating_mul(4) & 0xf));
        }
    }
}

/// The ASCII digit of a number below 16.
#[inline]
pub(crate) fn hex_digit(nibble: u32) -> u8 {
    char::from_digit(nibble, 16).map_or(b'?', |c| c as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn text(write: impl FnOnce(&mut Out<'_>)) -> String {
        let mut buf = [0xa5; 64];
        let mut out = Out::new(&mut buf);
        write(&mut out);
        assert!(!out.is_full());
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        let mut values: Vec<u64> = (0..200_000).collect();
        for p in 0..20u32 {
            let p = 10u64.pow(p);
            values.extend([p - 1, p, p + 1, p.saturating_mul(9), p.saturating_mul(2) - 1]);
        }
        values.extend((0..64).map(|b| 1 << b));
        values.extend([u64::MAX, u64::MAX - 1, u64::from(u32::MAX), 99_999_999, 100_000_000, 4_294_967_296]);
        for v in values {
            assert_eq!(text(|o| o.u64(v)), v.to_string());
            if let Ok(v) = u32::try_from(v) {
                assert_eq!(text(|o| o.u32(v)), v.to_string());
                assert_eq!(text(|o| o.u32_blank(v)), format!("{v} "));
                assert_eq!(text(|o| o.hex(v)), format!("{v:x}"));
            }
            if let Ok(v) = u16::try_from(v) {
                assert_eq!(text(|o| o.keyed(b"0123456789", v)), format!("0123456789{v}"));
                assert_eq!(text(|o| o.keyed_blank(b" dport=", v)), format!(" dport={v} "));
            }
        }
        assert_eq!(text(|o| o.i64(-15)), "-15");
        assert_eq!(text(|o| o.i64(i64::MIN)), i64::MIN.to_string());
        assert_eq!(text(|o| o.padded(42, 6)), "000042");
        assert_eq!(text(|o| o.padded(0, 6)), "000000");
        assert_eq!(text(|o| o.padded(1_234_567, 6)), "1234567");
    }

    #[test]
    fn every_value_below_ten_to_the_eight_by_a_stride() {
        for v in (0..100_000_000u32).step_by(7919) {
            assert_eq!(text(|o| o.small(v)), v.to_string());
        }
    }

    #[test]
    fn what_does_not_fit_is_said_and_taken_back() {
        for room in 0..12 {
            let mut buf = vec![0; room];
            let mut out = Out::new(&mut buf);
            out.lit(b"ab");
            out.u32(1_234_567_890);
            assert_eq!(out.is_full(), room < 12, "{room}");
            out.byte(b'x');
            out.rewind(0);
            assert!(!out.is_full() && out.is_empty());
        }
    }

    #[test]
    fn one_blank_is_trimmed() {
        assert_eq!(
            text(|o| {
                o.lit(b"a  ");
                o.trim_blank();
            }),
            "a "
        );
        assert_eq!(
            text(|o| {
                o.lit(b"a");
                o.trim_blank();
            }),
            "a"
        );
        assert_eq!(text(|o| o.trim_blank()), "");
    }
}
