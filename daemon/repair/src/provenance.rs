//! Where a number in the data files of this crate comes from: each file says what the words mean.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provenance {
    Survey,
    Development,
    Guess,
}
