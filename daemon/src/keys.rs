//! Keys of endpoints, from the environment or from a program that knows them: an operating system's keyring,
//! a password manager. They are in no file and in no log.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use greenlit_generate::Key;
use greenlit_runner::Environment;
use greenlit_workspace::config::TierModel;

/// A keyring may ask a person to open it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a program is asked whether it has ended.
const TICK: Duration = Duration::from_millis(10);
/// No key is longer.
const LONGEST: usize = 64 << 10;

/// What programs answered, for as long as the daemon runs.
#[derive(Default)]
pub(crate) struct Keys(Mutex<HashMap<Vec<String>, String>>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("programs", &self.known().len()).finish_non_exhaustive()
    }
}

impl Keys {
    /// The key of a tier, if it has one; else why it cannot be had, in words. May wait for a person.
    pub(crate) fn of(
        &self,
        tier: &str,
        configured: &TierModel,
        environment: &Environment,
    ) -> Result<Option<Key>, String> {
        let command = &configured.api_key_command;
        match (&configured.api_key_env, command.is_empty()) {
            (None, true) => Ok(None),
            (Some(name), true) => {
                let missing = || {
                    format!(
                        "the variable {name}, which `tier.{tier}.api_key_env` names, is not set"
                    )
                };
                variable(name, environment).ok_or_else(missing).map(|key| Some(Key(key)))
            }
            (None, false) => {
                let key = self.program_says(command, environment, PATIENCE);
                let why = |why| format!("`tier.{tier}.api_key_command` gave no key: {why}");
                key.map_err(why).map(|key| Some(Key(key)))
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
    ) -> Result<String, String> {
        // Whoever comes meanwhile waits, so that nobody is asked twice.
        let mut known = self.known();
        if let Some(key) = known.get(command) {
            return Ok(key.clone());
        }
        let key = ask(command, environment, patience)?;
        known.insert(command.to_vec(), key.clone());
        Ok(key)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Vec<String>, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A variable of the session, else of the daemon.
fn variable(name: &str, environment: &Environment) -> Option<String> {
    let name = OsStr::new(name);
    let value = environment.vars.get(name).cloned().or_else(|| std::env::var_os(name));
    let value = value?.into_string().ok()?.trim().to_owned();
    Some(value).filter(|key| !key.is_empty())
}

/// What a program prints. What it says besides may hold anything and is not told.
fn ask(
    command: &[String],
    environment: &Environment,
    patience: Duration,
) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("it is empty")?;
    // A keyring is found by variables of the person's session.
    let child = Command::new(program)
        .args(arguments)
        .envs(&environment.vars)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let Some(output) = child.stdout.take() else { return Err("it has no output".to_owned()) };
    let reader = thread::spawn(move || {
        let mut text = String::new();
        output.take(LONGEST as u64).read_to_string(&mut text).map(|_length| text)
    });
    wait(&mut child, program, patience)?;
    let text = reader.join().ok().and_then(Result::ok);
    let text = text.ok_or_else(|| format!("what `{program}` prints is not text"))?;
    match text.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(key) => Ok(key.to_owned()),
        None => Err(format!("`{program}` prints nothing")),
    }
}

fn wait(child: &mut Child, program: &str, patience: Duration) -> Result<(), String> {
    let end = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("`{program}` ended with {status}")),
            Ok(None) if Instant::now() < end => thread::sleep(TICK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("`{program}` did not end within {} s", patience.as_secs()));
            }
            Err(error) => return Err(format!("`{program}` cannot be waited for: {error}")),
        }
    }
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

    #[test]
    fn a_program_is_asked_once_and_sees_the_session() {
        let dir = tempfile::tempdir().unwrap();
        let asked = dir.path().join("asked");
        let script =
            format!("echo x >> {}; printf '\\n  %s \\nmore\\n' \"$RING\"", asked.display());
        let (keys, model) = (Keys::default(), configured(None, shell(&script)));
        for session in ["one", "two"] {
            let key = keys.of("small", &model, &environment("RING", session)).unwrap().unwrap();
            assert_eq!(key.0, "one");
        }
        assert_eq!(std::fs::read_to_string(asked).unwrap(), "x\n");
        assert!(!format!("{keys:?}").contains("one"));
    }

    #[test]
    fn what_gives_no_key_says_why_and_is_asked_again() {
        let keys = Keys::default();
        let none = Environment::default();
        let why = |command| keys.of("small", &configured(None, command), &none).err().unwrap();
        assert!(why(shell("echo secret >&2; exit 3")).contains("`sh` ended with exit status: 3"));
        assert!(why(shell("true")).contains("prints nothing"));
        assert!(why(shell("printf '\\377'")).contains("not text"));
        assert!(why(vec!["/no/such/program".to_owned()]).contains("cannot be started"));
        let slow = keys.program_says(&shell("exec sleep 60"), &none, Duration::from_millis(50));
        assert!(slow.unwrap_err().contains("did not end"));
        assert!(keys.known().is_empty());
        let both = configured(Some("RING"), shell("echo k"));
        assert!(keys.of("small", &both, &none).err().unwrap().contains("both"));
        let key =
            keys.of("small", &configured(Some("RING"), Vec::new()), &environment("RING", " k "));
        assert_eq!(key.unwrap().unwrap().0, "k");
        assert!(keys.of("small", &configured(None, Vec::new()), &none).unwrap().is_none());
    }
}
