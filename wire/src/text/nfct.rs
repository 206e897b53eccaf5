//! Timeout policies and helpers as nfct(8) prints them (nfct.md §4.2).

use super::Out;
use crate::consts::nfct_helper_status;
use crate::cthelper::HelperView;
use crate::cttimeout::{PolicyView, states};
use crate::error::WireError;

/// A policy with its name in the first line, or the defaults of a protocol, which have none but end in the
/// same brace. What the kernel did not send is left out.
///
/// # Errors
/// The error of the first attribute that is shown and cannot be read; what was written before it stays in
/// `out`. Text that does not fit is not an error here: see [`Out::is_full`].
pub fn policy(out: &mut Out<'_>, p: &PolicyView<'_>) -> Result<(), WireError> {
    if let Some(name) = p.name {
        out.byte(b'.');
        out.put(name);
        out.lit(b" = {\n");
    }
    field(out, b"\t.l3proto = ", p.l3.map(u32::from));
    field(out, b"\t.l4proto = ", p.l4.map(u32::from));
    out.lit(b"\t.policy = {\n");
    for (name, member) in p.l4.and_then(states).unwrap_or_default() {
        if let Some(seconds) = p.timeout_s(*member)? {
            out.lit(b"\t\t.");
            out.put(name.as_bytes());
            field(out, b" = ", Some(seconds));
        }
    }
    out.lit(b"\t},\n};\n");
    Ok(())
}

/// A stub, without the limits of its expectations.
pub fn helper(out: &mut Out<'_>, h: &HelperView<'_>) {
    out.lit(b"{\n\t.name = ");
    out.put(h.name.unwrap_or_default());
    out.lit(b",\n");
    field(out, b"\t.queuenum = ", h.queue);
    field(out, b"\t.l3protonum = ", h.l3.map(u32::from));
    field(out, b"\t.l4protonum = ", h.l4.map(u32::from));
    field(out, b"\t.priv_data_len = ", h.priv_data_len);
    match h.status {
        Some(nfct_helper_status::ENABLED) => out.lit(b"\t.status = enabled,\n"),
        Some(nfct_helper_status::DISABLED) => out.lit(b"\t.status = disabled,\n"),
        other => field(out, b"\t.status = ", other),
    }
    out.lit(b"};\n");
}

fn field(out: &mut Out<'_>, before: &[u8], value: Option<u32>) {
    if let Some(v) = value {
        out.put(before);
        out.u32(v);
        out.lit(b",\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consts::{cta_timeout, ipctnl_timeout};
    use crate::cthelper::{self, ExpectPolicy, NewHelper};
    use crate::cttimeout::{self, Timeouts};
    use crate::header::{CtMsg, Frames};
    use std::string::String;

    fn msg(bytes: &[u8]) -> CtMsg<'_> {
        CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap()
    }

    fn text(render: impl FnOnce(&mut Out<'_>)) -> String {
        let mut room = [0; 1024];
        let mut out = Out::new(&mut room);
        render(&mut out);
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    #[test]
    fn a_policy_and_defaults() {
        let mut buf = [0; 256];
        let mut t = Timeouts::default();
        t.set(2, 180);
        t.set(1, 30);
        let mut p = PolicyView::parse(msg(cttimeout::add(&mut buf, 1, b"vpn", 10, 47, &t).unwrap())).unwrap();
        let body = "\t.l3proto = 10,\n\t.l4proto = 47,\n\t.policy = {\n\t\t.UNREPLIED = 30,\n\
                    \t\t.REPLIED = 180,\n\t},\n};\n";
        assert_eq!(text(|o| policy(o, &p).unwrap()), [".vpn = {\n", body].concat());
        p.name = None;
        assert_eq!(text(|o| policy(o, &p).unwrap()), body);
    }

    #[test]
    fn timeouts_that_are_missing_or_have_no_name_are_left_out() {
        let mut buf = [0; 256];
        let mut t = Timeouts::default();
        // SCTP's heartbeat, which nfct does not know, and the one before it.
        t.set(8, 30);
        t.set(7, 3);
        let p = PolicyView::parse(msg(cttimeout::add(&mut buf, 1, b"", 2, 132, &t).unwrap())).unwrap();
        let want = ". = {\n\t.l3proto = 2,\n\t.l4proto = 132,\n\t.policy = {\n\
                    \t\t.SHUTDOWN_ACK_SENT = 3,\n\t},\n};\n";
        assert_eq!(text(|o| policy(o, &p).unwrap()), want);
        let mut b = crate::build::Builder::new(&mut buf, crate::build::Head::new(ipctnl_timeout::NEW, 1));
        b.put_u8(cta_timeout::L4PROTO, 6).nest(cta_timeout::DATA, |b| _ = b.put(3, &[1, 2]));
        let p = PolicyView::parse(msg(b.finish().unwrap())).unwrap();
        let mut room = [0; 256];
        assert!(policy(&mut Out::new(&mut room), &p).is_err(), "two bytes are no timeout");
    }

    #[test]
    fn a_helper_enabled_and_disabled() {
        let mut buf = [0; 256];
        let policies = [ExpectPolicy { name: b"ftp", expect_max: 1, timeout_s: 300 }];
        let mut new = NewHelper {
            name: b"ftp",
            l3: 2,
            l4: 6,
            queue: Some(7),
            priv_data_len: Some(24),
            status: Some(1),
            policies: &policies,
        };
        let want = "{\n\t.name = ftp,\n\t.queuenum = 7,\n\t.l3protonum = 2,\n\t.l4protonum = 6,\n\
                    \t.priv_data_len = 24,\n\t.status = enabled,\n};\n";
        for (status, name) in [(1, "enabled"), (0, "disabled"), (9, "9")] {
            new.status = Some(status);
            let h = HelperView::parse(msg(cthelper::add(&mut buf, 1, &new).unwrap())).unwrap();
            assert_eq!(text(|o| helper(o, &h)), want.replace("enabled", name));
        }
    }
}
