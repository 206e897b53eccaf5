//! Expectations, which an FTP connection makes.

use crate::compare::same;
use crate::events;
use crate::lab::{self, By, Verdicts, conntrack, must};
use crate::listing::compare;
use crate::traffic::Tcp;

const HELPER: &str = "table inet h {
    ct helper ftp {
        type \"ftp\" protocol tcp
    }
    chain out {
        type filter hook output priority 0
        tcp dport 21 ct helper set \"ftp\"
    }
}
";

/// Asks the server to connect back to port 1026.
const PORT: &str = "PORT 127,0,0,1,4,2\r\n";
const KEY: &str =
    "-s 127.0.0.1 -d 127.0.0.1 -p tcp --sport 0 --dport 1026 --reply-port-src 1 --reply-port-dst 1";

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    must(By::Original.path(), "-F", "")?;
    lab::nft(HELPER)?;
    // Have events for all flows, not only for those that begin while somebody listens.
    lab::sysctl("net.netfilter.nf_conntrack_events", "1")?;
    let mut ftp = Tcp::open(21)?;
    let lines = ["-E expect", "-E expect -o xml", "-E expect -o timestamp"];
    let heard = events::listen(&lines, || {
        ftp.say(PORT)?;
        must(By::Original.path(), "-F expect", "")?;
        ftp.say(PORT)
    })?;
    for (line, pair) in lines.iter().zip(&heard) {
        let seen = if pair[1].out.is_empty() { Err(pair[1].wrong("no event was seen")) } else { Ok(()) };
        v.add(line, seen.and(events::alike(pair)));
    }
    for line in [
        "-L expect",
        "-L expect -o xml",
        "-L expect -f ipv4 -o save",
        "-L expect -f ipv6",
        "-C expect",
        "-S expect",
        "-L -o extended",
        "-L -o xml",
        &format!("-G expect {KEY}"),
        &format!("-G expect {KEY} -o xml"),
        &format!("-G expect {}", KEY.replace("1026", "1027")),
        &format!("-D expect {}", KEY.replace("1026", "1027")),
    ] {
        v.add(line, compare(line).map(drop));
    }
    let one = conntrack(By::Original, "-L expect");
    v.add(
        "-L expect shows one",
        if one.out.contains("helper=ftp") { Ok(()) } else { Err(one.wrong("none")) },
    );

    for command in ["-D expect", "-F expect"] {
        let key = if command == "-D expect" { KEY } else { "" };
        let mut ran = Vec::new();
        for by in [By::Original, By::Ours] {
            ftp.say(PORT)?;
            ran.push((conntrack(by, &format!("{command} {key}")), conntrack(By::Original, "-L expect")));
        }
        let (original, ours) = (&ran[0], &ran[1]);
        let alike = original.0 == ours.0 && ours.1.out.is_empty() && original.1.out.is_empty();
        v.add(command, if alike { Ok(()) } else { Err(format!("{original:?}\n{ours:?}")) });
    }
    v.add("-I expect", create(&ftp));
    drop(ftp);
    must(By::Original.path(), "-F", "").map(drop)
}

/// Release 1.4.9 is the standard here: the installed one cannot create expectations for TCP.
fn create(ftp: &Tcp) -> Result<(), String> {
    let port = ftp.client.local_addr().map_err(|e| e.to_string())?.port();
    let masks =
        "--mask-src 255.255.255.255 --mask-dst 255.255.255.255 --mask-port-src 0 --mask-port-dst 65535";
    let tuple = "--tuple-src 127.0.0.1 --tuple-dst 127.0.0.1 --tuple-port-src 0 --tuple-port-dst 2000";
    let line =
        format!("-I expect -t 50 -p tcp -s 127.0.0.1 -d 127.0.0.1 --sport {port} --dport 21 {tuple} {masks}");
    let o = conntrack(By::Ours, &line);
    if (o.code, o.out.as_str(), o.err.as_str()) != (Some(0), "", "") {
        return Err(o.wrong("failed"));
    }
    let listed = conntrack(By::Original, "-L expect").out;
    let (_, listed) = listed.split_once(' ').ok_or("nothing is listed")?;
    let want = format!(
        "proto=6 src=127.0.0.1 dst=127.0.0.1 sport=0 dport=2000 mask-src=255.255.255.255 mask-dst=255.255.255.255 \
         sport=0 dport=65535 master-src=127.0.0.1 master-dst=127.0.0.1 sport={port} dport=21 class=0 helper=ftp\n"
    );
    same("listed", &want, listed)?;
    let again = conntrack(By::Ours, &line.replace("--dport 21", "--dport 22").replace("2000", "2001"));
    let said = "conntrack v… (conntrack-tools): Operation failed: master conntrack not found\n";
    if (again.code, again.err.as_str()) != (Some(1), said) {
        return Err(again.wrong("the master is not there"));
    }
    Ok(())
}
