use std::fs;
use std::sync::mpsc;
use std::time::SystemTime;

use super::*;

struct Tested {
    dir: tempfile::TempDir,
    engine: Engine,
    shared: Arc<Shared>,
}

impl Tested {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        for (path, text) in files {
            fs::write(root.join(path), text).unwrap();
        }
        let words = Arc::new(Lexical::in_memory().unwrap());
        let shared = Arc::new(Shared::new(Snapshot::empty(words)));
        let store = Some(dir.path().join("store"));
        let engine = Engine::new(root.into(), store, shared.clone(), None, Arc::new(|_| {}));
        Self { dir, engine, shared }
    }

    fn work(&mut self) {
        while self.engine.has_work() {
            if let Err(error) = self.engine.step() {
                self.engine.fail_for_now(&error);
            }
        }
    }

    fn told(&mut self, message: impl FnOnce(u64) -> Message) {
        let message = message(self.shared.announce());
        self.engine.take(message);
        self.work();
    }

    /// Shows a buffer; whether there was an answer.
    fn shows(&mut self, path: &str, text: &str) -> bool {
        let (reply, answer) = mpsc::channel();
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        self.engine.take(Message::Overlay(vec![(path.into(), text.into(), hash)], reply));
        answer.try_recv().is_ok()
    }
}

#[test]
fn a_rebuild_that_comes_before_the_failure_is_known_is_not_lost() {
    let mut tested = Tested::new(&[("a.py", "x = 1\n")]);
    let store = tested.dir.path().join("store");
    fs::write(&store, "a file").unwrap();
    let rebuild = tested.shared.announce();
    tested.told(Message::Everything);
    assert!(tested.engine.has_failed());
    fs::remove_file(&store).unwrap();
    // It was sent, and the failure forgotten, before the thread failed.
    tested.engine.take(Message::Rebuild(rebuild));
    tested.engine.taken = 2;
    tested.work();
    assert!(!tested.engine.has_failed());
    assert!(tested.shared.progress().is_settled());
    assert_eq!(tested.shared.snapshot().totals.files, 1);
}

#[test]
fn what_failed_for_want_of_a_place_is_opened_again_and_a_defect_is_not() {
    let mut tested = Tested::new(&[("a.py", "x = 1\n")]);
    let store = tested.dir.path().join("store");
    fs::write(&store, "a file").unwrap();
    tested.told(Message::Everything);
    assert!(tested.engine.has_failed() && tested.engine.again.is_some());
    // Nothing changed.
    tested.engine.retry();
    tested.work();
    assert!(tested.engine.has_failed() && tested.engine.again.is_some());
    fs::remove_file(&store).unwrap();
    tested.engine.retry();
    tested.work();
    assert!(!tested.engine.has_failed() && tested.engine.again.is_none());
    assert!(tested.shared.progress().is_settled());
    assert_eq!(tested.shared.snapshot().totals.files, 1);

    tested.engine.fail("a defect");
    assert!(tested.engine.again.is_none());
}

#[test]
fn it_is_opened_again_when_the_time_has_come_and_nobody_says_anything() {
    let mut tested = Tested::new(&[("a.py", "x = 1\n")]);
    tested.engine.take(Message::Everything(tested.shared.announce()));
    tested.engine.fail_for_now(&std::io::Error::other("no space"));
    tested.engine.again = Some(Instant::now() + Duration::from_millis(5));
    let Tested { engine, shared, dir: _dir } = tested;
    let (stop, inbox) = mpsc::channel();
    let thread = std::thread::spawn(move || engine.run(&inbox));
    let started = Instant::now();
    while shared.progress().failed.is_some() || !shared.progress().is_settled() {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", shared.progress());
        std::thread::yield_now();
    }
    stop.send(Message::Stop).unwrap();
    thread.join().unwrap();
    assert_eq!(shared.snapshot().totals.files, 1);
}

#[test]
fn what_is_stored_is_found_again_after_a_write_that_failed() {
    let mut tested = Tested::new(&[("a.py", "x = 1\n")]);
    tested.told(Message::Everything);
    tested.engine.writer.as_mut().unwrap().flush().unwrap();
    tested.engine.fail_for_now(&std::io::Error::other("no space"));
    tested.work();
    assert!(tested.engine.has_failed());
    // Nobody has the files open any more, this process included.
    tested.engine.retry();
    tested.work();
    assert!(!tested.engine.has_failed(), "{:?}", tested.shared.progress().failed);
    let totals = &tested.shared.snapshot().totals;
    assert_eq!((totals.files, totals.cut), (1, 0));
}

#[test]
fn a_buffer_is_not_answered_by_an_index_that_is_about_to_be_made_anew() {
    let mut tested = Tested::new(&[("a.py", "x = 1\n")]);
    assert!(!tested.shows("a.py", "x = 2\n"), "it is not open");
    tested.told(Message::Everything);
    assert!(tested.shows("a.py", "x = 2\n"));
    let rebuild = tested.shared.announce();
    tested.engine.take(Message::Rebuild(rebuild));
    assert!(!tested.shows("a.py", "x = 2\n"), "its numbers are about to mean something else");
    tested.work();
    assert!(tested.shows("a.py", "x = 2\n"));
}

#[test]
fn what_changes_nothing_costs_nothing() {
    let mut tested = Tested::new(&[("a.py", "x = 1\n")]);
    tested.told(Message::Everything);
    assert!(tested.shows("a.py", "x = 2\n"));
    let before = tested.shared.snapshot();
    assert!(tested.shows("a.py", "x = 2\n"));
    assert!(Arc::ptr_eq(&before, &tested.shared.snapshot()), "nothing was published");

    // The size is looked up when something was taken in.
    let bytes = tested.shared.progress().bytes_disk;
    fs::write(tested.dir.path().join("store/more"), [0; 5000]).unwrap();
    assert!(tested.shows("a.py", "x = 2\n"));
    assert_eq!(tested.shared.progress().bytes_disk, bytes);
    tested.told(Message::Everything);
    assert!(tested.shared.progress().bytes_disk >= bytes + 5000);
}

#[test]
fn what_is_preferred_comes_first_and_what_was_written_last_next() {
    let names = ["a.py", "b.py", "c.py", "d.py", "e.py"];
    let mut tested = Tested::new(&names.map(|name| (name, "x = 1\n")));
    let root = tested.dir.path().join("root");
    for (hours, name) in names.iter().enumerate() {
        let ago = Duration::from_secs(3600 * (1 + hours as u64));
        let file = fs::File::options().write(true).open(root.join(name)).unwrap();
        file.set_modified(SystemTime::now() - ago).unwrap();
    }
    let paths = |names: &[&str]| names.iter().map(|name| root.join(name)).collect::<Vec<_>>();
    tested.engine.take(Message::Prefer(paths(&["d.py", "gone.py"])));
    tested.engine.take(Message::Everything(1));
    tested.engine.step().unwrap();
    tested.engine.step().unwrap();
    let todo = |tested: &Tested| tested.engine.todo.iter().map(|path| path.to_string()).collect();
    let order: Vec<String> = todo(&tested);
    assert_eq!(order, ["d.py", "a.py", "b.py", "c.py", "e.py"]);
    // What is opened meanwhile.
    tested.engine.take(Message::Prefer(paths(&["c.py"])));
    let order: Vec<String> = todo(&tested);
    assert_eq!(order, ["c.py", "d.py", "a.py", "b.py", "e.py"]);
    tested.work();
    assert_eq!(tested.shared.snapshot().totals.files, 5);
    // They still are when it is made anew.
    tested.engine.take(Message::Rebuild(2));
    tested.engine.step().unwrap();
    tested.engine.step().unwrap();
    let order: Vec<String> = todo(&tested);
    assert_eq!(order, ["c.py", "d.py", "a.py", "b.py", "e.py"]);
}
