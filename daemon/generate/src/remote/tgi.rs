//! TGI's own protocol. What it answers has several shapes: events with a token each, one object, and a
//! list with one object in it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::EndpointError;
use super::stream::Step;
use crate::model::{Constraint, Finish, Request, Usage};

/// A request, with the optional members that `unknown` does not name.
pub(super) fn body(request: &Request<'_>, unknown: &dyn Fn(&str) -> bool) -> Value {
    let sampling = request.sampling;
    let messages: Vec<_> = request.messages.iter().map(|m| m.content.as_str()).collect();
    let mut parameters = json!({
        "max_new_tokens": sampling.max_tokens,
        "return_full_text": false,
        "do_sample": sampling.temperature > 0.0,
    });
    if sampling.temperature > 0.0 {
        // Both ends are refused.
        parameters["temperature"] = json!(sampling.temperature);
        parameters["top_p"] = json!(sampling.top_p.clamp(0.01, 0.99));
    }
    if !unknown("seed") {
        parameters["seed"] = json!(sampling.seed);
    }
    if let Constraint::JsonSchema(schema) = request.constraint
        && !unknown("grammar")
        && let Ok(schema) = serde_json::from_str::<Value>(schema)
    {
        parameters["grammar"] = json!({"type": "json", "value": schema});
    }
    json!({"inputs": messages.join("\n"), "parameters": parameters, "stream": true})
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<Token>,
    #[serde(default)]
    generated_text: Option<String>,
    #[serde(default)]
    details: Option<Details>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    text: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    generated_tokens: u64,
}

/// What one event, or a whole answer, says.
pub(super) fn steps(data: &str) -> Result<Vec<Step>, EndpointError> {
    let malformed = |error: serde_json::Error| EndpointError::Malformed(error.to_string());
    let mut value: Value = serde_json::from_str(data).map_err(malformed)?;
    if let Value::Array(all) = value {
        let first = all.into_iter().next();
        value = first.ok_or_else(|| EndpointError::Malformed("an empty list".to_owned()))?;
    }
    let answer: Answer = serde_json::from_value(value).map_err(malformed)?;
    if let Some(error) = answer.error {
        return Err(EndpointError::Malformed(error));
    }
    let mut steps = Vec::new();
    let streamed = answer.token.is_some();
    let token = answer.token.filter(|token| !token.special).map(|token| token.text);
    // At the end of a stream the whole text comes once more.
    let whole = answer.generated_text.clone().filter(|_| !streamed);
    steps.extend(token.or(whole).filter(|text| !text.is_empty()).map(Step::Piece));
    if answer.generated_text.is_some() {
        let details = answer.details.as_ref();
        let reason = details.and_then(|details| details.finish_reason.as_deref());
        let finish = if reason == Some("length") { Finish::Length } else { Finish::Stop };
        steps.push(Step::Finish(finish));
    }
    if let Some(details) = answer.details {
        // The length of the prompt it does not tell.
        let completion_tokens = details.generated_tokens;
        steps.push(Step::Usage(Usage { prompt_tokens: 0, completion_tokens, estimated: true }));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_shape_say_the_same() {
        let whole = [Step::Piece("ab".into()), Step::Finish(Finish::Stop)];
        assert_eq!(steps(r#"{"generated_text":"ab"}"#).unwrap(), whole);
        assert_eq!(steps(r#"[{"generated_text":"ab","details":null}]"#).unwrap(), whole);
        let token = r#"{"index":1,"token":{"id":5,"text":"a","logprob":-1.0,"special":false},"generated_text":null,"details":null}"#;
        assert_eq!(steps(token).unwrap(), [Step::Piece("a".into())]);
        let last = r#"{"token":{"id":2,"text":"</s>","special":true},"generated_text":"ab","details":{"finish_reason":"length","generated_tokens":2}}"#;
        let usage = Usage { prompt_tokens: 0, completion_tokens: 2, estimated: true };
        assert_eq!(steps(last).unwrap(), [Step::Finish(Finish::Length), Step::Usage(usage)]);
        let error = r#"{"error":"Input validation error","error_type":"validation"}"#;
        assert!(steps(error).unwrap_err().to_string().contains("Input validation error"));
        assert!(steps("[]").is_err() && steps("no").is_err() && steps("7").is_err());
    }
}
