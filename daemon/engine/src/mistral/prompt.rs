//! From the daemon's words to the library's.

use either::Either;
use greenlit_protocol::engine::{
    Constraint, EngineFailure, EngineFailureKind as Kind, Message, Role, Sampling,
};
use greenlit_serving::failure;
use indexmap::IndexMap;
use mistralrs_core::{Constraint as Grammar, MessageContent, SamplingParams, StopTokens};
use serde_json::{Value, json};

/// Messages as the library's chat templates take them.
pub(super) fn messages(messages: &[Message]) -> Vec<IndexMap<String, MessageContent>> {
    let one = |message: &Message| {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        IndexMap::from([
            ("role".to_owned(), Either::Left(role.to_owned())),
            ("content".to_owned(), Either::Left(message.content.clone())),
        ])
    };
    messages.iter().map(one).collect()
}

/// A constraint as the library takes it.
pub(super) fn grammar(constraint: &Constraint) -> Result<Grammar, EngineFailure> {
    Ok(match constraint {
        Constraint::None => Grammar::None,
        Constraint::Lark(grammar) => Grammar::Lark(grammar.clone()),
        Constraint::Regex(pattern) => Grammar::Regex(pattern.clone()),
        Constraint::JsonSchema(text) => Grammar::JsonSchema(schema(text)?),
    })
}

/// A schema that allows no white space between tokens: a weak model would write it for ever.
fn schema(text: &str) -> Result<Value, EngineFailure> {
    let bad = |problem: String| failure(Kind::BadConstraint, format!("the JSON schema {problem}"));
    let mut schema: Value =
        serde_json::from_str(text).map_err(|error| bad(format!("is no JSON: {error}")))?;
    let Value::Object(fields) = &mut schema else { return Err(bad("is no object".into())) };
    fields.insert(
        "x-guidance".into(),
        json!({ "whitespace_flexible": false, "item_separator": ",", "key_separator": ":" }),
    );
    Ok(schema)
}

/// Tokens with one of which a grammar lets a text end: the one with the highest id, whatever the model's own
/// configuration says. As in toktrie_hf_tokenizers 1.9; where there is none it would take token 0, which is text.
pub(super) const ENDS: [&str; 5] =
    ["</s>", "<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<eos>"];

/// A constraint for a model without any of [`ENDS`].
pub(super) fn endless() -> EngineFailure {
    let known = ENDS.join(", ");
    failure(
        Kind::BadConstraint,
        format!("this model cannot be constrained: its tokenizer has none of {known}"),
    )
}

/// How tokens are chosen, at most `room` of them. The library takes no temperature for one. `end` ends the
/// text besides what the model's configuration names.
pub(super) fn sampling(sampling: &Sampling, room: usize, end: Option<u32>) -> SamplingParams {
    let wanted = usize::try_from(sampling.max_tokens).unwrap_or(usize::MAX);
    SamplingParams {
        temperature: Some(sampling.temperature),
        top_p: Some(sampling.top_p),
        max_len: Some(wanted.min(room)),
        stop_toks: end.map(|end| StopTokens::Ids(vec![end])),
        ..SamplingParams::neutral()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_forbid_white_space() {
        let schema = schema(r#"{"type":"object"}"#).unwrap();
        assert_eq!(schema["x-guidance"]["whitespace_flexible"], false);
        assert_eq!(schema["type"], "object");
    }

    #[test]
    fn what_is_no_schema_is_a_bad_constraint() {
        for text in ["", "{", "[]", "true"] {
            assert_eq!(schema(text).unwrap_err().kind, Kind::BadConstraint, "{text}");
        }
    }
}
