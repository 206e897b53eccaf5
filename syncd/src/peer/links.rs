//! The dedicated links, one of which is used for sending (sync-protocol.md §7).

/// A link as the machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The largest datagram in bytes: the interface's MTU without the headers of IP and UDP or TCP.
    pub payload_max: usize,
    /// Whether the interface is up and running.
    pub up: bool,
}

/// The links, and which of them is active.
#[derive(Debug)]
pub(crate) struct PeerLinks {
    all: Vec<Link>,
    active: usize,
}

/// The effect of a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    Stays,
    To(usize),
    NoneUp,
}

impl PeerLinks {
    pub(crate) fn new(all: Vec<Link>, active: usize) -> Self {
        PeerLinks { all, active }
    }

    pub(crate) fn active(&self) -> usize {
        self.active
    }

    /// The largest message that the active link carries. It is one byte less than possible, since the
    /// original never fills a datagram completely.
    pub(crate) fn room(&self) -> usize {
        self.all.get(self.active).map_or(0, |l| l.payload_max.saturating_sub(1))
    }

    /// A link has gone up or down. If the active link goes down, the first link that is up becomes active; it
    /// is not switched back by itself.
    pub(crate) fn set_up(&mut self, link: usize, up: bool) -> Switch {
        if let Some(l) = self.all.get_mut(link) {
            l.up = up;
        }
        if self.all.get(self.active).is_some_and(|l| l.up) {
            return Switch::Stays;
        }
        match self.all.iter().position(|l| l.up) {
            Some(next) => {
                self.active = next;
                Switch::To(next)
            }
            None => Switch::NoneUp,
        }
    }

    /// A message that was accepted came in on `link`: the peer sends there, and so do we. True if that is
    /// another link than before.
    pub(crate) fn accepted(&mut self, link: usize) -> bool {
        let changes = link != self.active && link < self.all.len();
        if changes {
            self.active = link;
        }
        changes
    }

    /// The MTU of a link has changed.
    pub(crate) fn set_payload_max(&mut self, link: usize, payload_max: usize) {
        if let Some(l) = self.all.get_mut(link) {
            l.payload_max = payload_max;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_over_and_does_not_fail_back() {
        let link = Link { payload_max: 1472, up: true };
        let mut l = PeerLinks::new(vec![link; 3], 0);
        assert_eq!(l.room(), 1471);
        assert_eq!(l.set_up(2, false), Switch::Stays);
        assert_eq!(l.set_up(0, false), Switch::To(1));
        assert_eq!(l.set_up(0, true), Switch::Stays);
        assert!(l.accepted(0) && !l.accepted(0) && !l.accepted(9));
        l.set_up(1, false);
        assert_eq!(l.set_up(0, false), Switch::NoneUp);
        assert_eq!(l.active(), 0);
        l.set_payload_max(0, 80);
        assert_eq!(l.room(), 79);
    }
}
