//! The real conntrackd in a private network and mount namespace whose conntrack table has the flows.

use super::cases::FLOWS;
use std::path::PathBuf;
use std::process::Command;

/// Starts the daemon once per filter. The first thing it does is to dump the table through the filter, and it
/// answers no command before that is done; lock file and socket are in the namespace's own /run.
const SCRIPT: &str = "\
mount -t tmpfs none /run || exit 90
cd \"$1\" || exit 91
conntrack -R flows || exit 92
i=0
while [ -e $i.conf ]; do
    rm -f /run/lock-file /run/socket
    conntrackd -C $i.conf >$i.log 2>&1 &
    pid=$!
    tries=0
    until conntrackd -C $i.conf -i >$i.out 2>/dev/null; do
        tries=$((tries+1))
        if [ $tries -gt 3000 ]; then kill $pid; exit 93; fi
        sleep 0.01
    done
    kill $pid
    wait $pid
    i=$((i+1))
done
";

/// The ids of the flows that pass each filter, ascending.
pub(crate) fn passing(filters: &[String]) -> Vec<Vec<u16>> {
    for (program, package) in
        [("conntrackd", "conntrackd"), ("conntrack", "conntrack"), ("unshare", "util-linux")]
    {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        assert!(found.status.success(), "{program} is missing: apt-get install {package}");
    }
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("filtering-{}", filters.len()));
    std::fs::create_dir_all(&dir).unwrap();
    let flows: String = FLOWS.iter().map(|f| f.line() + "\n").collect();
    std::fs::write(dir.join("flows"), flows).unwrap();
    for (i, filter) in filters.iter().enumerate() {
        let general = "UNIX { Path /run/socket\n } LockFile /run/lock-file\n HashSize 64 HashLimit 1000";
        let text = format!("General {{ {general} {filter} }}\nStats {{ }}\n");
        std::fs::write(dir.join(format!("{i}.conf")), text).unwrap();
    }
    let run = Command::new("unshare").args(["--net", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(&dir).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}: {}", run.status, String::from_utf8_lossy(&run.stderr));
    let read = |i| std::fs::read_to_string(dir.join(format!("{i}.out"))).unwrap();
    let ids = (0..filters.len()).map(|i| ids(&read(i))).collect();
    std::fs::remove_dir_all(&dir).unwrap();
    ids
}

/// The first `sport=` or `id=` of each line.
fn ids(lines: &str) -> Vec<u16> {
    let id = |line: &str| {
        let word = line.split(' ').find_map(|w| w.strip_prefix("sport=").or(w.strip_prefix("id=")));
        word.and_then(|w| w.parse().ok()).unwrap_or_else(|| panic!("not a flow: {line}"))
    };
    let mut ids: Vec<u16> = lines.lines().map(id).collect();
    ids.sort_unstable();
    ids
}
