//! Writes source files that hold many bodies of a function behind a switch.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::cargo::schemata::plan::{Edit, Place};
use crate::cargo::source::path_up;

/// Names the variant in a test process. Variants count from 1; without it the original runs.
pub(super) const VARIABLE: &str = "GREENLIT_VARIANT";

const MODULE: &str = "greenlit_switch";

/// Read once per process and file. Written for any edition and for `no_std` crates, whose tests
/// have the standard library at hand; nothing in it depends on names of the crate.
const SWITCH: &str = "
#[doc(hidden)]
mod greenlit_switch {
    #[allow(unused_extern_crates)]
    extern crate std as greenlit_std;
    use self::greenlit_std::env;
    use self::greenlit_std::sync::atomic::{AtomicU32, Ordering};
    const UNREAD: u32 = 4294967295;
    static CHOSEN: AtomicU32 = AtomicU32::new(UNREAD);
    pub(super) fn variant() -> u32 {
        let chosen = CHOSEN.load(Ordering::Relaxed);
        if chosen == UNREAD { read() } else { chosen }
    }
    fn read() -> u32 {
        let chosen = match env::var(\"GREENLIT_VARIANT\") {
            Ok(text) => match text.parse::<u32>() {
                Ok(number) => number,
                _ => 0,
            },
            _ => 0,
        };
        CHOSEN.store(chosen, Ordering::Relaxed);
        chosen
    }
}
";

/// A file with a switch in each function that a variant changes.
#[derive(Debug)]
pub(super) struct Switched {
    pub(super) text: String,
    /// Where each body lies in the text.
    pub(super) regions: Vec<Region>,
    /// Where each changed function lies in the text, and whether it is opaque.
    pub(super) functions: Vec<FunctionRegion>,
}

#[derive(Debug)]
pub(super) struct Region {
    pub(super) range: Range<usize>,
    pub(super) variant: usize,
}

#[derive(Debug)]
pub(super) struct FunctionRegion {
    pub(super) range: Range<usize>,
    pub(super) opaque: bool,
    pub(super) variants: Vec<usize>,
}

/// The number that a variant has in the switch.
pub(super) fn number(variant: usize) -> usize {
    variant + 1
}

/// Puts the bodies of `edits` beside the original ones, which keep their lines.
pub(super) fn switched(original: &str, places: &[Place], edits: &[&Edit]) -> Switched {
    let mut by_place: BTreeMap<usize, BTreeMap<usize, &str>> = BTreeMap::new();
    for edit in edits {
        by_place.entry(edit.place).or_default().insert(edit.variant, &edit.body);
    }
    let mut text = String::with_capacity(original.len() * 2);
    let mut regions = Vec::new();
    let mut functions = Vec::new();
    let mut at = 0;
    for (index, bodies) in &by_place {
        let place = &places[*index];
        text.push_str(&original[at..place.body.start]);
        let start = text.len() - (place.body.start - place.item.start);
        let call = path_up(place.depth, MODULE);
        let rest = complement(bodies.keys().map(|variant| number(*variant)));
        text.push_str(&format!("{{ match {call}::variant() {{ {rest} => "));
        text.push_str(&original[place.body.clone()]);
        for (variant, body) in bodies {
            text.push_str(&format!("\n{} => ", number(*variant)));
            let start = text.len();
            text.push_str(body);
            regions.push(Region { range: start..text.len(), variant: *variant });
        }
        text.push_str("\n} }");
        functions.push(FunctionRegion {
            range: start..text.len(),
            opaque: place.opaque,
            variants: bodies.keys().copied().collect(),
        });
        at = place.body.end;
    }
    text.push_str(&original[at..]);
    text.push_str(SWITCH);
    Switched { text, regions, functions }
}

/// Puts each body into a function of its own, beside the original one, which stays as it is. This
/// is only for the compiler to look at: in one function it stops at the first type that it cannot
/// infer, in many it names them all. Places without room for siblings are left as they are.
pub(super) fn apart(original: &str, places: &[Place], edits: &[&Edit]) -> Switched {
    let mut text = String::with_capacity(original.len() * 2);
    let mut regions = Vec::new();
    let mut at = 0;
    for (index, place) in places.iter().enumerate() {
        let Some(sibling) = &place.sibling else { continue };
        text.push_str(&original[at..place.item.end]);
        at = place.item.end;
        for edit in edits.iter().filter(|edit| edit.place == index) {
            text.push_str(&format!("\n#[allow(dead_code)] {} ", sibling.conditions));
            text.push_str(&original[sibling.head.start..sibling.name.end]);
            text.push_str(&format!("_greenlit_{}", number(edit.variant)));
            text.push_str(&original[sibling.name.end..sibling.head.end]);
            let start = text.len();
            text.push_str(&edit.body);
            regions.push(Region { range: start..text.len(), variant: edit.variant });
        }
    }
    text.push_str(&original[at..]);
    Switched { text, regions, functions: Vec::new() }
}

/// A pattern for every number but these, which are sorted.
fn complement(numbers: impl Iterator<Item = usize>) -> String {
    let mut parts = Vec::new();
    let mut from = 0;
    for number in numbers {
        match number - from {
            0 => {}
            1 => parts.push(from.to_string()),
            _ => parts.push(format!("{from}..={}", number - 1)),
        }
        from = number + 1;
    }
    parts.push(format!("{from}..={}", u32::MAX));
    parts.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::schemata::plan;

    #[test]
    fn every_number_has_one_body() {
        assert_eq!(complement([1, 2, 5, 7].into_iter()), "0 | 3..=4 | 6 | 8..=4294967295");
        assert!(SWITCH.contains(MODULE) && SWITCH.contains(VARIABLE));
    }

    #[test]
    fn bodies_stand_beside_the_original() {
        let text = "fn a() -> u32 {\n    1\n}\nmod m {\n    fn b() {}\n}\n";
        let places = plan::places(text);
        let variants = ["    2\n", "    3\n"].map(|line| text.replace("    1\n", line));
        let edits: Vec<Edit> = variants
            .iter()
            .enumerate()
            .flat_map(|(index, variant)| plan::edits(index * 3, text, &places, variant).unwrap())
            .collect();
        let switched = switched(text, &places, &edits.iter().collect::<Vec<_>>());
        let expected = "fn a() -> u32 { match greenlit_switch::variant() { 0 | 2..=3 | 5..=4294967295 => {\n    1\n}\n1 => {\n    2\n}\n4 => {\n    3\n}\n} }\nmod m {\n    fn b() {}\n}\n";
        assert_eq!(switched.text, format!("{expected}{SWITCH}"));
        let bodies: Vec<_> =
            switched.regions.iter().map(|r| (r.variant, &switched.text[r.range.clone()])).collect();
        assert_eq!(bodies, [(0, "{\n    2\n}"), (3, "{\n    3\n}")]);
        assert!(switched.text[switched.functions[0].range.clone()].starts_with("fn a()"));
    }

    #[test]
    fn bodies_stand_apart_to_be_looked_at() {
        let text = "impl S {\n    #[cfg(unix)]\n    pub fn a<T>(&self) -> T {\n        1\n    }\n}\nimpl T for S {\n    fn b() {\n        1\n    }\n}\n";
        let places = plan::places(text);
        let variants = [
            text.replacen("1", "2", 1),
            text.replace("fn b() {\n        1", "fn b() {\n        3"),
        ];
        let edits: Vec<Edit> = variants
            .iter()
            .enumerate()
            .flat_map(|(index, variant)| plan::edits(index, text, &places, variant).unwrap())
            .collect();
        let apart = apart(text, &places, &edits.iter().collect::<Vec<_>>());
        let sibling =
            "\n#[allow(dead_code)] #[cfg(unix)] fn a_greenlit_1<T>(&self) -> T {\n        2\n    }";
        assert_eq!(apart.text, text.replacen("1\n    }", &format!("1\n    }}{sibling}"), 1));
        assert_eq!(&apart.text[apart.regions[0].range.clone()], "{\n        2\n    }");
    }
}
