//! GGUF files: what is accepted, and what is refused before the inference library sees it.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use greenlit_protocol::engine::Precision;
use greenlit_serving::check::{self, Architecture, BadFile, Format, ModelFiles};
use greenlit_serving::fit;
use greenlit_serving::tiny::gguf::{self, Field, Fields, Numbers};
use greenlit_serving::tiny::{self, Tensors};
use proptest::prelude::*;

use crate::script::SEED;

const ARCHITECTURE: Architecture = Architecture::Qwen2;

fn write(path: &Path, fields: &Fields, tensors: &Tensors) -> Result<ModelFiles, BadFile> {
    std::fs::write(path, gguf::file(fields, tensors, Numbers::F32)).unwrap();
    check::model(path)
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    (dir, path)
}

/// What is said of a file with another head.
#[track_caller]
fn refused(change: impl FnOnce(&mut Fields), words: &[&str]) {
    let mut fields = gguf::fields(ARCHITECTURE);
    change(&mut fields);
    let (_dir, path) = place();
    let said = write(&path, &fields, &gguf::tensors(ARCHITECTURE, SEED)).unwrap_err().to_string();
    for word in ["tiny.gguf"].iter().chain(words) {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

fn set(fields: &mut Fields, name: &str, value: Field) {
    match fields.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => fields.push((name.to_owned(), value)),
    }
}

#[test]
fn files_of_every_architecture_are_accepted_and_counted_as_they_are() {
    for architecture in Architecture::ALL {
        let (_dir, path) = place();
        gguf::gguf(&path, architecture, SEED, Numbers::Q8).unwrap();
        let files = check::model(&path).unwrap();
        assert_eq!(files.shape.architecture, architecture);
        assert_eq!((files.shape.context, files.shape.tied), (1024, false));
        let Format::Gguf { tokenizer: None, ends } = &files.format else { panic!("{files:?}") };
        assert_eq!(ends, &[256]);
        // Whatever is asked for: it is quantized already.
        let need = fit::choose(Precision::Four, &files, 1024, u64::MAX).unwrap();
        assert_eq!(need.precision, Precision::Stored);
        let stored: u64 = files.tensors.iter().map(|tensor| tensor.bytes).sum();
        assert!((stored..stored + (1 << 20)).contains(&need.weights), "{need:?}");
    }
}

#[test]
fn parts_are_found_by_the_name_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = |part: u32| dir.path().join(format!("tiny-0000{part}-of-00002.gguf"));
    let mut fields = gguf::fields(ARCHITECTURE);
    set(&mut fields, "split.count", Field::Count(2));
    let mut tensors = gguf::tensors(ARCHITECTURE, SEED);
    let others = tensors.split_off(4);
    let bytes = |fields: &Fields, tensors| gguf::file(fields, tensors, Numbers::F32);
    std::fs::write(path(1), bytes(&fields, &tensors)).unwrap();
    let said = check::model(&path(1)).unwrap_err().to_string();
    assert!(said.contains("tiny-00002-of-00002.gguf is missing"), "{said}");
    std::fs::write(path(2), bytes(&Fields::new(), &others)).unwrap();
    assert_eq!(check::model(&path(1)).unwrap().weights, [path(1), path(2)]);
    let said = check::model(&path(2)).unwrap_err().to_string();
    assert!(said.contains("not the first part"), "{said}");
    let alone = dir.path().join("renamed.gguf");
    std::fs::rename(path(1), &alone).unwrap();
    let said = check::model(&alone).unwrap_err().to_string();
    assert!(said.contains("one of 2 parts"), "{said}");
}

#[test]
fn what_the_library_would_ignore_or_cannot_read_is_refused() {
    let text = |text: &str| Field::Text(text.to_owned());
    refused(|head| set(head, "general.architecture", text("gemma3")), &["gemma3", "qwen2"]);
    refused(|head| set(head, "qwen2.rope.scaling.type", text("yarn")), &["positions are scaled"]);
    refused(|head| set(head, "qwen2.expert_count", Field::Count(8)), &["mixtures of experts"]);
    refused(|head| set(head, "general.architecture", text("qwen3moe")), &["mixtures of experts"]);
    refused(|head| set(head, "qwen2.context_length", text("long")), &["`qwen2.context_length`"]);
    refused(|head| set(head, "qwen2.context_length", Field::Count(1000)), &["multiple of 512"]);
    refused(|head| set(head, "qwen2.block_count", Field::Count(3)), &["blk.2.attn_q.weight"]);
    refused(|head| set(head, "qwen2.block_count", Field::Count(0)), &["between 1 and"]);
    refused(|head| set(head, "qwen2.attention.head_count", Field::Count(0)), &["between 1 and"]);
    refused(|head| set(head, "qwen2.rope.freq_base", Field::Count(10_000)), &["freq_base"]);
    refused(|head| set(head, "qwen2.attention.value_length", Field::Count(2)), &["must be 64"]);
    refused(|head| set(head, "general.alignment", Field::Count(0)), &["general.alignment"]);
    refused(|head| set(head, "tokenizer.ggml.eos_token_id", Field::Count(320)), &["no token"]);
    let merges = Field::Texts(vec!["ab".to_owned()]);
    refused(|head| set(head, "tokenizer.ggml.merges", merges), &["tokenizer.ggml.merges"]);
    let kinds = Field::Numbers(vec![1]);
    refused(|head| set(head, "tokenizer.ggml.token_type", kinds), &["tokenizer.ggml.token_type"]);
    refused(|head| head.extend_from_within(..1), &["there twice"]);
    refused(|head| drop(head.remove(0)), &["no language model's file"]);
}

#[test]
fn another_tokenizer_is_read_from_beside_the_file_if_it_is_the_models() {
    let (dir, path) = place();
    let mut fields = gguf::fields(ARCHITECTURE);
    set(&mut fields, "tokenizer.ggml.pre", Field::Text("llama-bpe".into()));
    let tensors = gguf::tensors(ARCHITECTURE, SEED);
    let said = write(&path, &fields, &tensors).unwrap_err().to_string();
    assert!(said.contains("llama-bpe") && said.contains("tokenizer.json is missing"), "{said}");
    let beside = dir.path().join("tokenizer.json");
    std::fs::write(&beside, gguf::tokenizer_json()).unwrap();
    let files = check::model(&path).unwrap();
    assert!(matches!(&files.format, Format::Gguf { tokenizer: Some(path), .. } if *path == beside));
    let other = gguf::tokenizer_json().replace("<|start|>", "<|begin|>");
    std::fs::write(&beside, other).unwrap();
    let said = check::model(&path).unwrap_err().to_string();
    assert!(said.contains("another model") && said.contains("<|begin|>"), "{said}");
}

#[test]
fn an_adapter_for_a_quantized_file_is_refused() {
    let (dir, path) = place();
    gguf::gguf(&path, ARCHITECTURE, SEED, Numbers::F32).unwrap();
    tiny::always(&dir.path().join("a"), SEED, b'a').unwrap();
    let said = check::adapter(&dir.path().join("a"), &check::model(&path).unwrap());
    let said = said.unwrap_err().to_string();
    assert!(said.contains("original weights"), "{said}");
}

#[test]
fn truncated_files_are_refused_wherever_they_end() {
    let (_dir, path) = place();
    let fields = gguf::fields(ARCHITECTURE);
    let whole = gguf::file(&fields, &gguf::tensors(ARCHITECTURE, SEED), Numbers::F32);
    for length in (0..600).chain([4000, 8000, whole.len() / 2, whole.len() - 1]) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let said = check::model(&path).unwrap_err().to_string();
        assert!(said.contains("tiny.gguf") && said.contains("truncated"), "{length}: {said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The head decides how much is read and kept: whatever it says, there is an answer, and soon.
    #[test]
    fn damaged_heads_are_answered(
        changes in proptest::collection::vec((0_usize..9000, any::<u8>()), 1..12),
    ) {
        static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
            let (fields, tensors) = (gguf::fields(ARCHITECTURE), gguf::tensors(ARCHITECTURE, SEED));
            gguf::file(&fields, &tensors, Numbers::Q8)
        });
        let (_dir, path) = place();
        let mut file = WHOLE.clone();
        for (at, byte) in changes {
            file[at] = byte;
        }
        std::fs::write(&path, file).unwrap();
        if let Err(error) = check::model(&path) {
            prop_assert!(error.to_string().contains("tiny.gguf"), "{error}");
        }
    }
}
