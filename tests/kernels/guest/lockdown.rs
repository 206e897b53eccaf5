//! A kernel that keeps what it knows from root. It cannot be told to stop, so this suite comes last.

use crate::lab::{self, Verdicts, ZCT, must, run};
use crate::listing::FORMATS;
use crate::reader::{kernel_log, same_as_the_original};
use crate::selectors::MIXED;

const WHY: &str = "the kernel is locked down";

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    lab::seed(MIXED)?;
    let said = must(ZCT, "-L --reader bpf --explain", "")?;
    let by_bpf = if said.contains("\nread by BPF: ") { Ok(()) } else { Err(said) };
    v.add("before lockdown the table can be read by BPF", by_bpf);
    must("mount", "-t securityfs none /sys/kernel/security", "")?;
    let path = "/sys/kernel/security/lockdown";
    std::fs::write(path, "confidentiality").map_err(|e| format!("{path}: {e}"))?;
    let said = must(ZCT, "-L --reader bpf --explain", "")?;
    let named = if said.ends_with(&format!("\nread by netlink: {WHY}\n")) { Ok(()) } else { Err(said) };
    v.add("lockdown is the reason for netlink", named);
    for format in FORMATS {
        v.add(format_args!("-L --reader bpf {format}, under lockdown"), same_as_the_original(format));
    }
    let warned = run(ZCT, "-L --reader bpf", "").err;
    let warning = format!("WARNING: --reader=bpf: netlink reads the table: {WHY}\n");
    v.add("lockdown is told", if warned.starts_with(&warning) { Ok(()) } else { Err(warned) });
    let silent = run(ZCT, "-L", "").err;
    v.add("unless nobody asked", if silent.contains("WARNING") { Err(silent) } else { Ok(()) });
    v.add("the kernel has not complained", kernel_log());
    Ok(())
}
