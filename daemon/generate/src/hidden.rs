//! Files that a model must not see.

use std::path::Path;
use std::sync::Arc;

use greenlit_repair::{Fault, FaultContext, Localization, SourceFile};

/// Says of which files a model must see nothing.
pub type Hidden = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// Asks about a fault without what is hidden. Gives whether that could be done: what fails in hidden
/// files, or is suspected there first, cannot be told without quoting them.
pub(crate) fn without(
    fault: &Fault<'_>,
    hidden: &(dyn Fn(&Path) -> bool + Send + Sync),
    ask: impl FnOnce(&Fault<'_>),
) -> bool {
    let FaultContext { files, neighbours, retrieved, localization } = &fault.context;
    let quotes = fault.failures.iter().any(|(id, failure)| {
        let mut frames = failure.site.iter().chain(&failure.trace);
        // Of many runners the file of the test.
        let file = id.0.split("::").next().unwrap_or_default();
        frames.any(|frame| hidden(&frame.path)) || hidden(&fault.root.join(file))
    });
    if quotes || files.first().is_none_or(|first| hidden(&first.path)) {
        return false;
    }
    let shown = |files: &[SourceFile]| -> Vec<SourceFile> {
        files.iter().filter(|file| !hidden(&file.path)).cloned().collect()
    };
    let (files, neighbours) = (shown(files), shown(neighbours));
    let retrieved: Vec<_> =
        retrieved.iter().filter(|passage| !hidden(&passage.path)).cloned().collect();
    let lines = localization.lines.iter().filter(|line| !hidden(&line.path)).cloned();
    let localization = Localization { lines: lines.collect(), ..(*localization).clone() };
    ask(&Fault {
        root: fault.root,
        context: FaultContext {
            files: &files,
            neighbours: &neighbours,
            retrieved: &retrieved,
            localization: &localization,
        },
        failures: fault.failures,
        // No reply can change what it cannot read, nor hear how its text looks.
        text: &|path| if hidden(path) { None } else { (fault.text)(path) },
        is_test: fault.is_test,
        is_source: fault.is_source,
    });
    true
}
