//! What a person may take for tests and is not run.

use greenlit_protocol::Notice;
use greenlit_runner::Project;
use greenlit_workspace::{Inputs, View};

/// Tells of examples in documentation that are tests elsewhere: nobody is to believe that they passed.
pub(super) fn doctests(projects: &[Project], inputs: &Inputs, view: &View) -> Option<Notice> {
    let (mut examples, mut files) = (0, 0);
    for path in inputs.paths() {
        let path = view.root().join(path);
        let Some(project) = projects.iter().find(|project| project.is_source_file(&path)) else {
            continue;
        };
        // What cannot be read has no examples that anybody could run.
        let Ok(text) = view.read_text(&path) else { continue };
        let found = project.unrun_examples(&path, &text);
        examples += found;
        files += usize::from(found > 0);
    }
    (examples > 0).then(|| Notice {
        kind: "doctests".into(),
        message: format!(
            "examples in documentation are not run: {examples} in {files} files; `cargo test --doc` \
             runs them, and fixes are not checked against them"
        ),
    })
}
