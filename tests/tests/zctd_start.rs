//! What a start script meets: what zctd prints, its exit status, and what it leaves behind when
//! it cannot start.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zct_tests::cluster::{Which, eventually};
use zct_tests::netns::Netns;
use zct_tests::program::{Exit, Output, find, run};

use Which::{Original, Zctd};

const SYNC: &str = "Sync {\nMode FTFW { }\nUDP { IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 \
     Port 3780 Interface lo }\n}\n";

/// A configuration and the paths it names.
struct Site {
    dir: PathBuf,
    which: Which,
    log: PathBuf,
    lock: PathBuf,
    control: PathBuf,
}

impl Site {
    fn new(dir: &Path, which: Which) -> Site {
        let file = |name: &str| dir.join(name);
        Site { which, log: file("log"), lock: file("lock"), control: file("ctl"), dir: dir.into() }
    }

    fn conf(&self) -> PathBuf {
        self.dir.join("conf")
    }

    /// Writes a configuration, with `log` unless that is `None`, and with `general` added to `General`.
    fn configure(&self, role: &str, log: Option<&str>, general: &str) {
        let scheduler = if self.which == Original { "Scheduler { Type RR Priority 1 }\n" } else { "" };
        let log = log.map_or(String::new(), |l| format!("LogFile {l}\n"));
        let text = format!(
            "{role}General {{\n{log}{scheduler}{general}\nLockFile {}\nUNIX {{\nPath {}\n}}\n}}\n",
            self.lock.display(),
            self.control.display()
        );
        fs::write(self.conf(), text).expect("a configuration");
    }

    fn configure_with_log(&self, role: &str) {
        self.configure(role, Some(&self.log.display().to_string()), "");
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.which.path());
        command.args(words).arg("-C").arg(self.conf()).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        run(&mut self.command(words), b"")
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The processes that were started with this configuration.
    fn processes(&self) -> Vec<String> {
        let conf = self.conf().display().to_string();
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let lines = all.filter_map(|e| fs::read(e.path().join("cmdline")).ok());
        let lines = lines.map(|l| String::from_utf8_lossy(&l).replace('\0', " "));
        lines.filter(|l| l.contains(&conf)).collect()
    }

    /// Ends the daemon that runs in the background, and waits until it has ended.
    fn stop(&self) {
        assert_eq!(self.run(&["-k"]).exit, Exit::Code(0));
        eventually("its end", || match self.processes() {
            none if none.is_empty() => Ok(()),
            some => Err(format!("{some:?}")),
        });
    }
}

/// The messages of a log without their dates: `[notice] …`.
fn messages(text: &str) -> Vec<&str> {
    text.lines().map(|l| l.split_once(") ").map_or(l, |(_, rest)| rest)).collect()
}

/// Init scripts mail every line, so a start that works prints none. The original prints none either; what it
/// writes to its log, zctd writes too.
#[test]
fn the_background_is_entered_in_silence() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    for which in [Zctd, Original] {
        let site = Site::new(dir.path(), which);
        let log = site.log.display().to_string();
        let both = "Syslog on";
        for (to, general) in [(None, ""), (Some(log.as_str()), ""), (None, both), (Some(log.as_str()), both)]
        {
            for role in [SYNC, "Stats { }\n", ""] {
                _ = fs::remove_file(&site.log);
                site.configure(role, to, general);
                let said = site.run(&["-d"]);
                assert_eq!(
                    (said.exit, said.out(), said.err()),
                    (Exit::Code(0), String::new(), String::new())
                );
                site.stop();
                let log = site.log();
                let said = messages(&log);
                for text in ["initialization completed", "-- starting in daemon mode --"] {
                    assert_eq!(said.contains(&format!("[notice] {text}").as_str()), to.is_some(), "{log}");
                }
            }
        }
    }
}

/// Helpers run in a process of their own. If the kernel has no stubs or queues, that is said once for each
/// type, and the daemon works on. When it ends, so does the process, even if the daemon had no time to tell
/// it.
#[test]
fn the_process_of_the_helpers_comes_and_goes_with_the_daemon() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::new(dir.path(), Zctd);
    let types = ["ftp inet tcp", "ftp inet6 tcp", "tftp inet udp"];
    let helper: String = types.iter().map(|t| format!("Type {t} {{ QueueNum 5 }} ")).collect();
    site.configure_with_log(&format!("Helper {{ {helper} }}\nStats {{ }}\n"));
    let helpers = || site.processes().iter().filter(|line| line.contains(" helpers ")).count();
    for end in ["stopped", "killed"] {
        _ = fs::remove_file(&site.log);
        let said = site.run(&["-d"]);
        assert_eq!((said.exit, said.err()), (Exit::Code(0), String::new()));
        eventually("what became of each type", || {
            let log = site.log();
            let told = |t: &&str| {
                let lines = messages(&log).into_iter().filter(|l| l.contains(&format!("helper {t}: ")));
                let outcome =
                    |l: &str| l.contains("reads queue") || l.contains("flows are tracked without it");
                lines.filter(|l| outcome(l)).count() == 1
            };
            if types.iter().all(told) { Ok(()) } else { Err(log) }
        });
        let statistics = site.run(&["-s", "helper"]).out();
        assert!(types.iter().all(|t| statistics.contains(&format!("helper {t}:\n"))), "{statistics}");
        assert_eq!(helpers(), 1, "{:?}", site.processes());
        // It cannot do what it does not need (proc_pid_status(5): 2 is a filter).
        let conf = site.conf().display().to_string();
        let of_helpers = |p: &PathBuf| {
            let words = fs::read(p.join("cmdline")).map(|l| String::from_utf8_lossy(&l).into_owned());
            words.is_ok_and(|w| w.contains("\0helpers\0") && w.contains(&conf))
        };
        let mut all = fs::read_dir("/proc").expect("/proc").flatten().map(|e| e.path());
        let process = all.find(of_helpers).expect("the process");
        let own = fs::read_to_string(process.join("status")).expect("its status");
        assert!(own.contains("\nSeccomp:\t2\n") && own.contains("\nNoNewPrivs:\t1\n"), "{own}");
        if end == "stopped" {
            site.stop();
            continue;
        }
        let all = fs::read_dir("/proc").expect("/proc").flatten().map(|e| e.path());
        let command =
            |p: &Path| fs::read(p.join("cmdline")).map(|l| String::from_utf8_lossy(&l).into_owned());
        let words = format!("\0-d\0-C\0{}\0", site.conf().display());
        let daemon = all.into_iter().find(|p| command(p).is_ok_and(|l| l.ends_with(&words)));
        let pid = daemon.expect("the daemon").file_name().expect("a number").to_owned();
        assert_eq!(run(Command::new("kill").arg("-9").arg(&pid), b"").exit, Exit::Code(0));
        eventually("the end of the helpers", || match helpers() {
            0 => Ok(()),
            n => Err(format!("{n} processes")),
        });
    }
}

/// Remarks about the configuration are written to the log; without `-d` also to the console.
#[test]
fn remarks_about_the_configuration_are_in_the_log() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::new(dir.path(), Zctd);
    let helper = "Helper { Type ftp inet tcp { } Type ftp inet tcp { } }\n";
    site.configure(&format!("{helper}{SYNC}"), Some(&site.log.display().to_string()), "HashSize 8192");
    let warnings = |text: &str| {
        // What the kernel lacks for a helper is said without a place.
        let said = messages(text).into_iter().filter(|l| l.starts_with("[warning] "));
        said.filter_map(|l| Some(l.rsplit_once(&format!("{}:", site.conf().display()))?.1.to_owned()))
            .collect::<Vec<_>>()
    };
    let said = site.run(&["-d"]);
    assert_eq!((said.exit, said.out(), said.err()), (Exit::Code(0), String::new(), String::new()));
    let known = warnings(&site.log());
    assert_eq!(known.len(), 2, "{}", site.log());
    assert!(known[0].starts_with("1:32: Helper ftp inet tcp is there twice: "), "{known:?}");
    assert!(known[1].contains("HashSize has no effect"), "{known:?}");
    // Each remark once, and counted.
    // A second daemon does not write its remarks into the first one's log.
    let second = site.run(&["-d"]);
    assert_eq!(second.exit, Exit::Code(1));
    assert_eq!(messages(&second.err()).len(), 1, "{second:?}");
    assert!(second.err().contains("exists, perhaps conntrackd already running?"), "{second:?}");
    assert_eq!(warnings(&site.log()).len(), 2);
    site.stop();
    fs::remove_file(&site.log).expect("the log");
    // In the foreground, warnings go to standard error, notices to standard output, and both to the log.
    let mut daemon = site.command(&[]);
    let daemon = daemon.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the daemon");
    eventually("an answer", || match site.run(&["-s"]) {
        said if said.exit == Exit::Code(0) && !said.stdout.is_empty() => Ok(()),
        said => Err(format!("{said:?}")),
    });
    assert_eq!(site.run(&["-k"]).exit, Exit::Code(0));
    let said = daemon.wait_with_output().expect("its end");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!((warnings(&err), warnings(&site.log())), (known.clone(), known));
    assert!(messages(&out).contains(&"[notice] -- starting in console mode --"), "{out}");
    assert!(messages(&out).iter().all(|l| l.starts_with("[notice] ")), "{out}");
}

/// A reload takes over a changed section, and counts it.
#[test]
fn helpers_come_and_go_with_a_reload() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::new(dir.path(), Zctd);
    site.configure_with_log(SYNC);
    assert_eq!(site.run(&["-d"]).exit, Exit::Code(0));
    let pid: i32 = fs::read_to_string(&site.lock).expect("the lock").trim().parse().expect("a number");
    let all = ["ftp inet tcp", "rpc inet udp", "tns inet tcp"];
    for types in [&all[..2], &all[2..], &[]] {
        let text: String = types.iter().map(|t| format!("Type {t} {{ }} ")).collect();
        site.configure_with_log(&format!("{SYNC}Helper {{ {text} }}\n"));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGHUP)
            .expect("kill");
        eventually("the types of the file", || {
            let said = site.run(&["-s", "helper"]).out();
            let shown: Vec<&str> =
                all.into_iter().filter(|t| said.contains(&format!("helper {t}:\n"))).collect();
            if shown == types { Ok(()) } else { Err(format!("{said}{}", site.log())) }
        });
    }
    site.stop();
}

/// A start that cannot work says why on standard error, in the background or not; the exit status is 1, and
/// no lock, socket or process is left.
#[test]
fn what_cannot_start_names_the_thing_and_leaves_nothing() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("directory")).expect("a directory");
    fs::write(at("plain"), "kept").expect("a file");
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let long = |len: usize| {
        let start = format!("{}/", dir.path().display());
        PathBuf::from(format!("{start}{}", "c".repeat(len - start.len())))
    };
    let sound = || Site::new(dir.path(), Zctd);
    let missing = format!("the directory `{}' does not exist", at("missing").display());
    type Case<'a> = (Site, &'a str, String);
    let cases: Vec<Case<'_>> = vec![
        (
            Site { lock: at("missing/below/lock"), ..sound() },
            SYNC,
            format!("can't create lockfile `{}': {missing}", at("missing/below/lock").display()),
        ),
        (
            Site { lock: at("directory"), ..sound() },
            SYNC,
            format!("can't create lockfile `{}': it is no plain file", at("directory").display()),
        ),
        (
            Site { lock: at("pipe"), ..sound() },
            SYNC,
            format!("can't create lockfile `{}': it is no plain file", at("pipe").display()),
        ),
        (
            Site { log: at("missing/log"), ..sound() },
            SYNC,
            format!("can't open logfile `{}'.Reason: No such file or directory", at("missing/log").display()),
        ),
        (
            Site { log: at("directory"), ..sound() },
            SYNC,
            format!("can't open logfile `{}'.Reason: Is a directory", at("directory").display()),
        ),
        (
            Site { control: at("missing/ctl"), ..sound() },
            SYNC,
            format!("can't open the control socket `{}': {missing}", at("missing/ctl").display()),
        ),
        (
            Site { control: at("directory"), ..sound() },
            SYNC,
            format!(
                "can't open the control socket `{}': something that is no socket",
                at("directory").display()
            ),
        ),
        (
            Site { control: at("plain"), ..sound() },
            SYNC,
            format!("can't open the control socket `{}': something that is no socket", at("plain").display()),
        ),
        (
            Site { control: long(108), ..sound() },
            SYNC,
            "the path of Path is longer than 107 bytes: `/".into(),
        ),
        (
            Site { control: long(300), ..sound() },
            SYNC,
            "the path of Path is longer than 107 bytes: `/".into(),
        ),
        (
            sound(),
            "Stats { LogFile /nonexistent/stats\n}\n",
            "can't open logfile `/nonexistent/stats'.Reason: No such file or directory".into(),
        ),
        (
            sound(),
            "Sync { Mode FTFW { }\nUDP { IPv4_address 192.0.2.1 IPv4_Destination_Address 127.0.0.2 Port 3780 Interface lo }\n}\n",
            "dedicated links".into(),
        ),
        (sound(), "Sync { Mode FTFW { }\n}\n", "no link to a peer in Sync".into()),
        (sound(), "Sync { Mode FTFW { Port 5 }\n}\n", "`Port' does not belong in Mode FTFW".into()),
    ];
    for (site, role, why) in &cases {
        for words in [&[][..], &["-d"]] {
            site.configure_with_log(role);
            let said = site.run(words);
            assert_eq!(said.exit, Exit::Code(1), "{why}: {said:?}");
            assert!(said.err().contains(why.as_str()), "{why}: {said:?}");
            if !words.is_empty() {
                assert_eq!(said.out(), "", "{why}");
                let errors = |l: &&str| {
                    l.starts_with("[ERROR] ") || l.starts_with("ERROR: ") || l.contains(": error: ")
                };
                assert!(messages(&said.err()).iter().all(errors), "{why}: {said:?}");
            }
            let left = [&site.lock, &site.control].map(|f| {
                f.symlink_metadata().is_ok_and(|m| {
                    use std::os::unix::fs::FileTypeExt as _;
                    m.file_type().is_socket() || (m.is_file() && !f.ends_with("plain"))
                })
            });
            assert_eq!((left, site.processes()), ([false, false], vec![]), "{why}");
        }
    }
    assert_eq!(fs::read(at("plain")).expect("the file"), b"kept");
    // A path that is one byte shorter works.
    for which in [Zctd, Original] {
        let site = Site { control: long(107), ..Site::new(dir.path(), which) };
        site.configure_with_log(SYNC);
        assert_eq!(site.run(&["-d"]).exit, Exit::Code(0), "{}", site.log());
        assert!(site.run(&["-s"]).out().contains("cache internal"));
        site.stop();
    }
}

/// A configuration that nobody may read. Root can read anything, so root gives up that right here.
#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::new(dir.path(), Zctd);
    site.configure_with_log(SYNC);
    fs::set_permissions(site.conf(), fs::Permissions::from_mode(0o000)).expect("permissions");
    let set = "-dac_override,-dac_read_search";
    for words in [&[][..], &["-d"], &["-s"], &["--check"]] {
        let mut command = Command::new(find("setpriv", "util-linux"));
        command.arg(format!("--bounding-set={set}")).arg(format!("--inh-caps={set}"));
        command.arg(Zctd.path()).args(words).arg("-C").arg(site.conf()).stdin(Stdio::null());
        let said = run(&mut command, b"");
        assert_eq!((said.exit, said.out()), (Exit::Code(1), String::new()), "{said:?}");
        let text = format!("[ERROR] can't open config file `{}': Permission denied", site.conf().display());
        assert_eq!(messages(&said.err()), [text], "{words:?}");
        assert!(!site.lock.exists() && !site.control.exists() && !site.log.exists());
        assert_eq!(site.processes(), Vec::<String>::new());
    }
}

/// In a directory that others can write, the daemon writes to a file of this name, never to where somebody
/// has made the name lead. The original follows all such links.
#[test]
fn links_of_others_are_not_followed() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let (shared, target, link) = (at("shared"), at("target"), at("shared/link"));
    fs::create_dir(&shared).expect("a directory");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).expect("permissions");
    fs::write(&target, "kept").expect("a file");
    symlink(&target, &link).expect("a link");
    let sound = || Site::new(dir.path(), Zctd);
    let stats = format!("Stats {{ LogFile {}\n}}\n", link.display());
    let named = |what: &str| format!("{what} `{}'", link.display());
    for (site, role, said) in [
        (Site { log: link.clone(), ..sound() }, SYNC, named("can't open logfile")),
        (sound(), stats.as_str(), named("can't open logfile")),
        (Site { lock: link.clone(), ..sound() }, SYNC, named("can't create lockfile")),
        (Site { control: link.clone(), ..sound() }, SYNC, named("can't open the control socket")),
    ] {
        for words in [&[][..], &["-d"]] {
            site.configure_with_log(role);
            let refused = site.run(words);
            assert_eq!(refused.exit, Exit::Code(1), "{refused:?}");
            assert!(refused.err().contains(&said), "{refused:?}");
            if !said.contains("socket") {
                let why = "it is a symbolic link, and others can write to the directory";
                assert!(refused.err().contains(why), "{refused:?}");
            }
            assert_eq!(fs::read(&target).expect("the target"), b"kept");
            assert!(link.is_symlink());
        }
    }
    // A plain file is accepted there, and so is a link where nobody else can put one.
    let own = at("own");
    symlink(&target, &own).expect("a link");
    let site = Site { log: own, lock: shared.join("lock"), control: shared.join("ctl"), ..sound() };
    site.configure_with_log(SYNC);
    assert_eq!(site.run(&["-d"]).exit, Exit::Code(0));
    assert!(fs::read_to_string(&target).expect("the target").contains("initialization completed"));
    // A link that a reload names is not followed either: the log stays where it was until there is
    // a better place.
    let pid: i32 = fs::read_to_string(&site.lock).expect("the lock").trim().parse().expect("a number");
    let hangup = || {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGHUP)
            .expect("kill");
    };
    fs::remove_file(&link).expect("the link");
    symlink(at("plain"), &link).expect("a link");
    site.configure(SYNC, Some(&link.display().to_string()), "");
    hangup();
    eventually("a refusal", || match site.log() {
        log if log.contains(&named("can't open logfile")) => Ok(()),
        log => Err(log),
    });
    assert!(!site.log().contains("LogFile: "), "{}", site.log());
    fs::remove_file(&link).expect("the link");
    hangup();
    eventually("the new log", || match fs::read_to_string(&link) {
        Ok(log) if log.contains("LogFile: ") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(!at("plain").exists());
    site.stop();
}

/// The daemon runs with whatever the configuration accepts: large limits allocate nothing in advance, and no
/// time wraps around and comes at once.
#[test]
fn the_largest_numbers_are_no_reason_to_fail() {
    let _ns = Netns::fresh();
    let dir = tempfile::tempdir().expect("a directory");
    let site = Site::new(dir.path(), Zctd);
    let (int, u32) = (i32::MAX, u32::MAX);
    let general = format!(
        "HashSize {u32}\nHashLimit {u32}\nNetlinkBufferSize {int}\nNetlinkBufferSizeMaxGrowth {int}\n\
         NetlinkOverrunResync {int}\nEventIterationLimit {u32}"
    );
    let timeouts = format!("CommitTimeout {int} PurgeTimeout {int}");
    let ends = "IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 Port 65535 Interface lo";
    let buffers = format!("SndSocketBuffer {int} RcvSocketBuffer {int}");
    for role in [
        format!(
            "Sync {{\nMode FTFW {{ ResendQueueSize {int} ACKWindowSize {int} {timeouts} }}\n\
             TCP {{ {ends} {buffers} ErrorQueueLength {u32} }}\n}}\n"
        ),
        format!(
            "Sync {{\nMode ALARM {{ RefreshTime {int} CacheTimeout {int} {timeouts} }}\nUDP {{ {ends} {buffers} }}\n}}\n"
        ),
        "Stats { }\n".to_owned(),
    ] {
        for polling in [String::new(), format!("\nPollSecs {int}")] {
            site.configure(&role, Some(&site.log.display().to_string()), &format!("{general}{polling}"));
            let said = site.run(&["-d"]);
            assert_eq!((said.exit, said.err()), (Exit::Code(0), String::new()), "{role}");
            for words in [&["-s"][..], &["-R"], &["-c"], &["-n"], &["-B"], &["-t"], &["-s", "runtime"]] {
                let said = site.run(words);
                assert_eq!((said.exit, said.err()), (Exit::Code(0), String::new()), "{role} {words:?}");
            }
            site.stop();
            assert!(!site.log().contains("(scheduled)"), "{}", site.log());
        }
    }
}
