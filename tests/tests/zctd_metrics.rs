//! zctd's metrics: read by `promtool` and by a real `prometheus`, and asked for by those who mean no good.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zct_tests::cluster::{At, Cluster, Settings, Which, eventually, mixture};
use zct_tests::program::{DEADLINE, Exit, find, run};
use zct_tests::promtool;

const ADDRESS: &str = "127.0.0.1:9776";
const FLOWS: usize = 200;

fn cluster(sections: &'static str) -> Cluster {
    Cluster::start(Which::Zctd, Which::Zctd, Settings { sections, ..Settings::default() })
}

fn fill(cluster: &Cluster) {
    cluster.must(At::Here, &["-R", "-"], &mixture(1, FLOWS));
    cluster.agree_on(At::There, "the peer knows the flows", FLOWS);
}

/// Sends a request and reads to the end.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> std::io::Result<String> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8(answer).expect("text"))
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap_or_else(|e| panic!("{address}: {e}"));
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: firewall\r\nAccept: */*\r\n\r\n";

fn body(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    body
}

fn scrape() -> String {
    body(&exchange(connect(ADDRESS), REQUEST).expect("an answer")).to_owned()
}

#[test]
fn the_metrics_are_well_formed_and_true() {
    let cluster = cluster("Metrics { Listen 127.0.0.1:9776 }");
    fill(&cluster);
    let text = scrape();
    promtool::check(&text);
    let samples = promtool::samples(&text);
    assert_eq!(samples["zctd_cache_flows{cache=\"internal\"}"], FLOWS as f64);
    assert_eq!(
        samples["zctd_cache_operations_total{cache=\"internal\",op=\"create\",result=\"ok\"}"],
        FLOWS as f64
    );
    assert!(samples["zct_entries"] >= FLOWS as f64 && samples["zct_entries_limit"] > samples["zct_entries"]);
    assert_eq!(samples["zctd_peer_up{peer=\"1\"}"], 1.0);
    assert_eq!(samples["zctd_link_up{link=\"v0\",transport=\"udp\"}"], 1.0);
    assert_eq!(samples["zctd_events_lost_total"], 0.0);
    assert_eq!(samples["zctd_losses_total{kind=\"overrun\"}"], 0.0);
    assert!(!text.contains("zctd_helper"), "none is configured: {text}");
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "zctd_reactor_turn_max_seconds",
        "zctd_events_total",
    ] {
        assert!(samples[name] > 0.0, "{name}");
    }
    let roles = ["active", "backup", "unknown"].map(|r| samples[&format!("zctd_role{{role=\"{r}\"}}")]);
    assert_eq!(roles, [0.0, 0.0, 1.0]);
    // The same as the status says, where nothing changes in between.
    let status = cluster.ask_by(Which::Zctd, At::Here, &["status", "--json"]).out();
    let status: Value = serde_json::from_str(&status).expect("an object");
    for (key, value) in [
        ("zctd_cache_bytes{cache=\"internal\"}", &status["caches"]["internal"]["bytes"]),
        ("zctd_event_buffer_bytes", &status["events"]["buffer_bytes"]),
        ("zctd_events_total", &status["events"]["received"]),
    ] {
        assert_eq!(Some(samples[key]), value.as_f64(), "{key}: {status}");
    }
    assert!(status["helpers"].is_null());
    cluster.ask(At::Here, &["-c"]);
    let samples = promtool::samples(&scrape());
    assert_eq!((samples["zctd_role{role=\"active\"}"], samples["zctd_commits_total"]), (1.0, 1.0));
    assert!(samples.contains_key("zctd_takeover_last_duration_seconds"));
}

/// Whatever the kernel has: the process is there, and every type with its counters.
#[test]
fn helpers_have_counters_by_type_and_their_process_is_started_again() {
    let cluster = cluster(
        "Metrics { Listen 127.0.0.1:9776 }
         Helper { Type ftp inet tcp { QueueNum 5 } Type tns inet6 tcp { QueueNum 6 } }",
    );
    let status = || -> Value {
        let text = cluster.ask_by(Which::Zctd, At::Here, &["status", "--json"]).out();
        serde_json::from_str(&text).expect("an object")
    };
    let helpers = status()["helpers"].clone();
    let names = |key: &str| {
        let types = helpers["types"].as_array().expect("a list").iter();
        types.map(|t| t[key].as_str().expect("a word").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        [names("name"), names("family"), names("protocol")],
        [["ftp", "tns"], ["inet", "inet6"], ["tcp", "tcp"]]
    );
    assert_eq!(helpers["types"][0]["refused"]["port_zero"], 0);
    let first = i32::try_from(helpers["pid"].as_i64().expect("a process")).expect("a pid");
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("the signal");
    eventually("another process", || {
        let seen = status()["helpers"].clone();
        let other = seen["pid"].as_i64().is_some_and(|pid| pid != i64::from(first));
        if other && seen["restarts"] == 1 { Ok(()) } else { Err(seen.to_string()) }
    });
    let text = scrape();
    promtool::check(&text);
    let samples = promtool::samples(&text);
    assert_eq!((samples["zctd_helpers_up"], samples["zctd_helpers_restarts_total"]), (1.0, 1.0));
    let labels = "helper=\"tns\",family=\"inet6\",protocol=\"tcp\"";
    for family in [
        "packets_total",
        "matched_packets_total",
        "expectations_total",
        "mangled_packets_total",
        "unreadable_packets_total",
        "queue_drops_total",
    ] {
        assert_eq!(samples[&format!("zctd_helper_{family}{{{labels}}}")], 0.0, "{family}");
    }
    assert_eq!(samples[&format!("zctd_helper_refused_total{{{labels},reason=\"port-zero\"}}")], 0.0);
    let said = cluster.ask_by(Which::Zctd, At::Here, &["status"]).out();
    assert!(said.contains("started again 1 times\nhelper      ftp inet tcp: 0 packets\n"), "{said}");
}

#[test]
fn who_prefers_openmetrics_gets_the_same() {
    let cluster = cluster("Metrics { Listen 127.0.0.1:9776 }");
    fill(&cluster);
    let request = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text, */*;q=0.1\r\n\r\n";
    let answer = exchange(connect(ADDRESS), request).expect("an answer");
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")
    );
    let text = text.strip_suffix("# EOF\n").expect("an end");
    assert!(text.contains("# TYPE zctd_events counter\nzctd_events_total "), "{text}");
    assert!(text.contains(&format!("zctd_cache_flows{{cache=\"internal\"}} {FLOWS}\n")), "{text}");
    fn names(text: &str) -> Vec<&str> {
        let samples = text.lines().filter(|l| !l.starts_with('#'));
        samples.filter_map(|l| Some(l.rsplit_once(' ')?.0)).collect()
    }
    assert_eq!(names(text), names(&scrape()));
}

#[test]
fn other_requests_get_what_they_deserve() {
    let _cluster = cluster("Metrics { Listen 127.0.0.1:9776 }");
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", "200 OK"),
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET /metrics/ HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("\x16\x03\x01\n\n", "400 Bad Request"),
    ] {
        let answer = exchange(connect(ADDRESS), request.as_bytes()).expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
        assert!(!answer.contains("zctd_events"), "{request}: {answer}");
    }
}

/// True when the other end is gone, without having sent the metrics.
fn is_cut(stream: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => !answer.starts_with(b"HTTP/1.1 200"),
        Err(e) => matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}

#[test]
fn who_means_no_good_holds_up_neither_scrapes_nor_replication() {
    let cluster = cluster("Metrics { Listen 127.0.0.1:9776 }");
    // Nobody of these says anything.
    let mut silent: Vec<TcpStream> = (0..1000).map(|_| connect(ADDRESS)).collect();
    fill(&cluster);
    let samples = promtool::samples(&scrape());
    assert_eq!(samples["zctd_cache_flows{cache=\"internal\"}"], FLOWS as f64);
    assert!(samples["process_open_fds"] < 100.0, "{}", samples["process_open_fds"]);
    // All but the last ones had to make room.
    assert!(silent.iter_mut().take(900).all(is_cut), "a connection is kept for nothing");

    let mut slow: Vec<TcpStream> = (0..20).map(|_| connect(ADDRESS)).collect();
    for byte in REQUEST.iter().take(REQUEST.len() - 1) {
        for stream in &mut slow {
            // It may be gone already.
            _ = stream.write_all(&[*byte]);
        }
        if *byte == b'\r' {
            promtool::samples(&scrape());
        }
    }
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let mut garbage = vec![0; random.usize(1..3000)];
        random.fill(&mut garbage);
        let mut stream = connect(ADDRESS);
        _ = stream.write_all(&garbage);
        if garbage.len() > 1024 {
            assert!(is_cut(&mut stream), "{garbage:?}");
        }
    }
    let mut long = connect(ADDRESS);
    _ = long.write_all(&[b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 4096], b"\r\n\r\n"].concat());
    assert!(is_cut(&mut long));
    // One that asks and does not read does no harm either.
    let unread: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = connect(ADDRESS);
            _ = stream.write_all(REQUEST);
            stream
        })
        .collect();
    cluster.must(At::Here, &["-R", "-"], &mixture(2, FLOWS));
    cluster.agree_on(At::There, "the peer knows more flows", 2 * FLOWS);
    promtool::check(&scrape());
    drop((silent, slow, unread));
    assert!(!cluster.log(At::Here).contains("[ERROR]"), "{}", cluster.log(At::Here));
    // And a connection that only waits ends by itself.
    assert!(is_cut(&mut connect(ADDRESS)), "there is no deadline");
}

/// Rewrites a node's configuration so that it ends in these sections, and has it read again.
fn reload(cluster: &Cluster, at: At, without: &str, sections: &str) {
    let file = cluster.configuration(at);
    let text = fs::read_to_string(&file).expect("the configuration").replace(without, "");
    fs::write(&file, format!("{text}\n{sections}\n")).expect("the configuration");
    kill(Pid::from_raw(cluster.pid(at) as i32), Signal::SIGHUP).expect("a signal");
}

#[test]
fn the_address_changes_while_the_daemon_runs() {
    let cluster = cluster("Metrics { Listen 127.0.0.1:9776 }");
    scrape();
    reload(&cluster, At::Here, "Metrics { Listen 127.0.0.1:9776 }", "Metrics { Listen 192.0.2.1:9776 }");
    eventually("an error in the log", || {
        let log = cluster.log(At::Here);
        let said =
            log.contains("can't listen for metrics at 192.0.2.1:9776: Cannot assign requested address");
        if said { Ok(()) } else { Err(log) }
    });
    scrape();
    let socket = cluster.socket(At::Here).with_extension("metrics");
    let section = format!("Metrics {{ Listen unix:{} \n}}", socket.display());
    reload(&cluster, At::Here, "Metrics { Listen 192.0.2.1:9776 }", &section);
    eventually("a socket", || match UnixStream::connect(&socket) {
        Ok(stream) => {
            promtool::check(body(&exchange(stream, REQUEST).map_err(|e| e.to_string())?));
            Ok(())
        }
        Err(e) => Err(e.to_string()),
    });
    assert_eq!(TcpStream::connect(ADDRESS).map_err(|e| e.kind()).err(), Some(ErrorKind::ConnectionRefused));
    reload(&cluster, At::Here, &section, "");
    eventually("no socket", || if socket.exists() { Err("there".into()) } else { Ok(()) });
}

#[test]
fn a_file_has_them_until_the_daemon_ends() {
    let mut cluster = cluster("");
    let file = cluster.socket(At::Here).with_extension("prom");
    reload(&cluster, At::Here, "", &format!("Metrics {{ TextFile {} \nInterval 1 }}", file.display()));
    let flows = |file: &Path| {
        let text = fs::read_to_string(file).map_err(|e| e.to_string())?;
        Ok::<f64, String>(promtool::samples(&text)["zctd_cache_flows{cache=\"internal\"}"])
    };
    eventually("a file", || flows(&file).map(drop));
    promtool::check(&fs::read_to_string(&file).expect("the file"));
    assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o644);
    fill(&cluster);
    eventually("a new file", || match flows(&file)? {
        n if n == FLOWS as f64 => Ok(()),
        n => Err(n.to_string()),
    });
    assert_eq!(cluster.end(At::Here, Signal::SIGTERM), Some(0));
    assert!(!file.exists(), "what is not there has no metrics");
}

#[test]
fn the_rules_say_what_their_tests_expect() {
    let dist = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../dist"));
    for words in [["check", "rules", "zctd.rules.yml"], ["test", "rules", "zctd.rules.test.yml"]] {
        let mut promtool = Command::new(find("promtool", "prometheus"));
        let output = run(promtool.args(words).current_dir(dist), b"");
        assert_eq!(output.exit, Exit::Code(0), "{words:?}: {output:?}");
    }
}

/// A real Prometheus; it ends with the test.
struct Prometheus {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one in this thread's namespace, with our rules.
    fn start() -> Prometheus {
        let dir = tempfile::tempdir().expect("a directory");
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/zctd.rules.yml");
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [ '{rules}' ]\n\
             scrape_configs:\n- job_name: zctd\n  static_configs: [ {{ targets: [ '{ADDRESS}' ] }} ]\n"
        );
        fs::write(dir.path().join("prometheus.yml"), config).expect("a configuration");
        let log = fs::File::create(dir.path().join("log")).expect("a file");
        let child = Command::new(find("prometheus", "prometheus"))
            .arg(format!("--config.file={}", dir.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:9090")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn();
        Prometheus { child: child.expect("prometheus"), _dir: dir }
    }

    /// What its interface answers.
    fn get(path: &str) -> Result<Value, String> {
        let stream = TcpStream::connect("127.0.0.1:9090").map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|e| e.to_string())?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n");
        let answer = exchange(stream, request.as_bytes()).map_err(|e| e.to_string())?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| answer.clone())?;
        let value: Value = serde_json::from_str(body).map_err(|e| format!("{e}: {body}"))?;
        if value["status"] == "success" { Ok(value["data"].clone()) } else { Err(body.into()) }
    }

    /// The value of a query with one result.
    fn query(words: &str) -> Result<f64, String> {
        let words = words.replace('{', "%7B").replace('}', "%7D").replace('"', "%22");
        let data = Prometheus::get(&format!("/api/v1/query?query={words}"))?;
        let value = data["result"][0]["value"][1].as_str().and_then(|v| v.parse().ok());
        value.ok_or_else(|| data.to_string())
    }
}

#[test]
fn a_real_prometheus_scrapes_it_and_knows_our_rules() {
    let cluster = cluster("Metrics { Listen 127.0.0.1:9776 }");
    fill(&cluster);
    let _prometheus = Prometheus::start();
    let is = |query: &'static str, value: f64| {
        eventually(query, || match Prometheus::query(query)? {
            v if v == value => Ok(()),
            v => Err(v.to_string()),
        });
    };
    is("up{job=\"zctd\"}", 1.0);
    is("zctd_cache_flows{cache=\"internal\"}", FLOWS as f64);
    is("zctd_role{role=\"unknown\"}", 1.0);
    eventually("the rules", || {
        let data = Prometheus::get("/api/v1/rules")?;
        let groups = data["groups"].as_array().cloned().unwrap_or_default();
        let rules: Vec<&Value> = groups.iter().flat_map(|g| g["rules"].as_array().expect("rules")).collect();
        let good = rules.len() > 5 && rules.iter().all(|r| r["health"] == "ok");
        if good { Ok(()) } else { Err(data.to_string()) }
    });
}
