//! What a vector takes on disk, all included, with segments as large as they really are.

use greenlit_store::{Options, Owner, SpaceId, Store};

#[test]
fn a_vector_of_384_values_takes_less_than_its_budget() {
    const BUDGET: u64 = 2200;
    const VECTORS: u32 = 3 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options { quota_bytes: 1 << 30 }).unwrap();
    let id = SpaceId { model: [0; 32], backend: "test".into(), dims: 384 };
    let space = store.space(&id).unwrap();
    let owner = Owner { repository: "r".into(), branch: "b".into() };
    let mut vector = [0.0_f32; 384];
    vector[7] = 1.0;
    for first in (0..VECTORS).step_by(64) {
        let batch: Vec<_> = (first..first + 64)
            .map(|n| (id.key(1, blake3::hash(&n.to_le_bytes()).as_bytes()), &vector[..]))
            .collect();
        space.append(&owner, &batch).unwrap();
    }
    let used = store.used_bytes().unwrap();
    assert!(used <= BUDGET * u64::from(VECTORS), "{} bytes per vector", used / u64::from(VECTORS));
}
