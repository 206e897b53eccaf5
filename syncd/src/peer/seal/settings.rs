//! What a node is told about its keys.

use std::fmt;
use zct_engine::secret::Secret;

/// `Auth Mode`: what is sent and taken. The words are those of keepalived's `auth_hmac`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// `enforce`: everything is sent sealed, and nothing else is taken.
    #[default]
    Enforce,
    /// `permissive`: everything is sent sealed, and messages without a seal are taken too.
    Permissive,
    /// `receive-only`: messages are sent without a seal, and both kinds are taken.
    ReceiveOnly,
}

impl AuthMode {
    /// All of them.
    pub const ALL: [AuthMode; 3] = [AuthMode::Enforce, AuthMode::Permissive, AuthMode::ReceiveOnly];

    /// The word in the configuration file.
    pub fn word(self) -> &'static str {
        match self {
            AuthMode::Enforce => "enforce",
            AuthMode::Permissive => "permissive",
            AuthMode::ReceiveOnly => "receive-only",
        }
    }
}

/// A key that all nodes share, and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKey {
    /// 1 to 255.
    pub number: u8,
    /// 32 to 64 bytes.
    pub secret: Secret,
}

/// By this people see that two nodes have the same key: eight hexadecimal digits. It is derived from the key
/// in the way of all other keys, and tells nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 4]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl GroupKey {
    /// By what it is recognised.
    pub fn fingerprint(&self) -> Fingerprint {
        let [a, b, c, d, ..] = zct_engine::aead::derive(self.secret.bytes(), &[b"zct fingerprint 1"]);
        Fingerprint([a, b, c, d])
    }
}

impl Settings {
    /// True where frames name the node that they are for.
    pub(super) fn is_group(&self) -> bool {
        self.from.as_ref().is_some_and(|nodes| nodes.len() > 1)
    }
}

/// Everything that sealing depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `NodeID`: no two nodes have the same.
    pub node: u16,
    /// `Mode`.
    pub mode: AuthMode,
    /// `Key`, each number once.
    pub keys: Vec<GroupKey>,
    /// `ActiveKey`: the number of the key that is used for sending.
    pub active: u8,
    /// The only nodes whose frames are taken; `None` for any that has the key. Several of them hear whatever
    /// is sent, so each frame with messages names the one that it is for.
    pub from: Option<Vec<u16>>,
}
