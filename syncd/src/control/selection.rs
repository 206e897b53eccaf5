//! Which of several peers a request is about, and which zone: sent behind its number.

use crate::config::settings::PEER_NAME_MAX;

/// Bytes of a selection as it is sent.
pub const SELECTION_LEN: usize = 4 + PEER_NAME_MAX;

/// What a request is limited to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    name: [u8; PEER_NAME_MAX],
    name_len: u8,
    /// Only flows in this zone.
    pub zone: Option<u16>,
}

impl Selection {
    /// The peer with this name or number; `None` for a word that is longer than any name.
    pub fn from_node(word: &str) -> Option<Selection> {
        let mut out = Selection { name_len: u8::try_from(word.len()).ok()?, ..Selection::default() };
        out.name.get_mut(..word.len()).filter(|room| !room.is_empty())?.copy_from_slice(word.as_bytes());
        Some(out)
    }

    /// The name or number of a peer, if there is one in it.
    pub fn node(&self) -> Option<&str> {
        let name = self.name.get(..self.name_len.into())?;
        std::str::from_utf8(name).ok().filter(|n| !n.is_empty())
    }

    /// True when a request is limited to nothing.
    pub fn is_all(&self) -> bool {
        *self == Selection::default()
    }

    /// The bytes that are sent: the length of the name, whether there is a zone, the zone, the name.
    pub fn bytes(&self) -> [u8; SELECTION_LEN] {
        let [high, low] = self.zone.unwrap_or(0).to_be_bytes();
        let mut out = [0; SELECTION_LEN];
        let (head, name) = out.split_at_mut(4);
        head.copy_from_slice(&[self.name_len, self.zone.is_some().into(), high, low]);
        name.copy_from_slice(&self.name);
        out
    }

    /// Reads what [`Selection::bytes`] makes; `None` for anything else.
    pub fn read(bytes: &[u8; SELECTION_LEN]) -> Option<Selection> {
        let ([name_len, has_zone, high, low], rest) = bytes.split_first_chunk()?;
        let zone = (*has_zone == 1).then(|| u16::from_be_bytes([*high, *low]));
        let out = Selection { name: *rest.first_chunk()?, name_len: *name_len, zone };
        let named = *name_len == 0 || out.node().is_some();
        (named && out.bytes() == *bytes).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_read() {
        let zone = Selection { zone: Some(0), ..Selection::default() };
        let both = Selection { zone: Some(65_535), ..Selection::from_node("fw-b").unwrap() };
        let longest = Selection::from_node(&"x".repeat(PEER_NAME_MAX)).unwrap();
        for s in [Selection::default(), zone, both, longest] {
            assert_eq!(Selection::read(&s.bytes()), Some(s));
        }
        assert_eq!((both.node(), zone.node(), zone.is_all()), (Some("fw-b"), None, false));
        assert!(Selection::from_node("").is_none());
        assert!(Selection::from_node(&"x".repeat(PEER_NAME_MAX + 1)).is_none());
    }

    #[test]
    fn anything_else_is_refused() {
        let good = Selection::from_node("b").unwrap().bytes();
        for (at, byte) in [(0, 200), (0, PEER_NAME_MAX as u8 + 1), (1, 2), (3, 1), (4, 0xff)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(Selection::read(&bad), None, "{at} {byte}");
        }
    }
}
