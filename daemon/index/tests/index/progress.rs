//! What an index tells of its work.

use std::sync::mpsc;

use greenlit_index::{Index, News, Stage, Work};

use crate::counted::{Counted, Fault, options, with};
use crate::support::{PATIENCE, Workspace};

/// So much that it is told at once.
const MANY: u64 = 1200;

#[test]
fn much_work_is_told_in_files_and_then_in_chunks() {
    let workspace = Workspace::new(&[]);
    for n in 0..MANY {
        workspace.write(&format!("f{n}.py"), format!("def name_{n}():\n    return {n}\n"));
    }
    let (open, gate) = mpsc::channel();
    let embedder = Counted::gated(Fault::None, Some(gate));
    let dense = with(options(&workspace), &embedder);
    let (tell, told) = mpsc::channel();
    let news = move |news| tell.send(news).unwrap();
    let index = Index::open(&workspace.root(), Some(&workspace.store()), Some(&dense), news);
    let index = index.unwrap();
    // Else nothing ends where the test fails.
    let open: mpsc::Sender<()> = open;
    // The model has not answered once.
    assert_told(&until_end(&told), Work::Files);
    drop(open);
    assert_told(&until_end(&told), Work::Vectors);
    drop((index, dense));
    assert_eq!(told.iter().next(), None);
}

fn until_end(told: &mpsc::Receiver<News>) -> Vec<News> {
    let mut all = Vec::new();
    while !matches!(all.last(), Some(News { stage: Stage::End { .. }, .. })) {
        all.push(told.recv_timeout(PATIENCE).unwrap());
    }
    all
}

/// It begins, comes further each time, and ends with everything done.
fn assert_told(news: &[News], work: Work) {
    assert!(news.iter().all(|news| news.work == work), "{news:?}");
    let [News { stage: Stage::Begin, .. }, steps @ .., News { stage: end, .. }] = news else {
        panic!("{news:?}");
    };
    assert_eq!(*end, Stage::End { how: "up to date".to_owned() });
    let steps: Vec<_> = steps
        .iter()
        .map(|news| match news.stage {
            Stage::Progress { done, total } => (done, total),
            _ => panic!("{news:?}"),
        })
        .collect();
    assert!(steps.is_sorted_by(|a, b| a.0 < b.0 || *a == *b), "{steps:?}");
    assert_eq!(steps.last(), Some(&(MANY, MANY)), "{steps:?}");
}
