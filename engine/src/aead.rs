//! Authenticated encryption in place, and keys derived from keys: ChaCha20-Poly1305 (RFC 8439) and keyed
//! BLAKE2b (RFC 7693).
//!
//! It is here and not beside its only user because this crate is built for speed. Nothing allocates. What the
//! libraries keep of a key on the stack is overwritten when they are done.

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput as _, Mac as _};
use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, Tag};

/// Bytes of a key that [`seal`] and [`open`] take, and that [`derive()`] makes.
pub const KEY_LEN: usize = 32;
/// Bytes of a tag.
pub const TAG_LEN: usize = 16;
/// The longest key that [`derive()`] takes.
pub const SOURCE_LEN_MAX: usize = 64;

/// The nonce of RFC 8439: the counter behind four zero bytes, big endian.
fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce.into()
}

/// Encrypts `text` in place and returns the tag that vouches for it and for `header`. No two calls with one
/// key may have the same counter. `None` for a text beyond 256 GiB.
pub fn seal(key: &[u8; KEY_LEN], counter: u64, header: &[u8], text: &mut [u8]) -> Option<[u8; TAG_LEN]> {
    let cipher = ChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(&nonce(counter), header, text.into());
    tag.ok().map(Into::into)
}

/// Decrypts `text` in place if the tag is right; false, with the text untouched, if it is not.
pub fn open(key: &[u8; KEY_LEN], counter: u64, header: &[u8], text: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
    let cipher = ChaCha20Poly1305::new(key.into());
    cipher.decrypt_inout_detached(&nonce(counter), header, text.into(), &Tag::from(*tag)).is_ok()
}

/// A key, or a number that nobody can guess, out of a secret and what it is for. The parts are not told
/// apart, so only the last of them may vary in length. A secret of more than [`SOURCE_LEN_MAX`] bytes is cut
/// off there.
pub fn derive(secret: &[u8], parts: &[&[u8]]) -> [u8; KEY_LEN] {
    let secret = secret.get(..SOURCE_LEN_MAX).unwrap_or(secret);
    let Ok(mut mac) = Blake2bMac::<U32>::new_from_slice(secret) else { return [0; KEY_LEN] };
    parts.iter().for_each(|p| mac.update(p));
    mac.finalize_fixed().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The expected bytes are those of RFC 8439 written out in another language, and checked there with its
    /// example, whose nonce cannot be had here.
    #[test]
    fn it_is_the_algorithm_that_others_have() {
        let key: [u8; 32] = std::array::from_fn(|n| 0x80 + n as u8);
        let mut text = *b"Ladies and Gentlemen";
        let tag = seal(&key, 7, b"header", &mut text).unwrap();
        assert_eq!(hex(&text), "825859cc37758e2ef5ad8c2ec3144e9cd050f2f0");
        assert_eq!(hex(&tag), "e0af09e287b612b4a46d784079fc9421");
        let mut again = text;
        assert!(open(&key, 7, b"header", &mut again, &tag));
        assert_eq!(&again, b"Ladies and Gentlemen");
        for (counter, header) in [(8, &b"header"[..]), (7, b"headex")] {
            let mut wrong = text;
            assert!(!open(&key, counter, header, &mut wrong, &tag));
            assert_eq!(wrong, text, "untouched");
        }
    }

    /// The expected bytes are those of Python's hashlib.
    #[test]
    fn parts_are_one_text_and_keys_matter() {
        let a = derive(&[1; 32], &[b"ab", b"c"]);
        assert_eq!(hex(&a), "8cc77af752046919e25cca7b87a17aaa67fb6aad75964f730a1c2178c986505c");
        assert_eq!(a, derive(&[1; 32], &[b"abc"]));
        assert_ne!(a, derive(&[1; 32], &[b"abd"]));
        assert_ne!(a, derive(&[2; 32], &[b"abc"]));
        assert_eq!(derive(&[3; 64], &[]), derive(&[3; 100], &[]));
    }
}
