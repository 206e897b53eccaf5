//! Several dedicated links, one of which sends (sync-protocol.md §7).

/// One link as the machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Bytes a datagram may have: the interface's MTU without the headers of IP and UDP or TCP.
    pub payload_max: usize,
    /// The interface is up and running.
    pub up: bool,
}

/// The links and which of them is active.
#[derive(Debug)]
pub(crate) struct Links {
    all: Vec<Link>,
    active: usize,
}

/// What a change of state has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    Stays,
    To(usize),
    NoneUp,
}

impl Links {
    pub(crate) fn new(all: Vec<Link>, active: usize) -> Self {
        Links { all, active }
    }

    pub(crate) fn active(&self) -> usize {
        self.active
    }

    /// The largest message the active link carries. One byte is given away: the original never fills a
    /// datagram to the last.
    pub(crate) fn room(&self) -> usize {
        self.all.get(self.active).map_or(0, |l| l.payload_max.saturating_sub(1))
    }

    /// A link has gone up or down. An active link that goes down hands over to the first that is up; there is
    /// no way back by itself.
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

    /// An accepted message came in by `link`: the peer sends there, so do we.
    pub(crate) fn heard(&mut self, link: usize) -> bool {
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
        let mut l = Links::new(vec![link; 3], 0);
        assert_eq!(l.room(), 1471);
        assert_eq!(l.set_up(2, false), Switch::Stays);
        assert_eq!(l.set_up(0, false), Switch::To(1));
        assert_eq!(l.set_up(0, true), Switch::Stays);
        assert!(l.heard(0) && !l.heard(0) && !l.heard(9));
        l.set_up(1, false);
        assert_eq!(l.set_up(0, false), Switch::NoneUp);
        assert_eq!(l.active(), 0);
        l.set_payload_max(0, 80);
        assert_eq!(l.room(), 79);
    }
}
