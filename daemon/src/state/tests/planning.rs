//! When a run or a diagnosis is planned. No job runs here: what is due is looked at, not started.

use greenlit_protocol::{
    ClientFrame, DiagnosticTool, ErrorKind, Notification, RootPhase, SeenDiagnostic, TextChange,
};

use super::*;
use crate::state::root::Known;

/// A daemon with editors on one root of two files.
struct Editors {
    state: State,
    root: PathBuf,
    _dir: tempfile::TempDir,
    _queue: mpsc::UnboundedReceiver<Event>,
}

impl Editors {
    fn new(sessions: &[u64]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        std::fs::create_dir(&root).unwrap();
        for name in ["a.py", "b.py"] {
            std::fs::write(root.join(name), "x = 1\n").unwrap();
        }
        let (events, queue) = mpsc::unbounded_channel();
        let mut state = State::new(context(dir.path()), events);
        for session in sessions {
            let (out, _) = outbox(1 << 20);
            state.connected(*session, an_editor(&root), Outgoing::new(*session, out));
        }
        Self { state, root, _dir: dir, _queue: queue }
    }

    fn tell(&mut self, session: u64, notification: Notification) {
        self.state.frame(session, ClientFrame::Notify(notification));
    }

    fn open(&mut self, session: u64, name: &str, text: &str) {
        let (document, text) = (self.root.join(name), Some(text.to_owned()));
        self.tell(session, Notification::DocumentOpened { document, version: 1, text });
    }

    fn type_in(&mut self, session: u64, name: &str) {
        let change = TextChange { start: 0, end: 0, text: "y".to_owned() };
        let document = self.root.join(name);
        self.tell(
            session,
            Notification::DocumentChanged { document, version: 2, changes: vec![change] },
        );
    }

    fn known(&mut self, session: u64) -> &mut Known {
        self.state.roots.get_mut(&self.root).unwrap().known.get_mut(&session).unwrap()
    }

    /// Lets a job run that began just now, with nothing else due.
    fn job_begins(&mut self, session: u64, diagnosis: bool) -> u64 {
        self.known(session).due = None;
        self.known(session).diagnosed.due = None;
        let revision = self.state.roots[&self.root].revision_for(session);
        let job = self.state.next_job;
        self.state.next_job += 1;
        let running = Running::idle(session, self.root.clone(), revision, diagnosis);
        self.state.running.insert(job, running);
        if !diagnosis {
            self.known(session).phase = Some(RootPhase::Testing);
        }
        job
    }
}

#[tokio::test]
async fn what_is_written_before_the_watch_is_in_place_is_looked_at() {
    let mut editors = Editors::new(&[1]);
    editors.open(1, "a.py", "x = 1\n");
    editors.known(1).due = None;
    let root = editors.root.clone();
    let watched = |editors: &mut Editors| {
        editors.state.watching(&root, Watcher::start(root.clone(), Duration::ZERO, |_| {}));
        editors.known(1).due.take().is_some()
    };
    assert!(!watched(&mut editors), "nothing was seen yet");
    editors.job_begins(1, false);
    assert!(watched(&mut editors));
}

#[tokio::test]
async fn a_run_under_which_files_changed_is_made_again() {
    let mut editors = Editors::new(&[1]);
    editors.open(1, "a.py", "x = 1\n");
    let error = RemoteError::new(ErrorKind::InputsChanged, "a.py changed");
    let mut ends = || {
        let job = editors.job_begins(1, false);
        let result = JobResult { answer: Err(error.clone()), ..JobResult::panicked() };
        editors.state.job_done(job, result);
        (editors.known(1).due.is_some(), editors.known(1).phase.clone())
    };
    assert_eq!([ends(), ends()], [(true, Some(RootPhase::Idle)), (true, Some(RootPhase::Idle))]);
    let told = RootPhase::Problem { error: error.clone() };
    assert_eq!(ends(), (false, Some(told)), "it would go on for ever");
}

#[tokio::test]
async fn a_cancelled_job_leaves_what_the_last_run_found() {
    let mut editors = Editors::new(&[1]);
    editors.open(1, "a.py", "x = 1\n");
    let settled = Some(RootPhase::Settled { passed: 4, failing: 0, fixes: 0 });
    for (before, after) in
        [(settled.clone(), settled), (Some(RootPhase::Testing), Some(RootPhase::Idle))]
    {
        let job = editors.job_begins(1, false);
        editors.known(1).phase = before;
        editors.type_in(1, "a.py");
        assert!(editors.state.running[&job].is_cancelled());
        editors.state.job_done(job, JobResult::panicked());
        assert_eq!(editors.known(1).phase, after);
    }
}

#[tokio::test]
async fn typing_in_one_editor_is_nothing_to_another() {
    let mut editors = Editors::new(&[1, 2]);
    editors.open(1, "a.py", "x = 1\n");
    editors.open(2, "a.py", "x = 1\n");
    let job = editors.job_begins(2, false);
    let revision = editors.state.running[&job].revision;
    editors.type_in(1, "a.py");
    assert!(!editors.state.running[&job].is_cancelled());
    let root = editors.root.clone();
    assert!(!editors.state.changed_since(2, &root, revision));
    assert!(editors.state.changed_since(1, &root, revision));
}

#[tokio::test]
async fn a_diagnosis_that_an_edit_elsewhere_ends_is_made_again() {
    let mut editors = Editors::new(&[1]);
    editors.open(1, "a.py", "x = 1\n");
    editors.open(1, "b.py", "x = 1\n");
    let seen = SeenDiagnostic {
        tool: DiagnosticTool::Ruff,
        code: Some("F401".to_owned()),
        message: String::new(),
        start: 0,
        end: 1,
    };
    let (document, diagnostics) = (editors.root.join("b.py"), vec![seen]);
    editors.tell(1, Notification::DiagnosticsSeen { document, version: 1, diagnostics });
    let job = editors.job_begins(1, true);
    editors.type_in(1, "a.py");
    assert!(editors.state.running[&job].is_cancelled());
    assert!(editors.known(1).diagnosed.due.is_some());
}

#[tokio::test]
async fn a_restored_unsaved_buffer_ends_the_run_of_the_file_and_plans_another() {
    let mut editors = Editors::new(&[1]);
    editors.open(1, "a.py", "x = 1\n");
    let job = editors.job_begins(1, false);
    editors.open(1, "b.py", "x = 1\n");
    assert!(!editors.state.running[&job].is_cancelled(), "nothing differs");
    editors.open(1, "b.py", "x = 2\n");
    assert!(editors.state.running[&job].is_cancelled());
    assert!(editors.known(1).due.is_some());
}

#[tokio::test]
async fn nothing_is_planned_while_the_daemon_drains() {
    let mut editors = Editors::new(&[1]);
    editors.open(1, "a.py", "x = 1\n");
    let job = editors.job_begins(1, false);
    editors.state.drain("asked to".to_owned());
    let root = editors.root.clone();
    editors.state.compared(1, root, job, 1, None);
    editors.state.tick();
    assert!(editors.state.pending.is_empty() && editors.known(1).due.is_none());
    editors.known(1).diagnosed.due = Some(Instant::now());
    editors.state.tick();
    assert_eq!(editors.state.next_due(), None, "the loop would spin");
}
