//! Any input in any order: no panic, no endless sending, and the machine's checks hold.

use crate::peer::{Alarm, Event, Ftfw, Link, Machine, Mode, Notrack, Origin, PeerConfig, Seed};
use crate::sim::kernel::tuple;
use crate::sim::{Named, Rng, seeds};
use zct_wire::peer::{Encode, Flow, MESSAGE_MAX, flag};

/// A datagram that is nonsense, nearly right, or right with odd numbers and flags.
fn datagram(rng: &mut Rng, about: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + rng.below(4) {
        let seq = match rng.below(4) {
            0 => rng.next() as u32,
            1 => about.wrapping_add(rng.below(50) as u32).wrapping_sub(25),
            _ => about.wrapping_add(rng.below(3) as u32),
        };
        let greeting = if rng.percent(15) { (rng.next() as u8) & flag::GREETING } else { 0 };
        let mut buf = [0; MESSAGE_MAX];
        let len = if rng.percent(50) {
            let event = [Event::New, Event::Update, Event::Destroy][rng.below(3) as usize];
            let f = Flow { status: Some(8), ..tuple(rng.below(40) as u32) };
            f.encode(&mut buf, event, greeting, seq, Encode::default()).unwrap()
        } else {
            let flags = [flag::ACK, flag::NACK, flag::RESYNC, flag::ALIVE][rng.below(4) as usize];
            let from = 1000u32.wrapping_add(rng.below(300) as u32).wrapping_sub(rng.below(50) as u32);
            let range = (flags != flag::ALIVE).then(|| (from, from.wrapping_add(rng.below(100) as u32)));
            zct_wire::peer::header::encode_control(&mut buf, flags | greeting, seq, range).unwrap()
        };
        out.extend(&buf[..len]);
    }
    if rng.percent(20) {
        let at = rng.below(out.len() as u64) as usize;
        out[at] = rng.next() as u8;
    }
    if rng.percent(5) {
        out.truncate(rng.below(out.len() as u64) as usize);
    }
    out
}

#[test]
fn the_books_stay_right_whatever_comes() {
    for seed in seeds(150) {
        let _named = Named(seed);
        let mut rng = Rng::new(seed);
        let ftfw = Ftfw { ack_window_size: 5, resend_queue_size: 20, ..Ftfw::DEFAULT };
        let modes: [Mode; 4] = [
            ftfw.into(),
            Ftfw { disable_external_cache: true, ..ftfw }.into(),
            Notrack::default().into(),
            Alarm { refresh_time_s: 2, cache_timeout_s: 3 }.into(),
        ];
        let config = PeerConfig {
            mode: modes[rng.below(4) as usize],
            hash_limit: 30,
            purge_timeout_s: 1,
            sync_after_s: rng.below(3) as u32,
            update_interval_s: rng.below(3) as u32,
            ..PeerConfig::default()
        };
        let links = vec![Link { payload_max: 200, up: true }; 2];
        let mut m = Machine::new(0, config, links, 0, Seed { sequence: 1000, random: seed, hash: [seed, 1] });
        let (mut now, mut buf) = (0, [0; 400]);
        let peer = rng.next() as u32;
        for step in 0..400u32 {
            match rng.below(20) {
                0..7 => {
                    let bytes = datagram(&mut rng, peer.wrapping_add(step));
                    m.datagram(now, rng.below(3) as usize, &bytes);
                }
                7..14 => {
                    let event = [Event::New, Event::Update, Event::Destroy][rng.below(3) as usize];
                    let origin = match rng.below(10) {
                        0 => Some(Origin::Commit),
                        1 => Some(Origin::Flush),
                        2 => None,
                        _ => Some(Origin::Kernel),
                    };
                    let f = Flow { status: Some(8), ..tuple(rng.below(40) as u32) };
                    match origin {
                        Some(origin) => m.flow_change(now, event, origin, &f, 1),
                        None => m.flow_compared(now, &f, 1),
                    }
                }
                14 => match rng.below(8) {
                    0 => m.flush_internal(now),
                    1 => m.flush_external(),
                    2 => m.request_resync(now),
                    3 => m.send_bulk(),
                    4 => _ = m.purge(now),
                    5 => m.begin_kernel_resync(),
                    6 => m.end_kernel_resync(),
                    _ => m.link_state(rng.below(2) as usize, rng.percent(50)),
                },
                15 => now += rng.below(5000),
                _ => now += rng.below(15),
            }
            m.check();
            if rng.percent(60) {
                m.turn(now);
                let mut datagrams = 0;
                while m.transmit(now, &mut buf).is_some() {
                    datagrams += 1;
                    assert!(datagrams < 1000, "seed {seed}: does not stop");
                }
                m.check();
            }
            // Outputs may pile up for a while.
            if rng.percent(50) {
                while m.poll().is_some() {}
            }
            let counts = m.caches().external.counts();
            assert!(counts.ipv4 + counts.ipv6 <= 30, "seed {seed}");
        }
    }
}
