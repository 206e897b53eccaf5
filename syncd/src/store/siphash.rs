//! SipHash-1-3, keyed: hostile traffic chooses the tuples, so the hash must not be guessable.
//!
//! It is written out because the standard library's keyed hasher accepts no key from its caller, and a run
//! has to be repeatable from its seed. A test compares it with the standard library's.

#[inline]
fn round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

/// The state under `key`, before anything was taken in.
#[inline]
fn start([k0, k1]: [u64; 2]) -> [u64; 4] {
    [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ]
}

#[inline]
fn take(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    v[0] ^= word;
}

/// Takes in the last word, which has the length, and ends.
#[inline]
fn end(mut v: [u64; 4], last: u64) -> u64 {
    take(&mut v, last);
    v[2] ^= 0xff;
    round(&mut v);
    round(&mut v);
    round(&mut v);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

/// Hashes `bytes` under `key`.
#[inline]
pub(crate) fn hash(key: [u64; 2], bytes: &[u8]) -> u64 {
    let mut v = start(key);
    let mut words = bytes.chunks_exact(8);
    for w in &mut words {
        take(&mut v, w.first_chunk().copied().map_or(0, u64::from_le_bytes));
    }
    let mut last = [0u8; 8];
    for (to, from) in last.iter_mut().zip(words.remainder()) {
        *to = *from;
    }
    last[7] = bytes.len() as u8; // the algorithm takes the length modulo 256
    end(v, u64::from_le_bytes(last))
}

/// As [`hash`], of the words' little-endian bytes.
#[inline]
pub(crate) fn hash_words<const N: usize>(key: [u64; 2], words: &[u64; N]) -> u64 {
    let mut v = start(key);
    words.iter().for_each(|w| take(&mut v, *w));
    end(v, (8 * N as u64) << 56)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hasher as _};

    /// Without a key, the standard library's hasher is the same function with a key of zero.
    #[test]
    fn agrees_with_the_standard_library() {
        for len in 0..100usize {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 37 + len) as u8).collect();
            let mut theirs = DefaultHasher::new();
            theirs.write(&bytes);
            assert_eq!(hash([0, 0], &bytes), theirs.finish(), "{len} bytes");
        }
    }

    #[test]
    fn words_are_their_bytes() {
        fn agrees<const N: usize>() {
            let words: [u64; N] =
                std::array::from_fn(|i| 0x0123_4567_89ab_cdef_u64.rotate_left(7 * i as u32));
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            assert_eq!(hash_words([5, 6], &words), hash([5, 6], &bytes), "{N} words");
        }
        agrees::<0>();
        agrees::<3>();
        agrees::<9>();
    }

    #[test]
    fn the_key_counts() {
        let all = [hash([0, 0], b"x"), hash([1, 0], b"x"), hash([0, 1], b"x"), hash([0, 0], b"y")];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
    }
}
