//! Keys of endpoints, from the environment or from a program that knows them: an operating system's keyring,
//! a password manager. They are in no file and in no log.
//!
//! A program is asked when a model is, not before: most runs of tests need none. What it says holds for as long as
//! the daemon runs, whichever session asked first; that it said nothing holds for a while, so that a locked keyring
//! is not opened anew at every save.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use greenlit_generate::{Key, KeySource};
use greenlit_runner::Environment;
use greenlit_workspace::config::TierModel;

/// A keyring may ask a person to open it.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so long a program that gave no key is asked again.
const AGAIN: Duration = Duration::from_secs(300);
/// How often a program is asked whether it has ended, and whoever waits for it whether they still do.
const TICK: Duration = Duration::from_millis(10);
/// No key is longer.
const LONGEST: u64 = 64 << 10;

/// What programs answered.
#[derive(Default)]
pub(crate) struct Keys {
    known: Mutex<HashMap<Vec<String>, Answer>>,
    changed: Condvar,
}

enum Answer {
    /// Somebody asks.
    Asking,
    Key(String),
    None {
        why: String,
        since: Instant,
    },
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("programs", &self.known().len()).finish_non_exhaustive()
    }
}

impl Keys {
    /// Where the key of a tier comes from, if it has one; else why it cannot be had, in words. Asks nobody yet.
    pub(crate) fn of(
        self: &Arc<Self>,
        tier: &str,
        configured: &TierModel,
        environment: &Environment,
    ) -> Result<Option<KeySource>, String> {
        let command = &configured.api_key_command;
        match (&configured.api_key_env, command.is_empty()) {
            (None, true) => Ok(None),
            (Some(name), true) => {
                let missing = || {
                    format!(
                        "the variable {name}, which `tier.{tier}.api_key_env` names, is not set"
                    )
                };
                let key = variable(name, environment).ok_or_else(missing)?;
                Ok(Some(KeySource::Known(Key(key))))
            }
            (None, false) => {
                let (keys, tier) = (Arc::clone(self), tier.to_owned());
                let (command, environment) = (command.clone(), environment.clone());
                let ask = move |stop: &dyn Fn() -> bool| {
                    let key = keys.program_says(&command, &environment, PATIENCE, stop);
                    let why = |why| format!("`tier.{tier}.api_key_command` gave no key: {why}");
                    key.map_err(why).map(Key)
                };
                Ok(Some(KeySource::Asked(Arc::new(ask))))
            }
            (Some(_), false) => Err(format!(
                "`tier.{tier}` has both `api_key_env` and `api_key_command`: one says where the key is"
            )),
        }
    }

    fn program_says(
        &self,
        command: &[String],
        environment: &Environment,
        patience: Duration,
        stop: &dyn Fn() -> bool,
    ) -> Result<String, String> {
        let mut known = self.known();
        loop {
            match known.get(command) {
                Some(Answer::Key(key)) => return Ok(key.clone()),
                Some(Answer::None { why, since }) if since.elapsed() < AGAIN => {
                    return Err(format!(
                        "{why}; it is asked again after {} minutes, or `greenlit restart`",
                        AGAIN.as_secs() / 60
                    ));
                }
                // Nobody is asked twice at a time.
                Some(Answer::Asking) if !stop() => {
                    let waited = self.changed.wait_timeout(known, TICK);
                    known = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(Answer::Asking) => return Err("nobody waits for it any more".to_owned()),
                Some(Answer::None { .. }) | None => break,
            }
        }
        known.insert(command.to_vec(), Answer::Asking);
        drop(known);
        let said = ask(command, environment, patience, stop);
        let mut known = self.known();
        match &said {
            Ok(key) => known.insert(command.to_vec(), Answer::Key(key.clone())),
            // That somebody stopped says nothing about the program.
            Err(_) if stop() => known.remove(command),
            Err(why) => {
                let answer = Answer::None { why: why.clone(), since: Instant::now() };
                known.insert(command.to_vec(), answer)
            }
        };
        self.changed.notify_all();
        said
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Vec<String>, Answer>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A variable of the session, else of the daemon.
fn variable(name: &str, environment: &Environment) -> Option<String> {
    let name = OsStr::new(name);
    let value = environment.vars.get(name).cloned().or_else(|| std::env::var_os(name));
    let value = value?.into_string().ok()?.trim().to_owned();
    Some(value).filter(|key| !key.is_empty())
}

/// The first line that a program prints. What it says besides may hold anything and is not told.
fn ask(
    command: &[String],
    environment: &Environment,
    patience: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("it is empty")?;
    let end = Instant::now() + patience;
    let mut command = Command::new(program);
    // A keyring is found by variables of the person's session.
    command.args(arguments).envs(&environment.vars);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child =
        command.spawn().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let line = child.stdout.take().and_then(|output| read(output).ok());
    let Some(line) = line else {
        kill(&mut child);
        return Err("what it prints cannot be read".to_owned());
    };
    wait(&mut child, program, end, patience, stop)?;
    // What it started may go on and hold the pipe: then there is no line to wait for.
    match line.recv_timeout(end.saturating_duration_since(Instant::now()).min(LINGER)) {
        Ok(Ok(key)) if key.is_empty() => Err(format!("`{program}` prints nothing")),
        Ok(Ok(key)) => Ok(key),
        Ok(Err(_)) => Err(format!("what `{program}` prints is not text")),
        Err(_) => Err(format!("`{program}` prints nothing")),
    }
}

/// How long the last words of a program that has ended may be on their way.
const LINGER: Duration = Duration::from_secs(2);

/// The first line that is not empty, trimmed; an empty one at the end of the output.
fn read(output: ChildStdout) -> std::io::Result<Receiver<std::io::Result<String>>> {
    let (tell, line) = sync_channel(1);
    let read = move || {
        let mut output = BufReader::new(output.take(LONGEST));
        let mut text = String::new();
        let said = loop {
            text.clear();
            match output.read_line(&mut text) {
                Ok(0) => break Ok(String::new()),
                Ok(_) if text.trim().is_empty() => {}
                Ok(_) => break Ok(text.trim().to_owned()),
                Err(error) => break Err(error),
            }
        };
        // Nobody may wait any more.
        let _ = tell.send(said);
        // A program whose pipe is closed may end badly.
        let _ = std::io::copy(&mut output, &mut std::io::sink());
    };
    thread::Builder::new().name("key".to_owned()).spawn(read).map(|_detached| line)
}

fn wait(
    child: &mut Child,
    program: &str,
    end: Instant,
    patience: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<(), String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("`{program}` ended with {status}")),
            Ok(None) if stop() => {
                kill(child);
                return Err("nobody waits for it any more".to_owned());
            }
            Ok(None) if Instant::now() < end => thread::sleep(TICK),
            Ok(None) => {
                kill(child);
                return Err(format!("`{program}` did not end within {} s", patience.as_secs()));
            }
            Err(error) => return Err(format!("`{program}` cannot be waited for: {error}")),
        }
    }
}

/// Ends a program and what it started.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Ok(group) = i32::try_from(child.id()) {
        let group = nix::unistd::Pid::from_raw(group);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    fn environment(name: &str, value: &str) -> Environment {
        let vars = [(name.into(), value.into())].into();
        Environment { vars }
    }

    fn configured(env: Option<&str>, command: Vec<String>) -> TierModel {
        let mut model = TierModel::local("m");
        (model.api_key_env, model.api_key_command) = (env.map(str::to_owned), command);
        model
    }

    fn key(source: Option<&KeySource>) -> Result<String, String> {
        match source.expect("there is one") {
            KeySource::Known(key) => Ok(key.0.clone()),
            KeySource::Asked(ask) => ask(&|| false).map(|key| key.0),
        }
    }

    #[test]
    fn a_program_is_asked_once_and_sees_the_session() {
        let dir = tempfile::tempdir().unwrap();
        let asked = dir.path().join("asked");
        let script =
            format!("echo x >> {}; printf '\\n  %s \\nmore\\n' \"$RING\"", asked.display());
        let (keys, model) = (Arc::new(Keys::default()), configured(None, shell(&script)));
        let of = |session| keys.of("small", &model, &environment("RING", session)).unwrap();
        let first = of("one");
        assert!(!asked.exists(), "it is asked when it is needed");
        for source in [first, of("two")] {
            assert_eq!(key(source.as_ref()).unwrap(), "one");
        }
        assert_eq!(std::fs::read_to_string(asked).unwrap(), "x\n");
        assert!(!format!("{keys:?}").contains("one"));
    }

    #[test]
    fn what_gives_no_key_says_why_and_is_not_asked_again_at_once() {
        let keys = Arc::new(Keys::default());
        let none = Environment::default();
        let why = |command| {
            let source = keys.of("small", &configured(None, command), &none).unwrap();
            key(source.as_ref()).unwrap_err()
        };
        assert!(why(shell("echo secret >&2; exit 3")).contains("`sh` ended with exit status: 3"));
        assert!(why(shell("true")).contains("prints nothing"));
        assert!(why(shell("printf '\\377\\n'")).contains("not text"));
        assert!(why(vec!["/no/such/program".to_owned()]).contains("cannot be started"));
        let dir = tempfile::tempdir().unwrap();
        let asked = dir.path().join("asked");
        let script = shell(&format!("echo x >> {}; exit 1", asked.display()));
        assert!(!why(script.clone()).contains("asked again"));
        assert!(why(script).contains("asked again after 5 minutes"));
        assert_eq!(std::fs::read_to_string(asked).unwrap(), "x\n");
    }

    #[test]
    fn variables_are_read_at_once_and_two_places_are_one_too_many() {
        let keys = Arc::new(Keys::default());
        let none = Environment::default();
        let both = configured(Some("RING"), shell("echo k"));
        assert!(keys.of("small", &both, &none).err().unwrap().contains("both"));
        let ring = configured(Some("RING"), Vec::new());
        let source = keys.of("small", &ring, &environment("RING", " k ")).unwrap();
        assert_eq!(key(source.as_ref()).unwrap(), "k");
        assert!(keys.of("small", &ring, &none).err().unwrap().contains("RING"));
        assert!(keys.of("small", &configured(None, Vec::new()), &none).unwrap().is_none());
    }

    #[test]
    fn a_slow_program_ends_with_all_that_it_started_and_who_stops_is_not_held() {
        let keys = Keys::default();
        let none = Environment::default();
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("left");
        let made = Command::new("mkfifo").arg(&left).status().unwrap();
        assert!(made.success());
        // The one in the background holds the pipe's other end until it is gone.
        let script = shell(&format!("sleep 60 > {} & wait", left.display()));
        let reader = thread::spawn(move || std::fs::read(left).unwrap());
        let brief = Duration::from_millis(300);
        let slow = keys.program_says(&script, &none, brief, &|| false).unwrap_err();
        assert!(slow.contains("did not end"), "{slow}");
        assert!(reader.join().unwrap().is_empty());
        let sleeper = shell("sleep 60");
        let stopped = keys.program_says(&sleeper, &none, PATIENCE, &|| true).unwrap_err();
        assert!(stopped.contains("nobody waits"), "{stopped}");
        assert!(!keys.known().contains_key(&sleeper), "it may be asked again at once");
    }

    #[test]
    fn a_key_is_had_though_what_the_program_started_goes_on() {
        let keys = Keys::default();
        let script = shell("echo k; sleep 60 &");
        let key = keys.program_says(&script, &Environment::default(), PATIENCE, &|| false);
        assert_eq!(key.unwrap(), "k");
    }
}
