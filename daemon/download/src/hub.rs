//! Addresses of files in a model hub.

/// The hub that is asked unless the person names a mirror.
pub const HUB: &str = "https://huggingface.co";

/// The address of one file of a repository at a revision.
///
/// `endpoint` is a hub or a mirror with the same paths, as `HF_ENDPOINT` names one; [`HUB`] if nothing
/// is configured. A revision that is a commit makes the address name one content for ever.
#[must_use]
pub fn hub_url(endpoint: &str, repo: &str, revision: &str, file: &str) -> String {
    format!("{}/{repo}/resolve/{revision}/{file}", endpoint.trim_end_matches('/'))
}

/// The address of what a hub knows of a repository at a revision, as JSON: the commit (`sha`), and its
/// files (`siblings`) with sizes and, for large ones, digests.
#[must_use]
pub fn hub_listing_url(endpoint: &str, repo: &str, revision: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    format!("{endpoint}/api/models/{repo}/revision/{revision}?blobs=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_replaces_the_hub_and_nothing_else() {
        let path = "a/b/resolve/main/onnx/model.onnx";
        assert_eq!(hub_url(HUB, "a/b", "main", "onnx/model.onnx"), format!("{HUB}/{path}"));
        let mirror = "http://localhost:8080/hf/";
        let url = hub_url(mirror, "a/b", "main", "onnx/model.onnx");
        assert_eq!(url, format!("{mirror}{path}"));
    }
}
