//! Which flows a selection deletes: exactly those that it lists, and none where it cannot be applied.

use super::{ASSURED, PLAIN, SIX, TCP, done, on, table};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use zct_tests::mask::Mask;
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Tool};
use zct_tests::seed::{Kernel, Storm, TRACKING, tcp, udp};

/// A status that cannot be a filter for this kernel has to select nothing rather than everything.
#[test]
fn what_cannot_be_selected_is_not_deleted() {
    let ns = Netns::fresh();
    ns.nft(TRACKING);
    done(Tool::Reference, &[PLAIN, ASSURED, TCP, SIX]);
    let before = [table("-L -f ipv4"), table("-L -f ipv6")];
    for line in ["-D -u", "-D -s", "-D -p", "-D -p tcp --sport", "-D -f ipv9", "-D -i"] {
        let output = on(Tool::Zct, line);
        assert_eq!(output.exit, Exit::Code(2), "{line}: {output:?}");
        assert_eq!([table("-L -f ipv4"), table("-L -f ipv6")], before, "{line}");
    }
    // The original takes it for a prefix of SRC_NAT, by which it cannot select.
    let output = on(Tool::Zct, "-D -u S");
    let said = "invalid parameters (`--status SRC_NAT' selects nothing: use --src-nat)";
    assert!(output.exit == Exit::Code(1) && output.err().contains(said), "{output:?}");
    // Each selects nothing, and the exit code says so.
    for line in [
        "-D -s 10.0.0.9",
        "-D -w 3",
        "-D -i 0",
        "-D -p tcp --dport 3:9",
        "-D -s 10.0.0.8,10.0.0.9",
        "-D -m 1",
    ] {
        let output = on(Tool::Zct, line);
        assert_eq!(output.exit, Exit::Code(1), "{line}: {output:?}");
        assert_eq!([table("-L -f ipv4"), table("-L -f ipv6")], before, "{line}");
    }
}

/// The ids of the flows that the original lists.
fn listed(selection: &str) -> BTreeSet<String> {
    let output = on(Tool::Reference, &format!("-L {selection} -o id"));
    assert_eq!(output.exit, Exit::Code(0), "{selection}: {output:?}");
    let id = |l: &String| l.rsplit_once("id=").map(|(_, id)| id.trim().to_owned());
    output.lines().iter().map(|l| id(l).expect("an id")).collect()
}

/// What a deletion with `!` spares is what the original lists without the `!`.
#[test]
fn a_negated_selection_leaves_what_the_original_lists() {
    let _ns = Netns::fresh();
    let mut rng = fastrand::Rng::with_seed(11);
    // Each with the part that is selected, and the part of it that is left out.
    for (line, selected, left_out) in [
        ("! -s 10.0.0.1", "", &["-s 10.0.0.1"][..]),
        ("-s !10.0.0.1", "", &["-s 10.0.0.1"]),
        ("! -s 2001:db8::1 ! -d 10.0.0.2", "", &["-s 2001:db8::1", "-d 10.0.0.2"]),
        ("-s 10.0.0.2/31,!10.0.0.3", "-s 10.0.0.2/31", &["-s 10.0.0.3"]),
        ("-p tcp ! --dport 51", "-p tcp", &["-p tcp --dport 51"]),
        ("! --dport 51:52 -p udp -f ipv4", "-p udp -f ipv4", &["-p udp --dport 51", "-p udp --dport 52"]),
        ("! -p udp", "", &["-p udp"]),
        ("-p tcp --state !TIME_WAIT", "-p tcp", &["-p tcp --state TIME_WAIT"]),
        ("! -m 0/1", "", &["-m 0/1"]),
        ("! -w 3", "", &["-w 3"]),
        ("! -w 0 -f ipv4", "-f ipv4", &["-w 0"]),
        ("! -r 10.0.0.1 ! -q 10.0.0.2", "", &["-r 10.0.0.1", "-q 10.0.0.2"]),
        ("! -u ASSURED", "", &["-u ASSURED"]),
        ("! -n", "", &["-n"]),
    ] {
        let mut kernel = Kernel::open();
        kernel.flush();
        for n in 0..60u16 {
            let (src, dst) = ([10, 0, 0, rng.u8(1..4)], [10, 0, 0, rng.u8(1..4)]);
            let mut flow = match n % 3 {
                0 => udp(src, dst, 1000 + n, 50 + rng.u16(..4)),
                _ => tcp(src, dst, 1000 + n, 50 + rng.u16(..4), [3, 7][usize::from(n % 2)]),
            };
            flow.mark = Some(zct_wire::filter::Masked { value: rng.u32(..4), mask: u32::MAX });
            flow.zone = (n % 5 == 0).then_some(3);
            flow.timeout_s = Some(1000);
            kernel.create(&flow).expect("a flow");
        }
        done(Tool::Reference, &[SIX, ASSURED]);
        done(Tool::Zct, &["-I -s 10.0.0.1 -d 10.0.0.9 -p udp --sport 9 --dport 9 -n 198.51.100.1 -t 1000"]);
        let kept: BTreeSet<String> = left_out.iter().flat_map(|l| listed(l)).collect();
        let chosen = &listed(selected) - &kept;
        let rest = &listed("") - &chosen;
        assert!(!chosen.is_empty() && !rest.is_empty(), "{line}");
        // The pass that deletes for a file finds flows by an index.
        if rng.bool() {
            done(Tool::Zct, &[&format!("-D {line}")]);
        } else {
            let file = format!("-D -s 10.9.9.9\n-D {line}\n-D -p udp -d 10.9.9.9\n");
            let output = Tool::Zct.run_with_stdin(&["-R", "-"], file.as_bytes());
            assert_eq!(output.exit, Exit::Code(0), "{line}: {output:?}");
        }
        assert_eq!(listed(""), rest, "{line}");
    }
}

/// Zone 0 means no zone.
#[test]
fn zone_zero_deletes_no_flow_in_a_zone() {
    let flow = |port: u16, zone: &str| PLAIN.replace("--sport 1", &format!("--sport {port}")) + zone;
    let kinds = ["", " -w 15", " --orig-zone 15", " --reply-zone 15"];
    for (line, gone) in [
        ("-D -w 0", &[0][..]),
        ("-D --orig-zone 0", &[0, 3]),
        ("-D --reply-zone 0", &[0, 2]),
        ("-D ! -w 0", &[1, 2, 3]),
        ("-D ! --orig-zone 0", &[1, 2]),
        ("-D -w 15", &[1]),
        ("-D --orig-zone 15", &[2]),
    ] {
        let _ns = Netns::fresh();
        for (at, zone) in kinds.iter().enumerate() {
            done(Tool::Reference, &[&flow(10 + at as u16, zone)]);
        }
        for mode in ["", " --kernel-filter=always"] {
            let shown = on(Tool::Zct, &format!("{}{mode}", line.replace("-D", "-L"))).lines().len();
            assert_eq!(shown, gone.len(), "{line}{mode}");
        }
        done(Tool::Zct, &[line]);
        let left = table("-L");
        for at in 0..kinds.len() {
            let there = left.iter().any(|l| l.contains(&format!("sport={} ", 10 + at)));
            assert_eq!(there, !gone.contains(&at), "{line}: {left:?}");
        }
    }
}

/// Every selection deletes exactly what it lists.
#[test]
fn a_selection_deletes_exactly_what_it_lists() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let ns = Netns::fresh();
        ns.nft(TRACKING);
        let mut storm = Storm::open();
        storm.create((0..200u16).map(|n| {
            let host = |r: &mut fastrand::Rng| [10, 0, 0, r.u8(1..4)];
            let mut flow = udp(host(&mut rng), host(&mut rng), 1000 + n, 50 + rng.u16(..4));
            flow.mark = Some(zct_wire::filter::Masked { value: rng.u32(..4), mask: u32::MAX });
            flow
        }));
        let net = Ipv4Addr::new(10, 0, 0, rng.u8(..4));
        let mut line = match rng.u8(..5) {
            0 => format!("-s {net}"),
            1 => format!("-d {net}/31"),
            2 => format!("-p udp --dport {}:{}", 50 + rng.u16(..2), 52),
            3 => format!("-s 10.0.0.1,10.0.0.2 -m {}/1", rng.u8(..2)),
            _ => format!("-r {net} -m {}", rng.u8(..4)),
        };
        let listed = |line: &str| {
            let mask = Mask::TIMEOUT | Mask::USE;
            let out = mask.apply(&on(Tool::Zct, line).out());
            let mut lines: Vec<String> = out.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (all, chosen) = (listed("-L -o id"), listed(&format!("-L {line} -o id")));
        line.insert_str(0, "-D -o id ");
        assert_eq!(listed(&line), chosen, "{line}");
        let rest: Vec<String> = all.into_iter().filter(|l| !chosen.contains(l)).collect();
        assert_eq!(listed("-L -o id"), rest, "{line}");
    }
}
