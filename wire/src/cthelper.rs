//! Helpers in user space: the stubs in the kernel that hand packets to a queue and take expectations back
//! (linux/netfilter/nfnetlink_cthelper.h, nfct.md §2).

use crate::attr::{self, Attrs};
use crate::build::{Builder, Full, Head};
use crate::consts::{
    af, nfct_helper_status, nfcth, nfcth_policy, nfcth_policy_set, nfcth_tuple, nfnl_cthelper, nlm_f,
};
use crate::error::WireError;
use crate::header::CtMsg;

/// How many expectations of one kind a flow may have, and how long they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectPolicy<'a> {
    /// Its name, less than [`nfcth::NAME_MAX`] bytes.
    pub name: &'a [u8],
    /// How many expectations a flow may have at a time.
    pub expect_max: u32,
    /// Seconds until an expectation is dropped.
    pub timeout_s: u32,
}

/// A stub to create or to change; members that are `None` are not sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewHelper<'a> {
    /// Its name, less than [`nfcth::NAME_MAX`] bytes.
    pub name: &'a [u8],
    /// Address family, AF_INET or AF_INET6.
    pub l3: u16,
    /// Layer 4 protocol.
    pub l4: u8,
    /// Number of the netfilter queue its packets go to.
    pub queue: Option<u32>,
    /// Bytes the kernel keeps for the helper in every flow. Can be set only when the stub is created.
    pub priv_data_len: Option<u32>,
    /// Whether packets are queued: [`nfct_helper_status`].
    pub status: Option<u32>,
    /// At most four; required to create.
    pub policies: &'a [ExpectPolicy<'a>],
}

/// A stub as the kernel sends it.
#[derive(Clone, Copy, Debug, Default)]
pub struct HelperView<'a> {
    /// Name by which rules and flows refer to it.
    pub name: Option<&'a [u8]>,
    /// Address family.
    pub l3: Option<u16>,
    /// Layer 4 protocol.
    pub l4: Option<u8>,
    /// Number of the netfilter queue.
    pub queue: Option<u32>,
    /// Bytes of private data that the kernel keeps with every flow.
    pub priv_data_len: Option<u32>,
    /// Whether packets are queued: [`nfct_helper_status`].
    pub status: Option<u32>,
    policies: &'a [u8],
}

impl<'a> HelperView<'a> {
    /// Reads a message of type [`nfnl_cthelper::NEW`].
    ///
    /// # Errors
    /// [`WireError::Short`] or [`WireError::BadLength`] for an attribute header that is cut short, or whose
    /// length lies; [`WireError::BadValue`] for a number that is shorter than its type.
    pub fn parse(msg: CtMsg<'a>) -> Result<Self, WireError> {
        let mut out = HelperView::default();
        for a in msg.attrs() {
            let a = a?;
            match a.kind {
                nfcth::NAME => out.name = Some(attr::text(a.value)),
                nfcth::TUPLE => out.tuple(a.value)?,
                nfcth::QUEUE_NUM => out.queue = Some(attr::be32("NFCTH_QUEUE_NUM", a.value)?),
                nfcth::PRIV_DATA_LEN => {
                    out.priv_data_len = Some(attr::be32("NFCTH_PRIV_DATA_LEN", a.value)?);
                }
                nfcth::STATUS => out.status = Some(attr::be32("NFCTH_STATUS", a.value)?),
                nfcth::POLICY => out.policies = a.value,
                _ => {}
            }
        }
        Ok(out)
    }

    fn tuple(&mut self, nest: &[u8]) -> Result<(), WireError> {
        for a in Attrs::new(nest) {
            let a = a?;
            match a.kind {
                nfcth_tuple::L3PROTONUM => {
                    self.l3 = Some(attr::be16("NFCTH_TUPLE_L3PROTONUM", a.value)?);
                }
                nfcth_tuple::L4PROTONUM => {
                    self.l4 = Some(attr::u8("NFCTH_TUPLE_L4PROTONUM", a.value)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Its policies in the order sent. A policy without its name or a limit is an error.
    pub fn policies(&self) -> impl Iterator<Item = Result<ExpectPolicy<'a>, WireError>> + use<'a> {
        Attrs::new(self.policies).filter_map(|a| match a {
            Ok(a) if a.kind < nfcth_policy_set::SET1 => None,
            Ok(a) => Some(policy(a.value)),
            Err(e) => Some(Err(e)),
        })
    }
}

/// The smallest nest with all three members: three headers, an empty name in one word, two numbers.
const POLICY_MIN: usize = 24;

fn policy(nest: &[u8]) -> Result<ExpectPolicy<'_>, WireError> {
    let (mut name, mut expect_max, mut timeout_s) = (None, None, None);
    for a in Attrs::new(nest) {
        let a = a?;
        match a.kind {
            nfcth_policy::NAME => name = Some(attr::text(a.value)),
            nfcth_policy::EXPECT_MAX => {
                expect_max = Some(attr::be32("NFCTH_POLICY_EXPECT_MAX", a.value)?);
            }
            nfcth_policy::EXPECT_TIMEOUT => {
                timeout_s = Some(attr::be32("NFCTH_POLICY_EXPECT_TIMEOUT", a.value)?);
            }
            _ => {}
        }
    }
    match (name, expect_max, timeout_s) {
        (Some(name), Some(expect_max), Some(timeout_s)) => Ok(ExpectPolicy { name, expect_max, timeout_s }),
        _ => Err(WireError::Short { what: "NFCTH_POLICY_SET", need: POLICY_MIN, have: nest.len() }),
    }
}

fn start(buf: &mut [u8], kind: u16, flags: u16, seq: u32) -> Builder<'_> {
    Builder::new(buf, Head::new(kind, seq).flags(nlm_f::REQUEST | flags).family(af::UNSPEC))
}

fn tuple(b: &mut Builder<'_>, l3: u16, l4: u8) {
    b.nest(nfcth::TUPLE, |b| {
        b.put_be16(nfcth_tuple::L3PROTONUM, l3).put_u8(nfcth_tuple::L4PROTONUM, l4);
    });
}

/// Creates a stub, or changes the one with this name, family and protocol. The kernel refuses to create one
/// without policies (EINVAL), or beside a helper of its own (EBUSY).
///
/// # Errors
/// [`Full`] when `buf` is too small, or when there are more than four policies.
pub fn add<'b>(buf: &'b mut [u8], seq: u32, helper: &NewHelper<'_>) -> Result<&'b [u8], Full> {
    const SETS: [u16; 4] =
        [nfcth_policy_set::SET1, nfcth_policy_set::SET2, nfcth_policy_set::SET3, nfcth_policy_set::SET4];
    // Every set there is: the group's only other member is the number of sets.
    const _: () = assert!(SETS.len() + 1 == nfcth_policy_set::NAMED.len());
    let count = u32::try_from(helper.policies.len()).map_err(|_| Full)?;
    if helper.policies.len() > SETS.len() {
        return Err(Full);
    }
    let mut b = start(buf, nfnl_cthelper::NEW, nlm_f::CREATE | nlm_f::ACK, seq);
    b.put_str(nfcth::NAME, helper.name);
    if let Some(queue) = helper.queue {
        b.put_be32(nfcth::QUEUE_NUM, queue);
    }
    if let Some(len) = helper.priv_data_len {
        b.put_be32(nfcth::PRIV_DATA_LEN, len);
    }
    tuple(&mut b, helper.l3, helper.l4);
    if count > 0 {
        b.nest(nfcth::POLICY, |b| {
            for (set, p) in SETS.into_iter().zip(helper.policies) {
                b.nest(set, |b| {
                    b.put_str(nfcth_policy::NAME, p.name)
                        .put_be32(nfcth_policy::EXPECT_MAX, p.expect_max)
                        .put_be32(nfcth_policy::EXPECT_TIMEOUT, p.timeout_s);
                });
            }
            b.put_be32(nfcth_policy_set::NUM, count);
        });
    }
    if let Some(status) = helper.status {
        b.put_be32(nfcth::STATUS, status);
    }
    b.finish()
}

/// Stops queueing packets to a stub that exists.
///
/// # Errors
/// [`Full`] when `buf` is too small for the message with its name.
pub fn disable<'b>(buf: &'b mut [u8], seq: u32, name: &[u8], l3: u16, l4: u8) -> Result<&'b [u8], Full> {
    let status = Some(nfct_helper_status::DISABLED);
    add(buf, seq, &NewHelper { name, l3, l4, status, ..NewHelper::default() })
}

/// Asks for the first stub with this name and, if given, this family and protocol.
///
/// Given a family and protocol, the kernel does not refuse when there is no such stub: it only acknowledges.
///
/// # Errors
/// [`Full`] when `buf` is too small for the message with its name.
pub fn get<'b>(buf: &'b mut [u8], seq: u32, name: &[u8], which: Option<(u16, u8)>) -> Result<&'b [u8], Full> {
    named(buf, nfnl_cthelper::GET, seq, name, which)
}

/// Asks for a dump of all stubs.
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn list(buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
    start(buf, nfnl_cthelper::GET, nlm_f::DUMP, seq).finish()
}

/// Deletes every stub with this name or, if given, the one with this family and protocol. The request always
/// has a name: without the attribute the kernel would delete all stubs.
///
/// # Errors
/// [`Full`] when `buf` is too small for the message with its name.
pub fn delete<'b>(
    buf: &'b mut [u8],
    seq: u32,
    name: &[u8],
    which: Option<(u16, u8)>,
) -> Result<&'b [u8], Full> {
    named(buf, nfnl_cthelper::DEL, seq, name, which)
}

/// Deletes every stub.
///
/// # Errors
/// [`Full`] when `buf` is too small.
pub fn flush(buf: &mut [u8], seq: u32) -> Result<&[u8], Full> {
    start(buf, nfnl_cthelper::DEL, nlm_f::ACK, seq).finish()
}

fn named<'b>(
    buf: &'b mut [u8],
    kind: u16,
    seq: u32,
    name: &[u8],
    which: Option<(u16, u8)>,
) -> Result<&'b [u8], Full> {
    let mut b = start(buf, kind, nlm_f::ACK, seq);
    b.put_str(nfcth::NAME, name);
    if let Some((l3, l4)) = which {
        tuple(&mut b, l3, l4);
    }
    b.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::tests::recorded;
    use crate::header::Frames;
    use std::vec::Vec;

    fn msg(bytes: &[u8]) -> CtMsg<'_> {
        CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap()
    }

    const FTP: NewHelper<'_> = NewHelper {
        name: b"ftp",
        l3: 2,
        l4: 6,
        queue: None,
        priv_data_len: Some(24),
        status: None,
        policies: &[ExpectPolicy { name: b"ftp", expect_max: 1, timeout_s: 300 }],
    };

    /// As strace shows them for `nfct add helper ftp inet tcp` of 1.4.7, flags and sequence number aside.
    const ADD: &[u8] = &[
        8, 0, 1, 0, b'f', b't', b'p', 0, // NFCTH_NAME
        8, 0, 5, 0, 0, 0, 0, 24, // NFCTH_PRIV_DATA_LEN
        20, 0, 2, 0x80, // NFCTH_TUPLE
        6, 0, 1, 0, 0, 2, 0, 0, // L3PROTONUM
        5, 0, 2, 0, 6, 0, 0, 0, // L4PROTONUM
        40, 0, 4, 0x80, // NFCTH_POLICY
        28, 0, 2, 0x80, // SET1
        8, 0, 1, 0, b'f', b't', b'p', 0, // NAME
        8, 0, 2, 0, 0, 0, 0, 1, // EXPECT_MAX
        8, 0, 3, 0, 0, 0, 1, 44, // EXPECT_TIMEOUT
        8, 0, 1, 0, 0, 0, 0, 1, // SET_NUM
    ];

    #[test]
    fn a_stub_is_sent_as_the_original_sends_it() {
        let mut buf = [0xa5; 256];
        let bytes = add(&mut buf, 1, &FTP).unwrap();
        assert_eq!(bytes[20..], recorded(ADD));
        let m = msg(bytes);
        assert_eq!((m.kind(), m.flags(), m.family()), (0x900, 0x405, 0));
    }

    #[test]
    fn what_is_sent_is_read_back() {
        let mut buf = [0xa5; 1024];
        let p = |name, expect_max| ExpectPolicy { name, expect_max, timeout_s: 77 };
        let policies = [p(&b"a"[..], 1), p(b"bb", 2), p(b"ccc", 3), p(b"fifteen-letters", 4)];
        let helper = NewHelper { queue: Some(7), status: Some(1), l3: 10, policies: &policies, ..FTP };
        let h = HelperView::parse(msg(add(&mut buf, 1, &helper).unwrap())).unwrap();
        assert_eq!((h.name, h.l3, h.l4), (Some(&b"ftp"[..]), Some(10), Some(6)));
        assert_eq!((h.queue, h.priv_data_len, h.status), (Some(7), Some(24), Some(1)));
        assert!(h.policies().map(Result::unwrap).eq(policies));
        let five = [policies[0]; 5];
        assert_eq!(add(&mut buf, 1, &NewHelper { policies: &five, ..FTP }), Err(Full));
    }

    #[test]
    fn every_truncation_is_an_error_or_less_of_the_stub() {
        let mut buf = [0; 256];
        let bytes = add(&mut buf, 1, &FTP).unwrap().to_vec();
        for n in 20..bytes.len() {
            let mut cut = bytes[..n].to_vec();
            cut[..4].copy_from_slice(&(n as u32).to_ne_bytes());
            assert_eq!(HelperView::parse(msg(&cut)).is_ok(), [20, 28, 36, 56].contains(&n), "{n} bytes");
        }
    }

    #[test]
    fn damaged_nests_are_errors() {
        let mut buf = [0; 256];
        let bytes = add(&mut buf, 1, &FTP).unwrap().to_vec();
        // Where the members of the nests start: L3PROTONUM, L4PROTONUM; the policy and its members.
        for at in [40, 48] {
            let mut bad = bytes.clone();
            bad[at..][..2].copy_from_slice(&4u16.to_ne_bytes());
            assert!(HelperView::parse(msg(&bad)).is_err(), "at {at}");
        }
        for (at, len) in [(60, 3), (60, 24), (60, 200), (64, 2), (72, 6), (80, 7), (80, 200)] {
            let mut bad = bytes.clone();
            bad[at..][..2].copy_from_slice(&u16::to_ne_bytes(len));
            let h = HelperView::parse(msg(&bad)).unwrap();
            assert!(h.policies().any(|p| p.is_err()), "{len} at {at}");
        }
    }

    #[test]
    fn only_a_flush_comes_without_a_name() {
        let mut buf = [0; 256];
        let kinds = |bytes: &[u8]| -> Vec<u16> { msg(bytes).attrs().map(|a| a.unwrap().kind).collect() };
        assert_eq!(kinds(delete(&mut buf, 1, b"", None).unwrap()), [1]);
        assert_eq!(kinds(delete(&mut buf, 1, b"x", Some((2, 6))).unwrap()), [1, 2]);
        assert_eq!(kinds(get(&mut buf, 1, b"x", Some((2, 6))).unwrap()), [1, 2]);
        assert_eq!(kinds(disable(&mut buf, 1, b"x", 2, 6).unwrap()), [1, 2, 6]);
        assert_eq!(kinds(flush(&mut buf, 1).unwrap()), []);
        let m = msg(list(&mut buf, 1).unwrap());
        assert_eq!((m.kind(), m.flags()), (0x901, 0x301));
    }
}
