//! Events that wait for a slow reader: newer ones replace older ones that they make obsolete, so
//! that the queue stays as short as there are roots and the connection is read without a pause.

use std::collections::VecDeque;

use greenlit_protocol::{Event, ProgressStage};

/// Beyond this many waiting events the oldest progress is dropped, then the oldest event.
const LIMIT: usize = 1024;

/// Waiting events, oldest first.
#[derive(Debug, Default)]
pub(crate) struct EventQueue(VecDeque<Event>);

impl EventQueue {
    pub(crate) fn push(&mut self, event: Event) {
        self.0.retain(|waiting| !replaces(&event, waiting));
        if self.0.len() >= LIMIT {
            let progress = |event: &Event| matches!(event, Event::Progress { .. });
            let oldest = self.0.iter().position(progress).unwrap_or(0);
            self.0.remove(oldest);
        }
        self.0.push_back(event);
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.0.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn replaces(new: &Event, old: &Event) -> bool {
    match (new, old) {
        (Event::Findings { root, .. }, Event::Findings { root: old, .. })
        | (Event::Root { root, .. }, Event::Root { root: old, .. }) => root == old,
        (
            Event::Progress { root, request, stage: ProgressStage::Report { .. } },
            Event::Progress {
                root: old,
                request: old_request,
                stage: ProgressStage::Report { .. },
            },
        ) => root == old && request == old_request,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use greenlit_protocol::RootPhase;

    use super::*;

    fn findings(root: &str, revision: u64) -> Event {
        Event::Findings { root: root.into(), revision, findings: Vec::new() }
    }

    #[test]
    fn newer_findings_of_a_root_replace_waiting_ones() {
        let mut queue = EventQueue::default();
        queue.push(findings("/a", 1));
        queue.push(findings("/b", 1));
        queue.push(Event::Root { root: "/a".into(), phase: RootPhase::Idle });
        queue.push(findings("/a", 2));
        assert_eq!(queue.pop(), Some(findings("/b", 1)));
        assert_eq!(queue.pop(), Some(Event::Root { root: "/a".into(), phase: RootPhase::Idle }));
        assert_eq!(queue.pop(), Some(findings("/a", 2)));
        assert!(queue.is_empty());
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut queue = EventQueue::default();
        for index in 0..LIMIT + 5 {
            queue.push(findings(&format!("/{index}"), 1));
        }
        assert_eq!(queue.0.len(), LIMIT);
        assert_eq!(queue.pop(), Some(findings("/5", 1)));
    }
}
