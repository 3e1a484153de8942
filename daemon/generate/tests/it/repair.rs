//! Whole repairs with a scripted model: real tests in real sandboxes decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use greenlit_generate::{Ending, ModelAuthor, Settings};
use greenlit_repair::{
    Author, Candidate, Fate, FaultContext, Generator, Repair, RepairEvent, RepairLimits,
    RepairOutcome, SearchEvent, TemplateGenerator, WorkError,
};
use greenlit_runner::{Selection, TestId};

use crate::project::Project;
use crate::script::{Reply, Script, total};

/// No template writes a roman numeral.
const FILES: &[(&str, &str)] = &[
    (
        "shop.py",
        "def total(items):\n    return None\n\n\ndef kept(items):\n    return total(items) is None\n",
    ),
    (
        "test_shop.py",
        "from shop import total\n\n\ndef test_total():\n    assert total([('tea', 3), ('cup', 4)]) == 'tea, cup: 7'\n\n\ndef test_none():\n    assert total([]) == ': 0'\n",
    ),
];
const RIGHT: &str = "return ', '.join(n for n, _ in items) + ': ' + str(sum(p for _, p in items))";

/// Proposes nothing.
struct Nothing;

impl Generator for Nothing {
    fn candidates(&self, _: &FaultContext<'_>) -> Vec<Candidate> {
        Vec::new()
    }
}

fn repair(
    project: &Project,
    generator: &(dyn Generator + Sync),
    author: &Arc<ModelAuthor>,
    on_event: &(dyn Fn(RepairEvent) + Sync),
) -> RepairOutcome {
    repair_or_error(project, generator, author, on_event).unwrap()
}

fn repair_or_error(
    project: &Project,
    generator: &(dyn Generator + Sync),
    author: &Arc<ModelAuthor>,
    on_event: &(dyn Fn(RepairEvent) + Sync),
) -> Result<RepairOutcome, WorkError> {
    let targets: Vec<TestId> = project.baseline.failing().map(|(id, _)| id.clone()).collect();
    let authors: [Arc<dyn Author>; 1] = [author.clone()];
    let repair = Repair {
        bench: &project.bench,
        baseline: &project.baseline,
        selection: &Selection::All,
        targets: &targets,
        generator,
        authors: &authors,
        retriever: None,
        changes: None,
        earlier: &[],
        inputs: Some(blake3::hash(b"the inputs of this test never change")),
        limits: RepairLimits { budget: Duration::from_secs(300), max_fixes: 5, jobs: 2 },
        inputs_unchanged: &|| true,
        on_event,
    };
    repair.run()
}

fn author(script: &Arc<Script>, samples: usize, rounds: usize) -> Arc<ModelAuthor> {
    let settings = Settings { samples, rounds, ..Settings::default() };
    Arc::new(ModelAuthor::new("small", script.clone(), settings))
}

#[test]
fn python_a_model_mends_after_feedback_what_templates_cannot() {
    let project = Project::new(FILES);
    let script = Arc::new(Script::new(|_, asked| {
        let told = &asked.messages[1].content;
        // The verdict of the real tests on the first reply.
        match told.contains("target still red") && told.contains("return 7") {
            true => total(RIGHT),
            false => total("return 7"),
        }
    }));
    let author = author(&script, 1, 3);
    let outcome = repair(&project, &TemplateGenerator, &author, &|_| {});
    let fix = outcome.fixes.first().expect("the model's second reply is right");
    assert_eq!(fix.candidate.source.tier, "small");
    assert_eq!(fix.candidate.source.rule, "script");
    assert_eq!(fix.plausible.red_to_green.len(), 2);
    assert!(fix.files[0].after.contains(RIGHT));
    let endings: Vec<_> = author.record().attempts.into_iter().map(|a| a.ending).collect();
    assert!(matches!(endings[0], Ending::Tried(Fate::Fell { .. })), "{endings:?}");
    assert_eq!(endings[1], Ending::Tried(Fate::Verified));
    assert_eq!(endings.len(), 2, "the first verified fix ends the loop");
}

#[test]
fn python_the_first_reply_is_tried_while_the_second_is_written() {
    let project = Project::new(FILES);
    let found = Arc::new(AtomicBool::new(false));
    let seen = found.clone();
    // The second reply never comes; the loop ends because the first one was verified meanwhile.
    let script = Arc::new(Script::new(move |call, _| match call {
        0 => total(RIGHT),
        _ => Reply::Silence,
    }));
    let author = author(&script, 4, 3);
    let outcome = repair(&project, &Nothing, &author, &|event| {
        if matches!(event, RepairEvent::Search(SearchEvent::Found { .. })) {
            seen.store(true, Ordering::SeqCst);
        }
    });
    assert_eq!(outcome.fixes.len(), 1);
    assert!(found.load(Ordering::SeqCst), "it is told of as soon as it is found");
    assert_eq!(script.calls(), 2, "the second call was under way");
    assert_eq!(author.record().attempts[1].ending, Ending::Cancelled);
}

#[test]
fn python_a_model_is_not_asked_where_templates_mend() {
    let project = Project::new(&[
        (
            "shop.py",
            "def total(items):\n    result = 1\n    for item in items:\n        result += item\n    return result\n",
        ),
        (
            "test_shop.py",
            "from shop import total\n\ndef test_total():\n    assert total([1, 2]) == 3\n\ndef test_none():\n    assert total([]) == 0\n",
        ),
    ]);
    let script = Arc::new(Script::new(|_, _| total("return 3")));
    let author = author(&script, 1, 1);
    let outcome = repair(&project, &TemplateGenerator, &author, &|_| {});
    assert_eq!(outcome.fixes[0].candidate.source.tier, "template");
    assert_eq!(script.calls(), 0);
}

#[test]
fn python_what_a_model_does_to_look_green_is_refused_before_it_runs() {
    let project = Project::new(FILES);
    let script = Arc::new(Script::new(|call, _| {
        match call {
        0 => total("import os; os._exit(0)"),
        1 => total("import sys; sys.modules['test_shop'].test_total = lambda: None"),
        _ => Reply::Text("{\"path\":\"test_shop.py\",\"symbol\":\"test_total\"}\n```\ndef test_total():\n    pass\n```".into()),
    }
    }));
    let author = author(&script, 3, 1);
    let outcome = repair(&project, &Nothing, &author, &|_| {});
    assert!(outcome.fixes.is_empty());
    assert_eq!((outcome.counts.rejected_static, outcome.counts.run), (2, 0));
    let endings: Vec<_> = author.record().attempts.into_iter().map(|a| a.ending).collect();
    let refused = |ending: &Ending| matches!(ending, Ending::Tried(Fate::Fell { reason, .. }) if reason.starts_with("rejected"));
    assert!(refused(&endings[0]) && refused(&endings[1]), "{endings:?}");
    assert!(matches!(&endings[2], Ending::Invalid(why) if why.starts_with("a test must not")));
}

#[test]
fn python_cancelling_the_job_ends_a_model_that_says_nothing() {
    let project = Project::new(FILES);
    let cancel = project.bench.cancel.clone();
    let script = Arc::new(Script::new(move |_, _| {
        cancel.cancel();
        Reply::Silence
    }));
    let author = author(&script, 1, 1);
    let ended = repair_or_error(&project, &Nothing, &author, &|_| {});
    assert!(matches!(ended, Err(WorkError::Cancelled)), "{ended:?}");
    assert_eq!(author.record().attempts[0].ending, Ending::Cancelled);
}
