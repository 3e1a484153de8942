//! What a model is told: the contract first, then the code, the failing tests, and what was tried.
//!
//! What stays the same from call to call comes first, so that a model which keeps what it has read need
//! not read it again. The same fault gives the same prompt. All that files and tests say is quoted.

mod earlier;
mod pieces;
mod words;

#[cfg(test)]
mod tests;

use greenlit_repair::Fault;

pub(crate) use self::earlier::Earlier;
use self::pieces::{Piece, code, outputs};
use crate::contract::Plan;
use crate::model::{Message, Model, ModelError, Role};

/// Tokens that chat templates add to each message, at most.
const TEMPLATE: usize = 16;
/// Part of the room that earlier attempts may take.
const EARLIER: usize = 4;

/// The part of a prompt that stays the same for all calls about one fault.
pub(crate) struct Prompt<'a> {
    model: &'a dyn Model,
    system: String,
    fault: String,
    /// Tokens left for what changes.
    left: usize,
}

/// What the reply has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Plan,
    Patch,
}

impl<'a> Prompt<'a> {
    /// Chooses what the context has room for, when `reply` tokens are kept for the reply.
    pub(crate) fn new(
        model: &'a dyn Model,
        fault: &Fault<'_>,
        plan: Option<&Plan>,
        step: Step,
        reply: usize,
    ) -> Result<Self, ModelError> {
        let system = words::system(step);
        let context = model.context_tokens();
        let count = |text: &str| model.count_tokens(text) + TEMPLATE;
        let frame = count(&system) + count(&words::task(step)) + reply;
        let room = context.saturating_sub(frame);
        let keep = room / EARLIER;
        let (mut pieces, tests) = (code(fault, plan), outputs(fault));
        // Without the first function and the first failing test there is nothing to say.
        let vital: Vec<Piece> = pieces.extract_if(..1.min(pieces.len()), |_| true).collect();
        let vital = vital.into_iter().chain(tests.first().cloned());
        let mut chosen: Vec<Piece> = Vec::new();
        let mut taken = 0;
        for piece in vital {
            taken += count(&piece.text);
            chosen.push(piece);
        }
        if taken > room {
            return Err(ModelError::TooLong { tokens: frame + taken, context });
        }
        pieces.extend(tests.into_iter().skip(1));
        // What is most useful per token first; ties as they come.
        let mut offered: Vec<(usize, Piece)> =
            pieces.into_iter().map(|piece| (count(&piece.text).max(1), piece)).collect();
        let worth = |(tokens, piece): &(usize, Piece)| {
            // Lossless: nobody has 2^52 tokens.
            piece.useful / (*tokens as f64)
        };
        offered.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        for (tokens, piece) in offered {
            if taken + tokens + keep <= room {
                taken += tokens;
                chosen.push(piece);
            }
        }
        chosen.sort_by_key(|piece| piece.order);
        let fault = chosen.iter().map(|piece| piece.text.as_str()).collect();
        Ok(Self { model, system, fault, left: room - taken })
    }

    /// The messages of a call. Of what was tried the latest is told, as far as there is room.
    pub(crate) fn messages(&self, step: Step, earlier: &[Earlier]) -> Vec<Message> {
        let mut told = Vec::new();
        let mut left = self.left;
        for attempt in earlier.iter().rev() {
            let text = attempt.text(told.len() + 1);
            let tokens = self.model.count_tokens(&text);
            if tokens > left {
                break;
            }
            left -= tokens;
            told.push(text);
        }
        let mut content = self.fault.clone();
        if !told.is_empty() {
            content.push_str(words::EARLIER);
            content.extend(told);
        }
        content.push_str(&words::task(step));
        vec![
            Message { role: Role::System, content: self.system.clone() },
            Message { role: Role::User, content },
        ]
    }
}
