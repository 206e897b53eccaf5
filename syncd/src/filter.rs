//! Which flows and expectations the daemon takes note of (spec/conntrackd.md §5.6).

use zct_wire::WireError;
use zct_wire::consts::ipproto;
use zct_wire::flow::FlowView;
use zct_wire::proto::StateOf;
use zct_wire::tuple::{Addr, Shape};

/// Only what is listed, or all but that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// Only what is listed.
    Accept,
    /// All but what is listed.
    Ignore,
}

impl Logic {
    #[inline]
    fn passes(self, listed: bool) -> bool {
        listed == (self == Logic::Accept)
    }
}

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Address; bits behind the prefix are zero.
    pub addr: Addr,
    /// Bits that count, at most 32 or 128.
    pub prefix: u8,
}

impl Network {
    /// Clears the bits behind the prefix; `None` when the prefix is longer than the address.
    pub fn new(addr: Addr, prefix: u8) -> Option<Network> {
        fn cut<const N: usize>(mut bytes: [u8; N], prefix: u8) -> Option<[u8; N]> {
            if usize::from(prefix) > N * 8 {
                return None;
            }
            for (at, b) in bytes.iter_mut().enumerate() {
                let bits = usize::from(prefix).saturating_sub(at * 8).min(8);
                *b &= (0xff00u16 >> bits) as u8;
            }
            Some(bytes)
        }
        let addr = match addr {
            Addr::V4(b) => Addr::V4(cut(b, prefix)?),
            Addr::V6(b) => Addr::V6(cut(b, prefix)?),
        };
        Some(Network { addr, prefix })
    }

    /// The network mask.
    pub fn mask(&self) -> Addr {
        let all = match self.addr {
            Addr::V4(_) => Addr::V4([0xff; 4]),
            Addr::V6(_) => Addr::V6([0xff; 16]),
        };
        Network::new(all, self.prefix).map_or(all, |n| n.addr)
    }

    fn has(&self, addr: Addr) -> bool {
        Network::new(addr, self.prefix).is_some_and(|n| n.addr == self.addr)
    }
}

/// The three criteria; one that is `None` lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Layer 4 protocols.
    pub protocols: Option<(Logic, Vec<u8>)>,
    /// Networks of the original source or of the reply source, which is the real server behind a translation.
    pub networks: Option<(Logic, Vec<Network>)>,
    /// States by number; for TCP alone.
    pub tcp_states: Option<(Logic, Vec<u8>)>,
}

/// What a filter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// Taken note of.
    Yes,
    /// Not now: it is in a state that is not wanted.
    NotInThisState,
    /// Never.
    No,
}

impl EventFilter {
    /// True when it lets everything pass.
    pub fn is_empty(&self) -> bool {
        *self == EventFilter::default()
    }

    /// Judges a flow. A TCP message without a state passes the criterion of states.
    ///
    /// # Errors
    /// The message makes no sense.
    pub fn judge(&self, flow: &FlowView<'_>) -> Result<Passes, WireError> {
        if self.is_empty() {
            return Ok(Passes::Yes);
        }
        let orig = flow.orig_shape()?;
        let proto = orig.proto();
        if let Some((logic, list)) = &self.protocols {
            if !logic.passes(list.contains(&proto)) {
                return Ok(Passes::No);
            }
        }
        if let Some((logic, list)) = &self.networks {
            let listed = |a: Option<Addr>| a.is_some_and(|a| list.iter().any(|n| n.has(a)));
            if !logic.passes(listed(source(&orig)) || listed(source(&flow.reply_shape()?))) {
                return Ok(Passes::No);
            }
        }
        if let (Some((logic, list)), ipproto::TCP) = (&self.tcp_states, proto) {
            if let Some((StateOf::Tcp, state)) = flow.state()? {
                if !logic.passes(list.contains(&state)) {
                    return Ok(Passes::NotInThisState);
                }
            }
        }
        Ok(Passes::Yes)
    }
}

fn source(shape: &Shape<'_>) -> Option<Addr> {
    match shape {
        Shape::V4(t) => Some(Addr::V4(*t.src)),
        Shape::V6(t) => Some(Addr::V6(*t.src)),
        Shape::Other(t) => t.src,
    }
}

/// Which expectations are replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelperFilter {
    /// All.
    All,
    /// Those of helpers whose name begins with one of these, whatever the case: `sip` covers `sip-5060`.
    Names(Vec<String>),
}

impl HelperFilter {
    /// True when expectations of this helper are wanted. One without a helper is, if all are.
    pub fn wants(&self, helper: Option<&[u8]>) -> bool {
        match self {
            HelperFilter::All => true,
            HelperFilter::Names(list) => list.iter().any(|name| {
                let start = helper.and_then(|h| h.get(..name.len()));
                start.is_some_and(|s| s.eq_ignore_ascii_case(name.as_bytes()))
            }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use zct_wire::header::{CtMsg, Frames};
    use zct_wire::proto::{ProtoInfo, TcpInfo};
    use zct_wire::request::{NewFlow, new_flow};
    use zct_wire::tuple::Tuple;

    /// An event message of a flow: between the last bytes of the addresses, destination translated to `real`.
    pub(crate) fn event(proto: u8, src: u8, dst: u8, real: u8, state: Option<u8>) -> Vec<u8> {
        let addr = |a| Some(Addr::V4([10, 0, 0, a]));
        let orig = Tuple {
            src: addr(src),
            dst: addr(dst),
            proto: Some(proto),
            src_port: Some(1),
            dst_port: Some(2),
            ..Tuple::default()
        };
        let reply = Tuple { src: addr(real), ..orig.inverse().unwrap() };
        let protoinfo = state.map(|s| ProtoInfo::Tcp(TcpInfo { state: Some(s), ..TcpInfo::default() }));
        let flow =
            NewFlow { family: 2, orig: Some(orig), reply: Some(reply), protoinfo, ..NewFlow::default() };
        let mut buf = [0; 2048];
        new_flow(&mut buf, 0, 0, &flow).unwrap().to_vec()
    }

    fn judge(filter: &EventFilter, bytes: &[u8]) -> Passes {
        let msg = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
        filter.judge(&FlowView::index(msg).unwrap()).unwrap()
    }

    fn net(a: u8, prefix: u8) -> Network {
        Network::new(Addr::V4([10, 0, 0, a]), prefix).unwrap()
    }

    #[test]
    fn all_criteria_must_pass_and_either_source_counts() {
        use Logic::{Accept, Ignore};
        use Passes::{No, NotInThisState, Yes};
        let f =
            |p: Option<(Logic, Vec<u8>)>, n: Option<(Logic, Vec<Network>)>, s: Option<(Logic, Vec<u8>)>| {
                EventFilter { protocols: p, networks: n, tcp_states: s }
            };
        let tcp = event(6, 1, 2, 3, Some(3));
        for (filter, want) in [
            (EventFilter::default(), Yes),
            (f(Some((Accept, vec![6])), None, None), Yes),
            (f(Some((Accept, vec![17])), None, None), No),
            (f(Some((Ignore, vec![6])), None, None), No),
            (f(None, Some((Accept, vec![net(1, 32)])), None), Yes),
            (f(None, Some((Accept, vec![net(3, 32)])), None), Yes),
            (f(None, Some((Accept, vec![net(2, 32)])), None), No),
            (f(None, Some((Ignore, vec![net(3, 32)])), None), No),
            (f(None, Some((Ignore, vec![net(2, 32), net(128, 25)])), None), Yes),
            (f(None, None, Some((Accept, vec![3, 7]))), Yes),
            (f(None, None, Some((Accept, vec![7]))), NotInThisState),
            (f(None, None, Some((Ignore, vec![3]))), NotInThisState),
            (f(Some((Accept, vec![6])), Some((Accept, vec![net(2, 32)])), Some((Accept, vec![3]))), No),
        ] {
            assert_eq!(judge(&filter, &tcp), want, "{filter:?}");
        }
        let states = f(None, None, Some((Accept, vec![3])));
        assert_eq!(judge(&states, &event(17, 1, 2, 2, None)), Yes);
        assert_eq!(judge(&states, &event(6, 1, 2, 2, None)), Yes);
    }

    #[test]
    fn networks_have_no_bits_behind_their_prefix() {
        let n = Network::new(Addr::V4([10, 1, 2, 3]), 17).unwrap();
        assert_eq!((n.addr, n.mask()), (Addr::V4([10, 1, 0, 0]), Addr::V4([255, 255, 128, 0])));
        assert_eq!(Network::new(Addr::V4([1; 4]), 33), None);
        assert_eq!(Network::new(Addr::V6([1; 16]), 0).unwrap().addr, Addr::V6([0; 16]));
        assert_eq!(Network::new(Addr::V6([1; 16]), 128).unwrap().addr, Addr::V6([1; 16]));
    }

    #[test]
    fn helpers_by_the_start_of_their_name() {
        let f = HelperFilter::Names(vec!["sip".into(), "FTP".into()]);
        for (helper, want) in
            [(&b"sip-5060"[..], true), (b"SIP", true), (b"ftp", true), (b"si", false), (b"tftp", false)]
        {
            assert_eq!(f.wants(Some(helper)), want);
        }
        assert!(!f.wants(None) && HelperFilter::All.wants(None));
    }
}
