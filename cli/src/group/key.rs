//! What flows are grouped by: the words of `--by`, and the keys they make of a flow.
//!
//! A key is a few machine words, so that two are compared, hashed and kept without an allocation. Absent is
//! a value of its own: flows of protocols without ports are a group, and not those of port 0.

use crate::fail::Fail;
use crate::filter;
use smallvec::SmallVec;
use zct_wire::WireError;
use zct_wire::flow::FlowView;
use zct_wire::proto::{DCCP_STATES, SCTP_STATES, StateOf, TCP_STATES};
use zct_wire::tuple::{Addr, Shape, Tuple};

/// One member of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// Source address of the original direction.
    Src,
    /// Destination address of the original direction.
    Dst,
    /// Source port or GRE key of the original direction.
    SrcPort,
    /// Destination port or GRE key of the original direction.
    DstPort,
    /// Layer 4 protocol.
    Proto,
    /// Zone, and the direction that it is for.
    Zone,
    /// Mark.
    Mark,
    /// State of the protocol, by its name.
    State,
    /// What the source, or else the destination, is translated to.
    Nat,
    /// Type, code and identifier of ICMP. With the others it tells single flows apart.
    Icmp,
}

/// The words of `--by`.
pub const NAMES: [(&str, Member); 9] = [
    ("src", Member::Src),
    ("dst", Member::Dst),
    ("sport", Member::SrcPort),
    ("dport", Member::DstPort),
    ("proto", Member::Proto),
    ("zone", Member::Zone),
    ("mark", Member::Mark),
    ("state", Member::State),
    ("nat", Member::Nat),
];

/// The members that a flow has in common with no other: the original direction.
const FLOW: [Member; 7] =
    [Member::Proto, Member::Src, Member::SrcPort, Member::Dst, Member::DstPort, Member::Icmp, Member::Zone];

impl Member {
    fn is_address(self) -> bool {
        matches!(self, Member::Src | Member::Dst | Member::Nat)
    }

    /// Bytes it takes in a key.
    const fn width(self) -> usize {
        match self {
            Member::Src | Member::Dst | Member::Nat => 16,
            Member::Mark | Member::Icmp => 4,
            Member::Zone => 3,
            Member::SrcPort | Member::DstPort | Member::State => 2,
            Member::Proto => 1,
        }
    }

    /// The bit that says that a key has it.
    const fn bit(self) -> u32 {
        2 << self as u32
    }
}

/// Bytes of the widest key there can be, in whole words.
const BYTES_MAX: usize = 72;
/// Words of the widest key.
pub const WORDS_MAX: usize = BYTES_MAX / 8;
/// The bit that says that the addresses of a key are IPv6.
const IPV6: u32 = 1;

const _: () = {
    let (mut at, mut all) = (0, Member::Icmp.width());
    while at < NAMES.len() {
        all += NAMES[at].1.width();
        at += 1;
    }
    assert!(all <= BYTES_MAX, "all members fit a key");
};

/// One word of `--by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The member of the flow.
    pub member: Member,
    /// How many bits of an IPv4 address count, and of an IPv6 address: all of them, if it says nothing.
    lens: [Option<u8>; 2],
    masks: ([u8; 4], [u8; 16]),
}

impl Key {
    fn whole(member: Member) -> Key {
        Key { member, lens: [None; 2], masks: ([0xff; 4], [0xff; 16]) }
    }

    /// `NAME` or, for an address, `NAME/LEN` and `NAME/LEN4/LEN6`.
    fn parse(word: &[u8]) -> Option<Key> {
        let mut parts = word.split(|b| *b == b'/');
        let name = parts.next()?;
        let (_, member) = NAMES.iter().find(|(n, _)| n.as_bytes() == name)?;
        let mut key = Key::whole(*member);
        let lens: SmallVec<[u8; 2]> = parts.map(|p| length(p).ok_or(())).collect::<Result<_, _>>().ok()?;
        key.lens = match lens.as_slice() {
            [] => [None; 2],
            // A single length is for IPv4 addresses if it can be.
            [len @ 0..=32] => [Some(*len), None],
            [len] => [None, Some(*len)],
            [four @ 0..=32, six] => [Some(*four), Some(*six)],
            _ => return None,
        };
        if !member.is_address() && !lens.is_empty() {
            return None;
        }
        key.masks = (mask(key.lens[0]), mask(key.lens[1]));
        Some(key)
    }

    /// The word as it is written: `src/24`.
    pub fn name(&self) -> String {
        let name = NAMES.iter().find(|(_, m)| *m == self.member).map_or("icmp", |(name, _)| *name);
        let lens = self.lens.iter().flatten().map(|len| format!("/{len}"));
        name.to_owned() + &lens.collect::<String>()
    }

    /// The address with the bits that count.
    fn cut(&self, addr: Addr) -> Addr {
        match addr {
            Addr::V4(a) => Addr::V4((u32::from_ne_bytes(a) & u32::from_ne_bytes(self.masks.0)).to_ne_bytes()),
            Addr::V6(a) => {
                Addr::V6((u128::from_ne_bytes(a) & u128::from_ne_bytes(self.masks.1)).to_ne_bytes())
            }
        }
    }
}

/// A prefix length in decimal.
fn length(text: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|len| digits && *len <= 128)
}

/// The first bits of an address, all of them without a length.
fn mask<const N: usize>(len: Option<u8>) -> [u8; N] {
    let mut mask = [0xff; N];
    if let Some(len) = len {
        for (at, byte) in mask.iter_mut().enumerate() {
            let bits = usize::from(len).saturating_sub(at * 8).min(8);
            *byte = !(0xffu16 >> bits) as u8;
        }
    }
    mask
}

/// The words of `--by`, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys(SmallVec<[Key; 2]>);

/// The key of one flow: which members it has, and their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The members that are there, and the family of the addresses.
    pub tag: u32,
    /// The values; the words that [`Keys::words`] does not count are 0.
    pub words: [u64; WORDS_MAX],
}

/// A step of a hash: the product of both halves, folded. It is not a secure hash; see [`Packed::hash`].
#[inline]
pub fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * 0x9e37_79b9_7f4a_7c15;
    (product as u64) ^ (product >> 64) as u64
}

impl Packed {
    /// A hash of the key, and of nothing but its first `words` words.
    ///
    /// One multiplication per word, where SipHash has fourteen operations. It is not a secure hash. But
    /// whoever chooses addresses and ports does not learn the secret, which differs in every run, and without
    /// it cannot make more than a few keys hash alike.
    #[inline]
    pub fn hash(&self, words: usize, secret: u64) -> u64 {
        let hash = self.words.iter().take(words).fold(mix(secret, self.tag.into()), |h, w| mix(h, *w));
        // The last word has to reach every bit.
        mix(hash, secret)
    }
}

/// The zone of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Of both directions; 0 is none.
    Both(u16),
    /// Of the original direction alone.
    Orig(u16),
    /// Of the reply direction alone.
    Reply(u16),
}

/// The value that one word of `--by` has in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// The flow has none.
    Absent,
    /// An address, and how many bits of it count.
    Addr(Addr, Option<u8>),
    /// A port, or a mark.
    Number(u32),
    /// A layer 4 protocol.
    Proto(u8),
    /// A zone.
    Zone(Zone),
    /// A state, and one of the protocols that have it.
    State(StateOf, u8),
    /// Type, code and identifier.
    Icmp(u8, u8, u16),
}

impl Keys {
    /// Reads the value of `--by`.
    ///
    /// # Errors
    /// A usage error that names the word, and the words there are.
    pub fn parse(text: &[u8]) -> Result<Keys, Fail> {
        let mut keys = Keys(SmallVec::new());
        for word in text.split(|b| *b == b',') {
            let key = Key::parse(word).ok_or_else(|| {
                let wanted = "' is no key: src, dst and nat, with /LEN or /LEN4/LEN6 for networks; sport, \
                              dport, proto, zone, mark and state";
                Fail::word("`", word, wanted)
            })?;
            if keys.0.iter().any(|k| k.member == key.member) {
                return Err(Fail::word("`--by' has one member twice: `", text, "'"));
            }
            keys.0.push(key);
        }
        Ok(keys)
    }

    /// Single flows: what each has in common with no other, and the state.
    pub fn flows() -> Keys {
        Keys(FLOW.into_iter().chain([Member::State]).map(Key::whole).collect())
    }

    /// True for single flows.
    pub fn is_flows(&self) -> bool {
        self.iter().any(|k| k.member == Member::Icmp)
    }

    /// The words, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// As it is written: `src/24,dport`, or `flow`.
    pub fn name(&self) -> String {
        if self.is_flows() {
            return "flow".to_owned();
        }
        self.iter().map(Key::name).collect::<Vec<_>>().join(",")
    }

    /// How many words of a [`Packed`] are in use.
    pub fn words(&self) -> usize {
        self.iter().map(|k| k.member.width()).sum::<usize>().div_ceil(8)
    }

    /// Makes the key of a flow.
    ///
    /// # Errors
    /// The first attribute that is needed and cannot be read. Allocates nothing.
    pub fn pack(&self, f: &FlowView<'_>) -> Result<Packed, WireError> {
        let mut to = Packer { tag: 0, bytes: [0; BYTES_MAX], at: 0 };
        let orig = f.orig_shape()?;
        for key in &self.0 {
            match key.member {
                Member::Src => to.addr(key, src(&orig)),
                Member::Dst => to.addr(key, dst(&orig)),
                Member::Nat => to.addr(key, filter::translated_to(f)?),
                Member::SrcPort => to.put(key, ports(&orig).0.map(u16::to_be_bytes)),
                Member::DstPort => to.put(key, ports(&orig).1.map(u16::to_be_bytes)),
                Member::Proto => to.put(key, Some([orig.proto()])),
                Member::Mark => to.put(key, Some(f.mark()?.unwrap_or(0).to_be_bytes())),
                Member::Zone => {
                    let (of, zone) = match zone(f, &orig)? {
                        Zone::Both(z) => (0, z),
                        Zone::Orig(z) => (1, z),
                        Zone::Reply(z) => (2, z),
                    };
                    let [high, low] = zone.to_be_bytes();
                    to.put(key, Some([of, high, low]));
                }
                Member::State => {
                    let state = f.state()?.map(|(of, state)| known_as(of, state));
                    to.put(key, state.map(|(of, state)| [of as u8, state]));
                }
                Member::Icmp => to.put(key, icmp(&orig)),
            }
        }
        let mut words = [0; WORDS_MAX];
        for (word, bytes) in words.iter_mut().zip(to.bytes.chunks_exact(8)).take(to.at.div_ceil(8)) {
            *word = bytes.first_chunk().map_or(0, |b| u64::from_be_bytes(*b));
        }
        Ok(Packed { tag: to.tag, words })
    }

    /// The values in a key, one for each word.
    pub fn values(&self, packed: &Packed) -> Vec<Value> {
        let mut bytes = [0; BYTES_MAX];
        for (to, word) in bytes.chunks_exact_mut(8).zip(packed.words) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        let mut rest = &bytes[..];
        let each = self.0.iter().map(|key| {
            let (value, after) = rest.split_at(key.member.width());
            rest = after;
            if packed.tag & key.member.bit() == 0 { Value::Absent } else { key.value(packed.tag, value) }
        });
        each.collect()
    }
}

impl Key {
    /// Reads the value back that [`Keys::pack`] has written.
    fn value(&self, tag: u32, bytes: &[u8]) -> Value {
        match (self.member, bytes) {
            (Member::Src | Member::Dst | Member::Nat, _) => {
                let [four, six] = self.lens;
                let v4 = bytes.first_chunk().map(|a| Value::Addr(Addr::V4(*a), four));
                let v6 = bytes.first_chunk().map(|a| Value::Addr(Addr::V6(*a), six));
                if tag & IPV6 == 0 { v4 } else { v6 }.unwrap_or(Value::Absent)
            }
            (Member::SrcPort | Member::DstPort, [a, b]) => Value::Number(u16::from_be_bytes([*a, *b]).into()),
            (Member::Mark, [a, b, c, d]) => Value::Number(u32::from_be_bytes([*a, *b, *c, *d])),
            (Member::Proto, [proto]) => Value::Proto(*proto),
            (Member::Zone, [of, a, b]) => {
                let zone = u16::from_be_bytes([*a, *b]);
                Value::Zone(match of {
                    0 => Zone::Both(zone),
                    1 => Zone::Orig(zone),
                    _ => Zone::Reply(zone),
                })
            }
            (Member::State, [of, state]) => {
                let of = [StateOf::Tcp, StateOf::Sctp, StateOf::Dccp].into_iter().find(|o| *o as u8 == *of);
                of.map_or(Value::Absent, |of| Value::State(of, *state))
            }
            (Member::Icmp, [kind, code, a, b]) => Value::Icmp(*kind, *code, u16::from_be_bytes([*a, *b])),
            _ => Value::Absent,
        }
    }
}

/// Writes a key, member by member.
struct Packer {
    tag: u32,
    bytes: [u8; BYTES_MAX],
    at: usize,
}

impl Packer {
    #[inline]
    fn put<const N: usize>(&mut self, key: &Key, value: Option<[u8; N]>) {
        let end = self.at + key.member.width();
        if let (Some(value), Some(room)) = (value, self.bytes.get_mut(self.at..end)) {
            if let Some(room) = room.first_chunk_mut() {
                *room = value;
                self.tag |= key.member.bit();
            }
        }
        self.at = end;
    }

    #[inline]
    fn addr(&mut self, key: &Key, addr: Option<Addr>) {
        match addr.map(|a| key.cut(a)) {
            Some(Addr::V4(a)) => self.put(key, Some(a)),
            Some(Addr::V6(a)) => {
                self.tag |= IPV6;
                self.put(key, Some(a));
            }
            None => self.put::<16>(key, None),
        }
    }
}

fn src(shape: &Shape<'_>) -> Option<Addr> {
    match shape {
        Shape::V4(t) => Some(Addr::V4(*t.src)),
        Shape::V6(t) => Some(Addr::V6(*t.src)),
        Shape::Other(t) => t.src,
    }
}

fn dst(shape: &Shape<'_>) -> Option<Addr> {
    match shape {
        Shape::V4(t) => Some(Addr::V4(*t.dst)),
        Shape::V6(t) => Some(Addr::V6(*t.dst)),
        Shape::Other(t) => t.dst,
    }
}

fn ports(shape: &Shape<'_>) -> (Option<u16>, Option<u16>) {
    match shape {
        Shape::V4(t) => (Some(t.src_port), Some(t.dst_port)),
        Shape::V6(t) => (Some(t.src_port), Some(t.dst_port)),
        Shape::Other(t) => (t.src_port, t.dst_port),
    }
}

fn icmp(shape: &Shape<'_>) -> Option<[u8; 4]> {
    let Shape::Other(Tuple { icmp_type: Some(kind), icmp_code, icmp_id, .. }) = shape else { return None };
    let [high, low] = icmp_id.unwrap_or(0).to_be_bytes();
    Some([*kind, icmp_code.unwrap_or(0), high, low])
}

fn zone(f: &FlowView<'_>, orig: &Shape<'_>) -> Result<Zone, WireError> {
    if let Some(both) = f.zone()? {
        return Ok(Zone::Both(both));
    }
    // The usual shapes have no zone.
    if let Shape::Other(Tuple { zone: Some(zone), .. }) = orig {
        return Ok(Zone::Orig(*zone));
    }
    if let Shape::Other(Tuple { zone: Some(zone), .. }) = f.reply_shape()? {
        return Ok(Zone::Reply(zone));
    }
    Ok(Zone::Both(0))
}

/// The first protocol that has a state of the same name, so that a group has one name.
fn known_as(of: StateOf, state: u8) -> (StateOf, u8) {
    if of == StateOf::Tcp {
        return (of, state);
    }
    let Some(name) = of.name(state) else { return (of, state) };
    let lists = [(StateOf::Tcp, TCP_STATES), (StateOf::Sctp, SCTP_STATES), (StateOf::Dccp, DCCP_STATES)];
    let found = lists.iter().find_map(|(of, names)| Some((*of, names.iter().position(|n| *n == name)?)));
    found.map_or((of, state), |(of, at)| (of, at as u8))
}

#[cfg(test)]
mod tests;
