//! Records by number, in pages that snapshots share.

use std::sync::Arc;

const PAGE: usize = 256;

/// A sparse list. A clone costs one pointer per page; a change copies one page at most.
#[derive(Debug)]
pub(crate) struct Pages<T>(Vec<Option<Arc<Page<T>>>>);

type Page<T> = Vec<Option<Arc<T>>>;

impl<T> Clone for Pages<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pages<T> {
    pub(crate) fn get(&self, index: u32) -> Option<&Arc<T>> {
        let index = index as usize;
        self.0.get(index / PAGE)?.as_ref()?.get(index % PAGE)?.as_ref()
    }

    pub(crate) fn set(&mut self, index: u32, value: Arc<T>) {
        let index = index as usize;
        if self.0.len() <= index / PAGE {
            self.0.resize_with(index / PAGE + 1, || None);
        }
        let page = self.0[index / PAGE].get_or_insert_with(|| Arc::new(vec![None; PAGE]));
        Arc::make_mut(page)[index % PAGE] = Some(value);
    }

    pub(crate) fn remove(&mut self, index: u32) {
        let index = index as usize;
        let Some(slot) = self.0.get_mut(index / PAGE) else { return };
        let Some(page) = slot else { return };
        let page = Arc::make_mut(page);
        page[index % PAGE] = None;
        if page.iter().all(Option::is_none) {
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_keeps_what_it_had() {
        let mut pages = Pages::default();
        pages.set(3, Arc::new("a"));
        pages.set(700, Arc::new("b"));
        let before = pages.clone();
        pages.set(3, Arc::new("c"));
        pages.remove(700);
        assert_eq!(before.get(3).map(|value| **value), Some("a"));
        assert_eq!(before.get(700).map(|value| **value), Some("b"));
        assert_eq!(pages.get(3).map(|value| **value), Some("c"));
        assert_eq!(pages.get(700), None);
        assert_eq!(pages.get(90_000), None);
        // The empty page is gone.
        assert!(pages.0[700 / PAGE].is_none());
    }
}
