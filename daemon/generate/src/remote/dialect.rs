//! What this endpoint takes of what others take. Found out by its refusals, not assumed.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::{Endpoint, EndpointError, Protocol, tgi};
use crate::model::{Constraint, Request};

/// Members that an endpoint may not know. Where a refusal names none of them, it is the constraint.
const OPTIONAL: [&str; 6] =
    ["response_format", JSON_OBJECT, "grammar", "stream_options", "seed", "max_tokens"];
/// Those that say what a reply has to look like.
const CONSTRAINTS: usize = 3;
/// An older form of `response_format`, with the schema beside the type (llama-cpp-python).
const JSON_OBJECT: &str = "json_object";

/// Members by name.
pub(super) type Names = BTreeSet<&'static str>;

/// How endpoints say that there are too many tokens.
const TOO_MUCH: [&str; 5] = ["too large", "too long", "exceed", "context length", "context window"];

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Dialect {
    unknown: Mutex<Names>,
}

impl Dialect {
    /// A request in this dialect, and which optional members it has.
    pub(super) fn body(&self, endpoint: &Endpoint, request: &Request<'_>) -> (Value, Names) {
        if endpoint.protocol == Protocol::Tgi {
            let body = tgi::body(request, &|name| lock(&self.unknown).contains(name));
            let sent = OPTIONAL.into_iter().filter(|name| body["parameters"].get(*name).is_some());
            let sent = sent.collect();
            return (body, sent);
        }
        let sampling = request.sampling;
        let mut body = json!({
            "model": endpoint.model,
            "messages": request.messages,
            "stream": true,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        });
        let mut optional = vec![
            ("stream_options", json!({"include_usage": true})),
            ("seed", json!(sampling.seed)),
            ("max_tokens", json!(sampling.max_tokens)),
        ];
        if let Constraint::JsonSchema(schema) = request.constraint
            && let Ok(schema) = serde_json::from_str::<Value>(schema)
        {
            let named = json!({"name": "reply", "strict": true, "schema": schema});
            optional.extend([
                ("response_format", json!({"type": "json_schema", "json_schema": named})),
                (JSON_OBJECT, json!({"type": "json_object", "schema": schema})),
            ]);
        }
        let unknown = lock(&self.unknown);
        let mut sent = BTreeSet::new();
        for (name, value) in optional {
            if name == JSON_OBJECT && !unknown.contains("response_format") {
                continue;
            }
            if !unknown.contains(name) {
                body[if name == JSON_OBJECT { "response_format" } else { name }] = value;
                sent.insert(name);
            } else if name == "max_tokens" {
                // What replaced it.
                body["max_completion_tokens"] = value;
            }
        }
        (body, sent)
    }

    /// Whether a refusal of a request with these members says what to leave out from now on. A text
    /// that is too long says nothing of that, whatever it names.
    pub(super) fn learns(&self, error: &EndpointError, sent: &Names) -> bool {
        let (said, is_refusal) = match error {
            EndpointError::Refused { status: 400 | 422 | 501, said } => (said, true),
            // Some fail over what they do not know. They say so, or it was something else.
            EndpointError::Failing { said, .. } => (said, false),
            _ => return false,
        };
        let plain = said.to_lowercase();
        if TOO_MUCH.iter().any(|words| plain.contains(words)) {
            return false;
        }
        let named = OPTIONAL.iter().find(|name| sent.contains(**name) && said.contains(**name));
        let first = OPTIONAL.iter().take(CONSTRAINTS).find(|name| sent.contains(**name));
        let first = first.filter(|_| is_refusal || said.contains("response_format"));
        // Another request may have found it out meanwhile: this one had it in it nevertheless.
        named.or(first).is_some_and(|name| {
            lock(&self.unknown).insert(name);
            true
        })
    }
}

fn lock(set: &Mutex<Names>) -> MutexGuard<'_, Names> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
