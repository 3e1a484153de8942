//! What this endpoint takes of what others take. Found out by its refusals, not assumed.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::{Endpoint, EndpointError};
use crate::model::{Constraint, Request};

/// Members that an endpoint may not know. The first is dropped where a refusal names none of them.
const OPTIONAL: [&str; 4] = ["response_format", "stream_options", "seed", "max_tokens"];

type Names = BTreeSet<&'static str>;

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Dialect {
    unknown: Mutex<Names>,
    /// Members of the last request.
    sent: Mutex<Names>,
}

impl Dialect {
    /// A request in this dialect.
    pub(super) fn body(&self, endpoint: &Endpoint, request: &Request<'_>) -> Value {
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
            optional
                .push(("response_format", json!({"type": "json_schema", "json_schema": named})));
        }
        let unknown = lock(&self.unknown);
        let mut sent = BTreeSet::new();
        for (name, value) in optional {
            if !unknown.contains(name) {
                body[name] = value;
                sent.insert(name);
            } else if name == "max_tokens" {
                // What replaced it.
                body["max_completion_tokens"] = value;
            }
        }
        *lock(&self.sent) = sent;
        body
    }

    /// Whether a refusal says what to leave out the next time.
    pub(super) fn learns(&self, error: &EndpointError) -> bool {
        let EndpointError::Refused { status: 400 | 422 | 501, said } = error else { return false };
        let sent = lock(&self.sent).clone();
        let named = OPTIONAL.iter().find(|name| sent.contains(**name) && said.contains(**name));
        let first = OPTIONAL.iter().take(1).find(|name| sent.contains(**name));
        match named.or(first) {
            Some(name) => lock(&self.unknown).insert(name),
            None => false,
        }
    }
}

fn lock(set: &Mutex<Names>) -> MutexGuard<'_, Names> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
