//! Candidates from templates: small edits of suspected lines, no model.
//!
//! Every family is written once over the language-neutral roles of `greenlit-syntax`. A family
//! looks at one [`site::Site`] and proposes edits with a weight; [`sink::Sink`] orders them.

mod borrowed;
mod calls;
mod conditions;
mod declared;
mod donors;
mod family;
mod file;
mod guards;
mod insertions;
mod literals;
mod names;
mod operators;
mod precedence;
mod returns;
mod sink;
mod site;
mod slices;
mod statements;
mod types;

#[cfg(test)]
mod arms;
#[cfg(test)]
mod borrowed_tests;
#[cfg(test)]
mod languages;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use greenlit_syntax::{Language, parse};

use crate::candidate::{Candidate, FaultContext, Generator};

/// Proposes candidates from templates in every language that `greenlit-syntax` knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct TemplateGenerator;

impl Generator for TemplateGenerator {
    fn candidates(&self, context: &FaultContext<'_>) -> Vec<Candidate> {
        let parsed: Vec<_> = context
            .files
            .iter()
            .filter_map(|source| {
                let language = Language::from_path(&source.path)?;
                Some((source, parse(language, source.text.clone()).ok()?))
            })
            .collect();
        let found = |path: &Path| -> Vec<_> {
            let own = context.retrieved.iter().filter(|passage| passage.path == path);
            own.map(|passage| passage.first_line..=passage.last_line).collect()
        };
        // Only code of the same language can be lent.
        let neighbours: Vec<_> = context
            .neighbours
            .iter()
            .filter_map(|source| {
                let language = Language::from_path(&source.path)?;
                let wanted = parsed.iter().any(|(_, p)| p.language() == language);
                let parsed = wanted.then(|| parse(language, source.text.clone()).ok()).flatten()?;
                Some((source, parsed))
            })
            .collect();
        let all = parsed.iter().chain(&neighbours).map(|(_, parsed)| parsed);
        let declared = declared::Declared::of(all);
        let files: Vec<_> = parsed
            .iter()
            .map(|(source, parsed)| file::File::new(source, parsed, &declared))
            .collect();
        let lent: Vec<_> = neighbours
            .iter()
            .map(|(source, parsed)| {
                (parsed.language(), borrowed::lenders(parsed, None, &found(&source.path)))
            })
            .chain(parsed.iter().enumerate().map(|(at, (source, parsed))| {
                let found = found(&source.path);
                (parsed.language(), borrowed::lenders(parsed, Some(at), &found))
            }))
            .collect();
        let mut sink = sink::Sink::new();
        for (at, file) in files.iter().enumerate() {
            let scores: HashMap<u32, f64> = context
                .localization
                .lines
                .iter()
                .filter(|l| l.path == file.path)
                .map(|l| (l.line, l.score))
                .collect();
            let lenders: Vec<_> = lent
                .iter()
                .filter(|(language, _)| *language == file.parsed.language())
                .flat_map(|(_, lenders)| lenders)
                .collect();
            sink.enter(at);
            for site in file.sites(|line| scores.get(&line).copied().unwrap_or(0.0)) {
                operators::propose(&site, &mut sink);
                literals::propose(&site, &mut sink);
                names::propose(&site, &mut sink);
                calls::propose(&site, &mut sink);
                slices::propose(&site, &mut sink);
                conditions::propose(&site, &mut sink);
                returns::propose(&site, &mut sink);
                statements::propose(&site, &mut sink);
                types::propose(&site, &mut sink);
                insertions::propose(&site, &mut sink);
                guards::propose(&site, &mut sink);
                donors::propose(&site, &mut sink);
                borrowed::propose(&site, &mut sink, &lenders, at);
            }
        }
        sink.finish(&files)
    }
}
