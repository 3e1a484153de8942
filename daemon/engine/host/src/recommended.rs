//! Language models that Greenlit names, as data.

use serde::Deserialize;

/// A model that is known to be useful. `recommended.toml` has the values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommended {
    /// What a person writes.
    pub name: String,
    /// What it is good for.
    pub about: String,
    /// Its repository in the hub.
    pub repo: String,
    /// A commit of the repository.
    pub revision: String,
    /// SPDX expression.
    pub licence: String,
    /// As its configuration writes it.
    pub architecture: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct All {
    model: Vec<Recommended>,
}

/// All of them, the smallest first.
///
/// # Panics
/// Never: a test reads the same text.
#[must_use]
pub fn recommended() -> Vec<Recommended> {
    let text = include_str!("recommended.toml");
    toml::from_str::<All>(text).expect("a test reads the same text").model
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenlit_download::is_name;

    #[test]
    fn every_one_is_pinned_and_has_a_licence() {
        let all = recommended();
        assert_eq!(all.len(), 3);
        for model in all {
            assert!(is_name(&model.name), "{}", model.name);
            let commit = model.revision.len() == 40
                && model.revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(commit, "{}: a branch moves", model.name);
            assert_eq!(model.licence, "Apache-2.0");
        }
    }
}
