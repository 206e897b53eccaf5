//! FTP (RFC 959, RFC 2428): PORT and EPRT of the client, the answers 227 and 229 of the server.
//!
//! What counts is a whole line: one that follows a line feed, or the beginning of the connection, and that
//! ends in the same segment. So the numbers of the bytes that follow a line feed are kept in the flow, two
//! for each side, where a retransmission finds its own again. Text elsewhere is the content of something
//! else, made to look like a command.

use crate::config::Config;
use crate::datagram::TCP;
use crate::packet::{Packet, Side, State, Transport};
use crate::private::Private;
use crate::read::{self, Cursor};
use crate::refusal::Refusal;
use crate::verdict::{Verdict, Write};
use zct_wire::expected::Expected;
use zct_wire::tuple::Addr;

/// The longest line that is read.
const LINE_MAX: usize = 512;
/// The words with which an announcement begins.
const CLIENT_WORDS: [&[u8]; 2] = [b"PORT ", b"EPRT "];
const SERVER_WORDS: [&[u8]; 2] = [b"227 ", b"229 "];

/// What the lines that count begin with, in lower case.
const CLIENT_LINES: [[u8; 4]; 5] = [*b"port", *b"eprt", *b"pasv", *b"epsv", *b"auth"];
const SERVER_LINES: [[u8; 3]; 3] = [*b"227", *b"229", *b"234"];

/// Bits of what has been said in the flow.
mod said {
    /// The client wants to connect, and asked for the port in the old way.
    pub(super) const PASV: u32 = 1;
    /// The same in the new way.
    pub(super) const EPSV: u32 = 2;
    /// The client asked for encryption.
    pub(super) const AUTH: u32 = 4;
    /// The server agreed: nothing can be read from here on.
    pub(super) const ENCRYPTED: u32 = 8;
    pub(super) const ALL: u32 = 15;
}

/// The layout of the private data: four numbers of bytes that begin a line, and for each side how many of its
/// two are in use, as the original has it. The upper half of the second last says what has been said.
struct Notes<'p>(&'p mut Private);

impl<'p> Notes<'p> {
    const COUNTS: [usize; 2] = [16, 20];
    const SAID_SHIFT: u32 = 16;

    /// `None` for bytes that no FTP helper writes.
    fn of(private: &'p mut Private) -> Option<Notes<'p>> {
        let notes = Notes(private);
        let counts = [Side::Original, Side::Reply].map(|side| notes.count(side));
        let fits = counts.iter().all(|n| *n <= 2) && notes.said() <= said::ALL;
        (notes.0.bytes().len() == 24 && fits).then_some(notes)
    }

    fn count_at(side: Side) -> usize {
        let [original, reply] = Notes::COUNTS;
        if side == Side::Original { original } else { reply }
    }

    /// Where the two numbers of a side are.
    fn places(side: Side) -> [usize; 2] {
        if side == Side::Original { [0, 4] } else { [8, 12] }
    }

    fn count(&self, side: Side) -> u32 {
        let mask = if side == Side::Original { 0xffff } else { u32::MAX };
        self.0.number(Notes::count_at(side)) & mask
    }

    fn said(&self) -> u32 {
        self.0.number(Notes::count_at(Side::Original)) >> Notes::SAID_SHIFT
    }

    fn set_count(&mut self, side: Side, count: u32) {
        let said = if side == Side::Original { self.said() << Notes::SAID_SHIFT } else { 0 };
        self.0.set_number(Notes::count_at(side), count | said);
    }

    fn say(&mut self, bits: u32) {
        let both = self.count(Side::Original) | (self.said() | bits) << Notes::SAID_SHIFT;
        self.0.set_number(Notes::count_at(Side::Original), both);
    }

    fn begins_line(&self, side: Side, seq: u32) -> bool {
        let used = usize::try_from(self.count(side)).unwrap_or(0);
        Notes::places(side).into_iter().take(used).any(|at| self.0.number(at) == seq)
    }

    /// Remembers that a line begins at `seq`; of the two before it, the later one stays.
    fn line_begins(&mut self, side: Side, seq: u32) {
        if self.begins_line(side, seq) {
            return;
        }
        let [first, second] = Notes::places(side);
        match self.count(side) {
            0 => self.0.set_number(first, seq),
            1 => self.0.set_number(second, seq),
            _ => {
                let older = if later(self.0.number(first), self.0.number(second)) { second } else { first };
                if later(seq, self.0.number(older)) {
                    self.0.set_number(older, seq);
                }
                return;
            }
        }
        self.set_count(side, self.count(side).saturating_add(1));
    }
}

/// Whether sequence number `a` comes after `b`.
fn later(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

/// Reads one segment of a control connection.
pub(crate) fn packet(config: &Config<'_>, private: &mut Private, packet: &Packet<'_>) -> Verdict {
    let Transport::Tcp { seq, syn } = packet.transport else { return Verdict::PASS };
    let Some(mut notes) = Notes::of(private) else {
        private.clear();
        return Verdict::refuse(Refusal::StalePrivate);
    };
    if syn {
        // The first line begins right after the SYN, which itself carries no data.
        notes.line_begins(packet.side, seq.wrapping_add(1));
        return Verdict::PASS;
    }
    if packet.payload.is_empty() || packet.state != State::Established || notes.said() & said::ENCRYPTED != 0
    {
        return Verdict::PASS;
    }
    let begins = notes.begins_line(packet.side, seq);
    let more = match packet.side {
        Side::Original => read::a_line_begins(packet.payload, &CLIENT_LINES),
        Side::Reply => read::a_line_begins(packet.payload, &SERVER_LINES),
    };
    let mut verdict = Verdict::PASS;
    let lines = read::lines(packet.payload).skip_while(|(at, _)| *at == 0 && !begins);
    for (at, line) in lines.take_while(|(at, _)| *at == 0 || more) {
        let found = match packet.side {
            Side::Original => command(config, &mut notes, packet, line),
            Side::Reply => answer(config, &mut notes, packet, line),
        };
        match found {
            Ok(Some(one)) if verdict.expected.is_empty() => one.enter(&mut verdict, at),
            Ok(Some(_)) => verdict.refused = Some(Refusal::TooMany),
            Ok(None) => {}
            Err(why) => verdict.refused = Some(why),
        }
        if notes.said() & said::ENCRYPTED != 0 {
            return verdict;
        }
    }
    let read_to = read::end_of_lines(packet.payload);
    let rest = packet.payload.get(read_to..).unwrap_or_default();
    if rest.is_empty() {
        let end = u32::try_from(packet.payload.len()).unwrap_or(0);
        notes.line_begins(packet.side, seq.wrapping_add(end));
    } else if (begins || read_to > 0) && is_announcement(packet.side, rest) {
        verdict.refused = Some(Refusal::Split);
    }
    verdict
}

fn is_announcement(side: Side, text: &[u8]) -> bool {
    let words = if side == Side::Original { CLIENT_WORDS } else { SERVER_WORDS };
    words.iter().any(|w| text.get(..w.len()).is_some_and(|t| t.eq_ignore_ascii_case(w)))
}

/// A port that is announced, and the places in its line that say so.
struct Announced {
    expected: Expected,
    edits: [Option<(usize, usize, Write)>; 2],
}

impl Announced {
    fn enter(&self, verdict: &mut Verdict, line_at: usize) {
        verdict.add(self.expected);
        for (at, len, write) in self.edits.iter().flatten() {
            verdict.edit(line_at.saturating_add(*at), *len, *write);
        }
    }

    /// One to this address and port, which are named in these places.
    fn at(
        config: &Config<'_>,
        packet: &Packet<'_>,
        addr: Addr,
        port: u16,
        edits: [Option<(usize, usize, Write)>; 2],
    ) -> Result<Option<Announced>, Refusal> {
        if config.address(packet, addr)? {
            return Ok(Some(Announced { expected: packet.expect_to_sender(TCP, port), edits }));
        }
        let from = Some(packet.other().src());
        let expected = Expected::new(TCP, from, addr, port).ok_or(Refusal::ForeignAddress)?;
        Ok(Some(Announced { expected, edits: [None; 2] }))
    }
}

type Found = Result<Option<Announced>, Refusal>;

/// A line of the client.
fn command(config: &Config<'_>, notes: &mut Notes<'_>, packet: &Packet<'_>, line: &[u8]) -> Found {
    let mut c = Cursor::new(line);
    if c.any_case(b"PORT ").is_some() {
        short_enough(line)?;
        c.skip(b' ');
        let at = c.at();
        let numbers = c.octets(b',').ok_or(Refusal::Malformed)?;
        let len = c.at().saturating_sub(at);
        c.skip(b' ');
        if !c.is_end() {
            return Err(Refusal::Malformed);
        }
        return host_port(config, packet, numbers, (at, len));
    }
    if c.any_case(b"EPRT ").is_some() {
        short_enough(line)?;
        return eprt(config, packet, c);
    }
    let word = line.get(..4).unwrap_or(line);
    let ends = |rest: Option<&[u8]>| rest.is_none_or(|r| r.is_empty() || r.starts_with(b" "));
    if ends(line.get(4..)) {
        if word.eq_ignore_ascii_case(b"PASV") {
            notes.say(said::PASV);
        } else if word.eq_ignore_ascii_case(b"EPSV") {
            notes.say(said::EPSV);
        } else if word.eq_ignore_ascii_case(b"AUTH") {
            notes.say(said::AUTH);
        }
    }
    Ok(None)
}

/// A line of the server.
fn answer(config: &Config<'_>, notes: &mut Notes<'_>, packet: &Packet<'_>, line: &[u8]) -> Found {
    let said = notes.said();
    if line.starts_with(b"227 ") {
        short_enough(line)?;
        if said & said::PASV == 0 {
            return Err(Refusal::Unasked);
        }
        let (numbers, place) = six_numbers(line).ok_or(Refusal::Malformed)?;
        return host_port(config, packet, numbers, place);
    }
    if line.starts_with(b"229 ") {
        short_enough(line)?;
        if said & said::EPSV == 0 {
            return Err(Refusal::Unasked);
        }
        return extended_passive(config, packet, line);
    }
    if line.starts_with(b"234") && said & said::AUTH != 0 {
        notes.say(said::ENCRYPTED);
    }
    Ok(None)
}

fn short_enough(line: &[u8]) -> Result<(), Refusal> {
    if line.len() <= LINE_MAX { Ok(()) } else { Err(Refusal::TooLong) }
}

fn host_port(config: &Config<'_>, packet: &Packet<'_>, numbers: [u8; 6], place: (usize, usize)) -> Found {
    let [a, b, c, d, high, low] = numbers;
    let port = config.port(u16::from_be_bytes([high, low]).into())?;
    let edit = Some((place.0, place.1, Write::HostPort(0)));
    Announced::at(config, packet, Addr::V4([a, b, c, d]), port, [edit, None])
}

/// `|1|10.1.0.2|40000|`, with any printable delimiter that is not a digit.
fn eprt(config: &Config<'_>, packet: &Packet<'_>, mut c: Cursor<'_>) -> Found {
    const MALFORMED: Refusal = Refusal::Malformed;
    c.skip(b' ');
    let delimiter = delimiter(c.byte()).ok_or(MALFORMED)?;
    let family = c.decimal(1).ok_or(MALFORMED)?;
    c.exactly(&[delimiter]).ok_or(MALFORMED)?;
    let address_at = c.at();
    let text = c.until(delimiter, LINE_MAX).ok_or(MALFORMED)?;
    let addr = read::address(text).ok_or(MALFORMED)?;
    let port_at = c.at();
    let number = c.decimal(5).ok_or(MALFORMED)?;
    let port_len = c.at().saturating_sub(port_at);
    c.exactly(&[delimiter]).ok_or(MALFORMED)?;
    c.skip(b' ');
    let named = matches!((family, addr), (1, Addr::V4(_)) | (2, Addr::V6(_)));
    if !named || !c.is_end() {
        return Err(MALFORMED);
    }
    let port = config.port(number)?;
    let edits =
        [Some((address_at, text.len(), Write::Address(0))), Some((port_at, port_len, Write::Port(0)))];
    Announced::at(config, packet, addr, port, edits)
}

fn delimiter(byte: Option<u8>) -> Option<u8> {
    byte.filter(|b| b.is_ascii_graphic() && !b.is_ascii_digit())
}

/// The first six numbers that stand together in an answer, in parentheses or not (RFC 1123, section 4.1.2.6),
/// and where.
fn six_numbers(line: &[u8]) -> Option<([u8; 6], (usize, usize))> {
    let part = |b: u8| b.is_ascii_digit() || b == b',';
    let mut before = b' ';
    for (at, byte) in line.iter().enumerate().skip(4) {
        if byte.is_ascii_digit() && !part(before) {
            let mut c = Cursor::new(line.get(at..)?);
            if let Some(numbers) = c.octets(b',') {
                if !c.rest().first().is_some_and(|b| part(*b)) {
                    return Some((numbers, (at, c.at())));
                }
            }
        }
        before = *byte;
    }
    None
}

/// `229 Entering Extended Passive Mode (|||40000|)`: the address is that of the control connection.
fn extended_passive(config: &Config<'_>, packet: &Packet<'_>, line: &[u8]) -> Found {
    const MALFORMED: Refusal = Refusal::Malformed;
    let mut c = Cursor::new(line);
    c.until(b'(', LINE_MAX).ok_or(MALFORMED)?;
    let delimiter = delimiter(c.byte()).ok_or(MALFORMED)?;
    c.exactly(&[delimiter, delimiter]).ok_or(MALFORMED)?;
    let at = c.at();
    let number = c.decimal(5).ok_or(MALFORMED)?;
    let len = c.at().saturating_sub(at);
    c.exactly(&[delimiter, b')']).ok_or(MALFORMED)?;
    let port = config.port(number)?;
    let expected = packet.expect_to_sender(TCP, port);
    Ok(Some(Announced { expected, edits: [Some((at, len, Write::Port(0))), None] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, PUBLIC, SERVER, answer as from_server, behind_nat, client};
    use crate::{Ends, Follow, config::Prefix};
    use std::vec::Vec;

    /// One control connection: what each side has sent so far.
    struct Session {
        private: Private,
        next: [u32; 2],
        nat: bool,
    }

    impl Session {
        fn new() -> Session {
            let mut s = Session { private: Private::zero(24), next: [0xffff_fff0, 5000], nat: false };
            for side in [Side::Original, Side::Reply] {
                let at = s.next[side as usize].wrapping_sub(1);
                s.at(side, at, b"", true);
            }
            s
        }

        fn at(&mut self, side: Side, seq: u32, payload: &[u8], syn: bool) -> Verdict {
            let mut p = Packet { transport: Transport::Tcp { seq, syn }, ..client(payload) };
            if side == Side::Reply {
                p = from_server(p);
            }
            if self.nat {
                p = behind_nat(p, 30_000);
            }
            packet(&Config::default(), &mut self.private, &p)
        }

        fn send(&mut self, side: Side, payload: &[u8]) -> Verdict {
            let seq = self.next[side as usize];
            self.next[side as usize] = seq.wrapping_add(u32::try_from(payload.len()).unwrap());
            self.at(side, seq, payload, false)
        }

        fn client(&mut self, payload: &[u8]) -> Verdict {
            self.send(Side::Original, payload)
        }

        fn server(&mut self, payload: &[u8]) -> Verdict {
            self.send(Side::Reply, payload)
        }
    }

    fn to_client(port: u16) -> Expected {
        Expected::new(TCP, Some(SERVER), CLIENT, port).unwrap()
    }

    fn to_server(port: u16) -> Expected {
        Expected::new(TCP, Some(CLIENT), SERVER, port).unwrap()
    }

    fn only(v: Verdict) -> Option<Expected> {
        assert!(v.refused.is_none() && v.expected.len() <= 1, "{v:?}");
        v.expected.get(0).copied()
    }

    #[test]
    fn ports_of_the_client_are_expected_from_the_server() {
        for (line, port) in [
            (&b"PORT 10,1,0,2,200,3\r\n"[..], 51_203),
            (b"port  10,1,0,2,200,3 \n", 51_203),
            (b"EPRT |1|10.1.0.2|40000|\r\n", 40_000),
            (b"eprt !1!10.1.0.2!40000!\r\n", 40_000),
        ] {
            // As the first line of the connection, and after another.
            assert_eq!(only(Session::new().client(line)), Some(to_client(port)), "{line:?}");
            let mut s = Session::new();
            assert_eq!(s.client(b"USER u\r\n"), Verdict::PASS);
            assert_eq!(only(s.client(line)), Some(to_client(port)), "{line:?}");
        }
        let both = Session::new().client(b"NOOP\r\nPORT 10,1,0,2,200,3\r\n");
        assert_eq!(only(both), Some(to_client(51_203)));
        assert_eq!(both.edits.get(0).map(|e| (e.at, e.len)), Some((11, 14)));
    }

    #[test]
    fn ports_of_the_server_are_expected_from_the_client_once_it_has_asked() {
        for (ask, line, port) in [
            (&b"PASV\r\n"[..], &b"227 Entering Passive Mode (10,2,0,2,200,3).\r\n"[..], 51_203),
            (b"pasv\r\n", b"227 10,2,0,2,200,3\r\n", 51_203),
            (b"PASV \n", b"227 for 1,2 clients =10,2,0,2,200,3\n", 51_203),
            (b"EPSV\r\n", b"229 Entering Extended Passive Mode (|||40000|)\r\n", 40_000),
            (b"EPSV 1\r\n", b"229 (###40000#)\r\n", 40_000),
        ] {
            let mut s = Session::new();
            assert_eq!(s.server(line), Verdict::refuse(Refusal::Unasked), "{line:?}");
            assert_eq!(s.client(ask), Verdict::PASS);
            assert_eq!(only(s.server(line)), Some(to_server(port)), "{line:?}");
        }
    }

    #[test]
    fn over_ipv6_the_families_are_kept_apart() {
        let (a, b) = (Addr::V6([0xfd; 16]), Addr::V6([0xfc; 16]));
        let original = Ends::new(TCP, (a, 40_000), (b, 21)).unwrap();
        let reply = Ends::new(TCP, (b, 21), (a, 40_000)).unwrap();
        let read = |line: &[u8]| {
            let mut private = Private::zero(24);
            let syn = Transport::Tcp { seq: 999, syn: true };
            let config = Config::default();
            packet(&config, &mut private, &Packet { original, reply, transport: syn, ..client(b"") });
            packet(&config, &mut private, &Packet { original, reply, ends: original, ..client(line) })
        };
        let mine = b"EPRT |2|fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd|40000|\r\n";
        assert_eq!(only(read(mine)), Expected::new(TCP, Some(b), a, 40_000));
        assert_eq!(read(b"EPRT |2|::1|40000|\r\n"), Verdict::refuse(Refusal::ForeignAddress));
        assert_eq!(read(b"EPRT |2|10.1.0.2|40000|\r\n"), Verdict::refuse(Refusal::Malformed));
        assert_eq!(read(b"EPRT |1|10.1.0.2|40000|\r\n"), Verdict::refuse(Refusal::ForeignAddress));
    }

    /// What is announced behind NAT follows the flow, and its places in the line are named.
    #[test]
    fn behind_nat_the_places_to_change_are_named() {
        let mut s = Session { nat: true, ..Session::new() };
        let v = s.client(b"EPRT |1|10.1.0.2|40000|\r\n");
        let follow = Some(Follow { dir: 1, port: 40_000 });
        let want = Expected::new(TCP, Some(SERVER), PUBLIC, 40_000).unwrap().follow(follow);
        assert_eq!(only(v), Some(want));
        let places: Vec<_> = v.edits.iter().map(|e| (e.at, e.len, e.write)).collect();
        assert_eq!(places, [(8, 8, Write::Address(0)), (17, 5, Write::Port(0))]);
        s.client(b"EPSV\r\n");
        let v = s.server(b"229 Extended (|||50000|)\r\n");
        assert_eq!(only(v).and_then(|e| e.followed()), Some(Follow { dir: 0, port: 50_000 }));
        assert_eq!(v.edits.get(0).map(|e| (e.at, e.len)), Some((17, 5)));
    }

    #[test]
    fn attacks_are_refused() {
        let why = |line: &[u8]| {
            let v = Session::new().client(line);
            assert!(v.expected.is_empty() && v.edits.is_empty(), "{line:?}: {v:?}");
            v.refused
        };
        let long = [b"PORT ", &[b' '; 600][..], b"10,1,0,2,200,3\r\n"].concat();
        for (line, reason) in [
            (&b"PORT 10,9,9,9,200,3\r\n"[..], Refusal::ForeignAddress),
            (b"EPRT |1|10.9.9.9|40000|\r\n", Refusal::ForeignAddress),
            (b"PORT 266,1,0,2,200,3\r\n", Refusal::Malformed),
            (b"PORT 10,1,0,2,300,7\r\n", Refusal::Malformed),
            (b"PORT 10,1,0,2,200,3,4\r\n", Refusal::Malformed),
            (b"PORT 10,1,0,2,200\r\n", Refusal::Malformed),
            (b"PORT xx 10,1,0,2,200,3\r\n", Refusal::Malformed),
            (b"PORT 0010,1,0,2,200,3\r\n", Refusal::Malformed),
            (b"PORT 10,1,0,2,0,0\r\n", Refusal::PortZero),
            (b"PORT 10,1,0,2,0,22\r\n", Refusal::PrivilegedPort),
            (b"PORT 10,1,0,2,0,111\r\n", Refusal::ReservedPort),
            (b"EPRT |1|10.1.0.2|70000|\r\n", Refusal::Malformed),
            (b"EPRT |1|10.1.0.2|0|\r\n", Refusal::PortZero),
            (b"EPRT |1|10.1.0.2|040000|\r\n", Refusal::Malformed),
            (b"EPRT |3|10.1.0.2|40000|\r\n", Refusal::Malformed),
            (b"EPRT 11110.1.0.2140000|\r\n", Refusal::Malformed),
            (b"EPRT |1|10.1.0.2|40000|x\r\n", Refusal::Malformed),
            (b"PORT 10,1,0,2,", Refusal::Split),
            (b"PORT 10,1,0,2,200,3", Refusal::Split),
            (&long, Refusal::TooLong),
        ] {
            assert_eq!(why(line), Some(reason), "{line:?}");
        }
        assert_eq!(why(b"PORTabc 10,1,0,2,200,3\r\n"), None);
        let v = Session::new().client(b"PORT 10,1,0,2,200,3\r\nPORT 10,1,0,2,200,4\r\n");
        assert_eq!((v.expected.len(), v.refused), (1, Some(Refusal::TooMany)));
    }

    #[test]
    fn a_server_cannot_open_other_hosts_or_ports() {
        for (line, why) in [
            (&b"227 (10,9,9,9,200,3)\r\n"[..], Refusal::ForeignAddress),
            (b"227 (10,1,0,2,200,3)\r\n", Refusal::ForeignAddress),
            (b"227 (10,2,0,2,0,22)\r\n", Refusal::PrivilegedPort),
            (b"227 (10,2,0,2,256,1)\r\n", Refusal::Malformed),
            (b"227 (110,2,0,2,1,1,1)\r\n", Refusal::Malformed),
            (b"229 (|||22|)\r\n", Refusal::PrivilegedPort),
            (b"229 (|||65537|)\r\n", Refusal::Malformed),
            (b"229 (||40000|)\r\n", Refusal::Malformed),
            (b"229 (|1|10.2.0.2|40000|)\r\n", Refusal::Malformed),
            (b"227 (10,2,0,2,", Refusal::Split),
        ] {
            let mut s = Session::new();
            s.client(b"PASV\r\nEPSV\r\n");
            assert_eq!(s.server(line), Verdict::refuse(why), "{line:?}");
        }
    }

    /// Text inside something else, made to look like a command.
    #[test]
    fn only_what_begins_a_line_is_a_command() {
        const PORT: &[u8] = b"PORT 10,1,0,2,200,3\r\n";
        let mut s = Session::new();
        assert_eq!(s.client(b"STOR a file whose name ends in "), Verdict::PASS);
        assert_eq!(s.client(PORT), Verdict::PASS);
        assert_eq!(only(s.client(PORT)), Some(to_client(51_203)));
        // Out of order: what comes before it is not known.
        let mut s = Session::new();
        assert_eq!(s.at(Side::Original, 77_777, PORT, false), Verdict::PASS);
        // A flow that began on another node: the first line seen here is only remembered.
        let mut s = Session { private: Private::zero(24), ..Session::new() };
        assert_eq!(s.client(PORT), Verdict::PASS);
        assert_eq!(only(s.client(PORT)), Some(to_client(51_203)));
        // A line whose end came apart from its line feed.
        let mut s = Session::new();
        s.client(b"NOOP\r");
        assert_eq!(only(s.client(&[b"\n", PORT].concat())), Some(to_client(51_203)));
    }

    #[test]
    fn a_retransmission_is_read_like_the_first() {
        let mut s = Session::new();
        s.client(b"USER u\r\n");
        let at = s.next[0];
        let first = s.client(b"PORT 10,1,0,2,200,3\r\n");
        let noted = s.private;
        assert_eq!(s.at(Side::Original, at, b"PORT 10,1,0,2,200,3\r\n", false), first);
        assert_eq!(s.private.bytes(), noted.bytes());
        s.client(b"RETR file\r\n");
        // An old one does not push out what is newer.
        let noted = s.private;
        s.at(Side::Original, at.wrapping_sub(100), b"old\r\n", false);
        assert_eq!(s.private.bytes(), noted.bytes());
    }

    #[test]
    fn nothing_is_read_once_the_connection_is_encrypted() {
        let mut s = Session::new();
        assert_eq!(s.server(b"234 not asked for\r\n"), Verdict::PASS);
        assert_eq!(only(s.client(b"PORT 10,1,0,2,200,3\r\n")), Some(to_client(51_203)));
        s.client(b"AUTH TLS\r\n");
        s.server(b"234 go ahead\r\n");
        assert_eq!(s.client(b"PORT 10,1,0,2,200,3\r\n"), Verdict::PASS);
    }

    #[test]
    fn garbage_in_the_private_data_is_refused_and_cleared() {
        for (at, value) in [(16, 3), (20, 0x1_0000), (16, 0x10_0000)] {
            let mut private = Private::zero(24);
            private.set_number(at, value);
            let v = packet(&Config::default(), &mut private, &client(b"NOOP\r\n"));
            assert_eq!(v, Verdict::refuse(Refusal::StalePrivate));
            assert_eq!(private.bytes(), [0; 24]);
        }
    }

    #[test]
    fn another_host_needs_a_setting() {
        let allowed = [Prefix::new(Addr::V4([10, 9, 0, 0]), 16).unwrap()];
        let config = Config { addresses: &allowed, ..Config::default() };
        let mut s = Session::new();
        let transport = Transport::Tcp { seq: s.next[0], syn: false };
        let p = Packet { transport, ..client(b"PORT 10,9,9,9,200,3\r\n") };
        let other = Addr::V4([10, 9, 9, 9]);
        let v = packet(&config, &mut s.private, &p);
        assert_eq!((only(v), v.edits.len()), (Expected::new(TCP, Some(SERVER), other, 51_203), 0));
    }
}
