//! `zctd`: the high-availability daemon, and the client that talks to it, in place of conntrackd.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use zctd::control::client::{self, Action, Args};
use zctd::control::exchange::Answer;
use zctd::control::request::Request;
use zctd::control::selection::Selection;
use zctd::control::version;
use zctd::control::words::{self, BROKEN, CommandEnd, NO_DAEMON, Own};
use zctd::helper::{run, support};
use zctd::host::log::Log;
use zctd::{config, daemon};

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = words.next().unwrap_or_else(|| OsString::from("zctd"));
    let name = Path::new(&name).file_name().unwrap_or(&name).to_string_lossy().into_owned();
    if let Err(why) = zct_engine::trace::follow_environment() {
        eprintln!("{name}: {why}");
    }
    let Args { action, file } = match client::parse(words, client::default_file(&name)) {
        Ok(args) => args,
        Err(usage) => {
            if usage.with_help {
                _ = print(client::help(&name).as_bytes());
            }
            Log::console().error(&usage.text);
            return ExitCode::from(usage.code);
        }
    };
    match action {
        Action::Help => print(client::help(&name).as_bytes()),
        Action::Version => print(version::line().as_bytes()),
        Action::Features => print(version::features().as_bytes()),
        Action::Check => check(&file),
        Action::GenKey(path) => genkey(path.as_deref()),
        Action::Daemon { background } => start(&file, background),
        Action::Ask(request, selection) => with_socket(&file, |socket| ask(socket, request, &selection)),
        Action::Helpers(mode) => run::run(&file, mode),
        Action::Own(own) => with_socket(&file, |socket| carry_out(socket, own)),
    }
}

/// Remarks go to stderr, the effective configuration to stdout. Fails when no daemon could run with the file.
fn check(file: &Path) -> ExitCode {
    let loaded = match client::load(file) {
        Ok(loaded) => loaded,
        Err(why) => return fail(&why.to_string()),
    };
    eprint!("{}", loaded.report.lines(&file.to_string_lossy()));
    let Some(config) = loaded.config else { return ExitCode::FAILURE };
    match config::parts::sync(&config).map_or(Ok(None), |s| config::keys::read(s, file)) {
        Ok(_) => {
            for remark in support::remarks(&config.helpers) {
                eprintln!("{}: warning: {remark}", file.display());
            }
            // There are two places where it looks for a file.
            let name = format!("# {}\n", file.display());
            print(&[name.as_bytes(), &config::print(&config)].concat())
        }
        Err(why) => fail(&why.to_string()),
    }
}

fn genkey(path: Option<&Path>) -> ExitCode {
    match (config::keys::generate(path, &mut std::io::stdout().lock()), path) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(why), Some(path)) => fail(&format!("can't write a key to `{}': {why}", path.display())),
        (Err(why), None) => fail(&format!("can't write a key: {why}")),
    }
}

fn start(file: &Path, background: bool) -> ExitCode {
    let loaded = match client::load(file) {
        Ok(loaded) => loaded,
        Err(why) => return fail(&why.to_string()),
    };
    match loaded.config {
        Some(config) => daemon::run(config, &loaded.report, file.into(), background),
        None => {
            eprint!("{}", loaded.report.lines(&file.to_string_lossy()));
            ExitCode::FAILURE
        }
    }
}

/// The client role: finds the daemon's control socket in the configuration.
fn with_socket(file: &Path, ask: impl FnOnce(&Path) -> ExitCode) -> ExitCode {
    // A reader that has seen enough of a long listing ends us, as it would end any other program.
    zct_engine::default_sigpipe();
    let loaded = match client::load(file) {
        Ok(loaded) => loaded,
        Err(why) => return fail(&why.to_string()),
    };
    if loaded.report.is_refused() {
        eprint!("{}", loaded.report.lines(&file.to_string_lossy()));
        return ExitCode::FAILURE;
    }
    match loaded.control_socket {
        Some(socket) => ask(&socket),
        None => fail(&format!(
            "`{}' has no control socket: General needs a UNIX block with a Path",
            file.display()
        )),
    }
}

/// Prints what the daemon answers.
fn ask(socket: &Path, request: Request, selection: &Selection) -> ExitCode {
    match client::ask(socket, request, selection, &mut std::io::stdout().lock()) {
        Answer::Done => ExitCode::SUCCESS,
        Answer::Failed(why) => fail(&why),
        Answer::NoDaemon => fail(NO_DAEMON),
        Answer::Broken(e) => fail(&format!("{BROKEN}: {e}")),
    }
}

/// Carries out a command of our own, which has exit statuses of its own.
fn carry_out(socket: &Path, own: Own) -> ExitCode {
    let CommandEnd { code, why } = words::carry_out(socket, own, &mut std::io::stdout().lock());
    if let Some(why) = why {
        Log::console().error(&why);
    }
    ExitCode::from(code)
}

fn print(text: &[u8]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    // This fails only if the reader has gone away, and then there is nobody left to tell.
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(text: &str) -> ExitCode {
    Log::console().error(text);
    ExitCode::FAILURE
}
