//! Lists of neighbours, one behind the other.

/// For each of some places the nodes that it leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// Where the list of each place begins, and the end of the last one.
    pub(super) starts: Vec<u32>,
    pub(super) targets: Vec<u32>,
}

impl Links {
    /// # Errors
    /// When there are more links than 32 bits count.
    pub(super) fn new(lists: &[Vec<u32>]) -> Result<Self, std::num::TryFromIntError> {
        let mut starts = vec![0];
        let mut targets = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        for list in lists {
            targets.extend_from_slice(list);
            starts.push(u32::try_from(targets.len())?);
        }
        Ok(Self { starts, targets })
    }

    pub(super) fn of(&self, place: usize) -> &[u32] {
        &self.targets[self.starts[place] as usize..self.starts[place + 1] as usize]
    }

    pub(super) fn places(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.starts.as_slice()) + size_of_val(self.targets.as_slice())
    }

    /// Whether every list lies inside and every target is one of `nodes` nodes.
    pub(super) fn is_sound(&self, nodes: usize) -> bool {
        self.starts.first() == Some(&0)
            && self.starts.is_sorted()
            && self.starts.last().is_some_and(|end| *end as usize == self.targets.len())
            && self.targets.iter().all(|target| (*target as usize) < nodes)
    }
}

/// An upper layer: few nodes have a list there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layer {
    /// In ascending order.
    pub(super) nodes: Vec<u32>,
    pub(super) links: Links,
}

impl Layer {
    pub(super) fn of(&self, node: u32) -> &[u32] {
        match self.nodes.binary_search(&node) {
            Ok(place) => self.links.of(place),
            Err(_) => &[],
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.nodes.as_slice()) + self.links.bytes()
    }

    pub(super) fn is_sound(&self, nodes: usize) -> bool {
        self.nodes.is_sorted_by(|a, b| a < b)
            && self.nodes.last().is_none_or(|last| (*last as usize) < nodes)
            && self.links.is_sound(nodes)
            && self.links.places() == self.nodes.len()
    }
}
