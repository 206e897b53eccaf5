//! The protocol machine with a peer that sends anything at any time: no panic, no datagram that is too large,
//! no cache beyond its limit, and the machine comes to rest in the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_wire::peer::{Flow, header};
use zct_wire::tuple::{Addr, Tuple};
use zctd::peer::{Alarm, Event, Ftfw, Link, Machine, Mode, Notrack, Origin, Output, PeerConfig, Seed};

const LIMIT: usize = 64;
const ROOM: usize = 1472;

fn flow(n: u8) -> Flow {
    let orig = Tuple {
        src: Some(Addr::V4([10, 0, 0, n])),
        dst: Some(Addr::V4([192, 0, 2, 1])),
        proto: Some(17),
        src_port: Some(5000),
        dst_port: Some(53),
        ..Tuple::default()
    };
    Flow { orig, status: Some(8), timeout_s: Some(30), ..Flow::default() }
}

fuzz_target!(|data: &[u8]| {
    let Some((setup, mut rest)) = data.split_first() else { return };
    let (disable_external_cache, startup_resync) = (setup & 0x10 != 0, setup & 0x20 != 0);
    let config = PeerConfig {
        mode: match setup % 3 {
            0 => Mode::Ftfw(Ftfw {
                resend_queue_size: 100,
                ack_window_size: 20,
                disable_external_cache,
                startup_resync,
            }),
            1 => Mode::Notrack(Notrack {
                disable_internal_cache: false,
                disable_external_cache,
                startup_resync,
            }),
            _ => Mode::Alarm(Alarm::DEFAULT),
        },
        hash_limit: LIMIT,
        ..PeerConfig::default()
    };
    let link = Link { payload_max: ROOM, up: true };
    let mut m =
        Machine::new(0, config, vec![link; 2], 0, Seed { sequence: u32::MAX - 5, random: 1, hash: [1, 2] });
    let (mut now, mut buf) = (0u64, [0; ROOM]);
    while let [op, arg, more @ ..] = rest {
        rest = more;
        match op % 8 {
            // A datagram of any bytes, or one with a correct header.
            0 | 1 => {
                let (bytes, more) = rest.split_at(usize::from(*arg).min(rest.len()));
                rest = more;
                m.datagram(now, usize::from(op >> 7), bytes);
            }
            2 => {
                let (body, more) = rest.split_at(usize::from(*arg % 64).min(rest.len()));
                rest = more;
                let mut bytes = [0; header::HDR + 64];
                let len = header::HDR + body.len();
                // Version and type, flags, length, number.
                bytes[0] = 0x10 | op >> 4 & 1;
                bytes[1] = op >> 3;
                bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                bytes[4..8].copy_from_slice(&u32::from(*arg).to_be_bytes());
                bytes[header::HDR..len].copy_from_slice(body);
                m.datagram(now, 0, &bytes[..len]);
            }
            3 => now += u64::from(*arg) * u64::from(*arg),
            4 => m.flow_change(now, Event::New, Origin::Kernel, &flow(*arg), 1),
            5 => m.flow_change(now, Event::Destroy, Origin::Kernel, &flow(*arg), 1),
            6 => match arg % 7 {
                0 => m.request_resync(now),
                1 => m.send_bulk(),
                2 => m.flush_external(),
                3 => m.flush_internal(now),
                4 => m.begin_kernel_resync(),
                5 => m.flow_compared(now, &flow(*arg), 1),
                _ => m.end_kernel_resync(),
            },
            _ => {
                m.turn(now);
                for _ in 0..*arg {
                    let Some(len) = m.transmit(now, &mut buf) else { break };
                    assert!(len > 0 && len <= ROOM);
                }
            }
        }
        while let Some(output) = m.poll() {
            if let Output::InjectFlow(_, flow) = output {
                // A flow without these could not be named to the kernel.
                assert!(flow.orig.src.is_some() && flow.orig.dst.is_some());
            }
        }
        let caches = m.caches();
        for store in [&caches.internal, &caches.external] {
            let counts = store.counts();
            assert!(counts.flows + counts.dead <= LIMIT);
        }
        #[cfg(debug_assertions)]
        m.check();
        let stats = m.stats();
        assert!(stats.received <= u64::MAX / 2);
    }
    // Given time and a network that takes everything, it sends less and less, and finally only waits.
    let mut quiet = false;
    for _ in 0..100 {
        now += 1000;
        m.turn(now);
        let mut said = 0;
        while m.transmit(now, &mut buf).is_some() {
            said += 1;
            assert!(said < 10_000, "it never stops");
        }
        quiet |= said <= 1;
    }
    assert!(quiet);
});
