//! Why an announcement is not followed.

/// Why an announcement is refused. The packet goes on unchanged in every case: a firewall that does not open
/// a port is noticed where it matters, and one that drops control traffic breaks what needs no helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It names an address that is neither the sender's nor among those allowed.
    ForeignAddress,
    /// Its sender is not among the addresses from which announcements are taken.
    SenderNotAllowed,
    /// It announces port 0.
    PortZero,
    /// It announces a port below 1024, and that is not allowed.
    PrivilegedPort,
    /// It announces a port that no setting can allow: 111, behind which every other service can be asked for.
    ReservedPort,
    /// It begins as an announcement, and goes on in a way that its protocol does not know.
    Malformed,
    /// It is spread over more than one segment.
    Split,
    /// A line, name or field that is longer than its protocol's limit.
    TooLong,
    /// More announcements in a packet, or more expectations at a time, than are allowed.
    TooMany,
    /// An answer to a question that nobody has asked in this flow.
    Unasked,
    /// What the flow's private data holds is not what this helper writes.
    StalePrivate,
    /// The text would change its length where the kernel cannot follow: TCP over IPv6.
    CannotTranslate,
    /// No port is free for it on the translated side.
    NoFreePort,
    /// The kernel refused the expectation.
    Kernel,
}

impl Refusal {
    /// All of them, in the order of [`Refusal::index`].
    pub const ALL: [Refusal; 14] = [
        Refusal::ForeignAddress,
        Refusal::SenderNotAllowed,
        Refusal::PortZero,
        Refusal::PrivilegedPort,
        Refusal::ReservedPort,
        Refusal::Malformed,
        Refusal::Split,
        Refusal::TooLong,
        Refusal::TooMany,
        Refusal::Unasked,
        Refusal::StalePrivate,
        Refusal::CannotTranslate,
        Refusal::NoFreePort,
        Refusal::Kernel,
    ];

    /// Its place in [`Refusal::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// A word for statistics and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::ForeignAddress => "foreign-address",
            Refusal::SenderNotAllowed => "sender-not-allowed",
            Refusal::PortZero => "port-zero",
            Refusal::PrivilegedPort => "privileged-port",
            Refusal::ReservedPort => "reserved-port",
            Refusal::Malformed => "malformed",
            Refusal::Split => "split",
            Refusal::TooLong => "too-long",
            Refusal::TooMany => "too-many",
            Refusal::Unasked => "unasked",
            Refusal::StalePrivate => "stale-private",
            Refusal::CannotTranslate => "cannot-translate",
            Refusal::NoFreePort => "no-free-port",
            Refusal::Kernel => "kernel",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_place_and_its_own_name() {
        for (at, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal.index(), at);
            assert!(Refusal::ALL.iter().filter(|r| r.name() == refusal.name()).count() == 1, "{refusal:?}");
        }
    }
}
