//! From the compiler's errors to the variants that they are about.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::cargo::messages::{RustcMessage, Span};
use crate::cargo::schemata::switch::{FunctionRegion, Switched};
use crate::scope::Scope;
use crate::text::{first_line, plain};

/// What a failed build says of the variants in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Blame {
    /// These do not compile, with the first message for each.
    pub(super) invalid: BTreeMap<usize, String>,
    /// These may be at fault, or what was written around them.
    pub(super) unsure: BTreeSet<usize>,
}

impl Blame {
    pub(super) fn is_empty(&self) -> bool {
        self.invalid.is_empty() && self.unsure.is_empty()
    }

    pub(super) fn names(&self, variant: usize) -> bool {
        self.invalid.contains_key(&variant) || self.unsure.contains(&variant)
    }
}

/// Sorts errors by where they lie. An error inside a variant's body is that variant's own. One
/// elsewhere in a switched function may come from the switch: all variants of that function are
/// unsure. That counts only while no body is named: such errors are often the same mistake again.
pub(super) fn blame(
    errors: &[RustcMessage],
    scope: &Scope,
    directory: &Path,
    files: &BTreeMap<PathBuf, Switched>,
) -> Blame {
    let mut blame = Blame::default();
    let mut around = BTreeSet::new();
    for error in errors {
        let spans = |primary: bool| {
            let spans = error.spans.iter().filter(move |span| span.is_primary == primary);
            spans.flat_map(Span::chain).filter_map(|span| {
                let path = scope.person(&directory.join(&span.file_name))?;
                Some((span, files.get(&path)?))
            })
        };
        let own: BTreeSet<usize> = spans(true).filter_map(|(s, file)| variant(file, s)).collect();
        let opaque = spans(true).any(|(s, file)| function(file, s).is_some_and(|f| f.opaque));
        if !own.is_empty() && (!opaque || is_own(error)) {
            for variant in own {
                blame.invalid.entry(variant).or_insert_with(|| message(error));
            }
            continue;
        }
        blame.unsure.extend(own);
        let other: BTreeSet<usize> = spans(false).filter_map(|(s, f)| variant(f, s)).collect();
        around.extend(other);
        for (span, file) in spans(true).chain(spans(false)) {
            if let Some(function) = function(file, span) {
                around.extend(&function.variants);
            }
        }
    }
    if blame.is_empty() {
        blame.unsure = around;
    }
    blame.unsure.retain(|variant| !blame.invalid.contains_key(variant));
    blame
}

/// Whether an error cannot come from types that only the switch brings together.
fn is_own(error: &RustcMessage) -> bool {
    const OWN: [&str; 9] = [
        "no method named",
        "no field",
        "no associated",
        "cannot find",
        "cannot borrow",
        "cannot assign",
        "use of",
        "this method takes",
        "this function takes",
    ];
    OWN.iter().any(|own| error.message.starts_with(own))
}

fn variant(file: &Switched, span: &Span) -> Option<usize> {
    let region = file.regions.iter().find(|region| holds(&region.range, span));
    region.map(|region| region.variant)
}

fn function<'f>(file: &'f Switched, span: &Span) -> Option<&'f FunctionRegion> {
    file.functions.iter().find(|function| holds(&function.range, span))
}

fn holds(range: &Range<usize>, span: &Span) -> bool {
    range.start <= span.byte_start && span.byte_end <= range.end
}

fn message(error: &RustcMessage) -> String {
    let label = error.spans.iter().find(|span| span.is_primary).and_then(|s| s.label.as_deref());
    let text = match label {
        Some(label) => format!("{}: {label}", error.message),
        None => error.message.clone(),
    };
    first_line(&plain(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::schemata::{plan, switch};

    const TEXT: &str =
        "fn a() -> u32 {\n    1\n}\nfn b() -> impl Sized {\n    1\n}\nfn c() {\n    3\n}\n";

    fn files() -> BTreeMap<PathBuf, Switched> {
        let places = plan::places(TEXT);
        let a = [("{\n    11\n}", 0, 0), ("{\n    12\n}", 1, 0), ("{\n    13\n}", 2, 1)];
        let edits =
            a.map(|(body, variant, place)| plan::Edit { variant, place, body: body.to_owned() });
        let edits: Vec<&plan::Edit> = edits.iter().collect();
        [("/w/src/lib.rs".into(), switch::switched(TEXT, &places, &edits))].into()
    }

    /// An error at the first place where the text stands in the switched file.
    fn error(text: &str) -> RustcMessage {
        let files = files();
        let start = files[Path::new("/w/src/lib.rs")].text.find(text).unwrap();
        let span = Span {
            file_name: "src/lib.rs".into(),
            byte_start: start,
            byte_end: start + text.len(),
            is_primary: true,
            ..Span::default()
        };
        RustcMessage {
            level: "error".into(),
            message: "m".into(),
            spans: vec![span],
            rendered: None,
        }
    }

    fn of(errors: &[RustcMessage]) -> (Vec<usize>, Vec<usize>) {
        let blame = blame(errors, &Scope::identity("/w"), Path::new("/w"), &files());
        (blame.invalid.into_keys().collect(), blame.unsure.into_iter().collect())
    }

    #[test]
    fn an_error_in_a_body_is_its_variants() {
        assert_eq!(of(&[error("12")]), (vec![1], vec![]));
        assert_eq!(of(&[error("11"), error("12"), error("fn c()")]), (vec![0, 1], vec![]));
    }

    #[test]
    fn an_error_around_the_bodies_makes_the_functions_variants_unsure() {
        assert_eq!(of(&[error("fn a()")]), (vec![], vec![0, 1]));
        assert_eq!(of(&[error("fn a()"), error("12")]), (vec![1], vec![]));
        assert_eq!(of(&[error("13")]), (vec![], vec![2]), "hidden types may differ");
        assert_eq!(of(&[error("fn c()")]), (vec![], vec![]));
    }

    #[test]
    fn a_macro_points_at_its_call() {
        let mut error = error("12");
        let call = std::mem::take(&mut error.spans[0]);
        error.spans[0] = Span {
            file_name: "/rustc/library/core/src/macros/mod.rs".into(),
            is_primary: true,
            expansion: Some(Box::new(crate::cargo::messages::Expansion { span: call })),
            ..Span::default()
        };
        assert_eq!(of(&[error]), (vec![1], vec![]));
    }
}
