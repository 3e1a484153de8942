//! Numeric types of casts and declarations.

use greenlit_syntax::Role;

use super::family::Family;
use super::sink::Sink;
use super::site::Site;

/// `(int) x` becomes `(long) x`, `int total` becomes `long total`; conversions that are calls are
/// the function-name family's.
pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    let casts = site.parsed().table().words.casts;
    for node in site.nodes.iter().copied() {
        let base = match site.role(node) {
            Role::Wrapper => 1.0,
            Role::Declaration => 0.7,
            _ => continue,
        };
        let Some(written) = node.child_by_field_name("type") else { continue };
        let own = site.text_of(written);
        if !casts.contains(&own) {
            continue;
        }
        // Types that the file uses are likelier than others.
        for other in casts.iter().filter(|c| **c != own) {
            let used = site.file.text().contains(&format!("{other} "))
                || site.file.text().contains(&format!("{other})"));
            sink.replace(site, Family::Type, written, *other, if used { base } else { base * 0.5 });
        }
    }
}
