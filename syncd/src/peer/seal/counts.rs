//! What became of frames.

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It has no seal, and `enforce` takes only what has one.
    Plain,
    /// It is not a frame: its header contradicts itself.
    Malformed,
    /// There is no key of its number.
    UnknownKey,
    /// It says that it is from this node: reflected, or another node has the same `NodeID`.
    OwnNode,
    /// Its tag is wrong: forged, damaged, or sealed with another key of the same number.
    Forged,
    /// It has come before, or too late.
    Repeated,
    /// Its sender has yet to prove that it is not a recording.
    Unproved,
    /// More frames of unknown senders came than are looked at.
    Overload,
    /// There are as many other nodes as are remembered.
    TooManyNodes,
    /// Its sender is not the peer whose link it came over.
    Foreign,
}

impl Refused {
    /// How many reasons there are.
    pub const COUNT: usize = 10;

    /// All reasons, each at the position of its number.
    pub const ALL: [Refused; Refused::COUNT] = [
        Refused::Plain,
        Refused::Malformed,
        Refused::UnknownKey,
        Refused::OwnNode,
        Refused::Forged,
        Refused::Repeated,
        Refused::Unproved,
        Refused::Overload,
        Refused::TooManyNodes,
        Refused::Foreign,
    ];

    /// The name in metrics and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Refused::Plain => "plain",
            Refused::Malformed => "malformed",
            Refused::UnknownKey => "unknown_key",
            Refused::OwnNode => "own_node",
            Refused::Forged => "forged",
            Refused::Repeated => "repeated",
            Refused::Unproved => "unproved",
            Refused::Overload => "overload",
            Refused::TooManyNodes => "too_many_nodes",
            Refused::Foreign => "foreign",
        }
    }

    /// What happens, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Refused::Plain => "messages without a seal are dropped: the peer has no Auth, or is receive-only",
            Refused::Malformed => "frames that make no sense are dropped",
            Refused::UnknownKey => "frames under a key that is not configured here are dropped",
            Refused::OwnNode => {
                "frames with our own NodeID are dropped: reflected, or two nodes have the same"
            }
            Refused::Forged => "frames that are not authentic are dropped: forged, or the keys differ",
            Refused::Repeated => "frames that had come before, or came too late, are dropped",
            Refused::Unproved => "frames are dropped until their sender has proved that it is there now",
            Refused::Overload => "more frames of unknown senders come than are looked at",
            Refused::TooManyNodes => "more nodes have the key than are remembered",
            Refused::Foreign => "frames of a node that is not the peer of this link are dropped",
        }
    }
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealCounts {
    /// Frames sent.
    pub sealed: u64,
    /// Frames taken.
    pub opened: u64,
    /// Proofs of other nodes that they are there.
    pub proofs: u64,
    /// What was not taken, by reason.
    pub refused: [u64; Refused::COUNT],
}

impl SealCounts {
    pub(super) fn refuse(&mut self, why: Refused) {
        if let Some(n) = self.refused.get_mut(why as usize) {
            *n += 1;
        }
    }

    /// How many were not taken for this reason.
    pub fn of(&self, why: Refused) -> u64 {
        self.refused.get(why as usize).copied().unwrap_or(0)
    }
}
