//! From the builder's linked points to arrays of numbers.

use roaring::RoaringBitmap;

use super::build::{BuildError, Builder};
use super::links::{Layer, Links};
use super::{Graph, Seen};
use crate::vectors::Vectors;

impl Graph {
    /// Copies the links. `slots` are the members in ascending order.
    pub(super) fn freeze<V: Vectors + ?Sized>(
        builder: &Builder<'_, V>,
        members: RoaringBitmap,
        slots: Vec<u32>,
    ) -> Result<Self, BuildError> {
        let points = builder.get_point_indexation();
        let top = usize::from(points.get_max_level_observed());
        let node = |slot: usize| {
            let place = slots.partition_point(|s| (*s as usize) < slot);
            u32::try_from(place).expect("a set of 32-bit numbers was inserted, each once")
        };
        let mut base = vec![Vec::new(); slots.len()];
        let mut upper: Vec<Vec<(u32, Vec<u32>)>> = vec![Vec::new(); top];
        let mut entry = None;
        for level in 0..=top {
            for point in points.get_layer_iterator(level) {
                let here = node(point.get_origin_id());
                if level == top {
                    entry.get_or_insert(here);
                }
                let lists = point.get_neighborhood_id();
                for (layer, list) in lists.iter().take(level + 1).enumerate() {
                    let near = list.iter().filter(|near| usize::from(near.p_id.0) >= layer);
                    let near = near.map(|near| node(near.d_id)).collect();
                    match layer {
                        0 => base[here as usize] = near,
                        layer => upper[layer - 1].push((here, near)),
                    }
                }
            }
        }
        let entry = entry.ok_or(BuildError::Builder)?;
        connect(&mut base, entry);
        let links = |lists: &[Vec<u32>]| Links::new(lists).map_err(|_| BuildError::TooLarge);
        let upper = upper.into_iter().map(|mut layer| {
            layer.sort_unstable_by_key(|(node, _)| *node);
            let (nodes, lists): (Vec<_>, Vec<_>) = layer.into_iter().unzip();
            Ok(Layer { nodes, links: links(&lists)? })
        });
        let upper = upper.collect::<Result<_, BuildError>>()?;
        Ok(Self { members, slots, base: links(&base)?, upper, entry })
    }
}

/// Makes every node reachable from `entry`: the builder drops the farthest neighbours of a full list,
/// and one or two nodes in a thousand are then in nobody's list.
fn connect(lists: &mut [Vec<u32>], entry: u32) {
    let mut reached = Seen::new(lists.len());
    spread(lists, &mut reached, entry);
    for node in 0..lists.len() as u32 {
        if reached.has(node) {
            continue;
        }
        // Its own list is sorted, nearest first.
        let near = lists[node as usize].iter().copied().find(|near| reached.has(*near));
        lists[near.unwrap_or(entry) as usize].push(node);
        spread(lists, &mut reached, node);
    }
}

/// Marks what `from` leads to.
fn spread(lists: &[Vec<u32>], reached: &mut Seen, from: u32) {
    reached.first_time(from);
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        open.extend(lists[node as usize].iter().copied().filter(|next| reached.first_time(*next)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_in_nobodys_list_get_into_that_of_a_neighbour() {
        // 3 and 4 know each other and 4 knows 1; 5 knows nobody.
        let mut lists = vec![vec![1], vec![0, 2], vec![1], vec![4], vec![3, 1], vec![]];
        connect(&mut lists, 0);
        let mut reached = Seen::new(lists.len());
        spread(&lists, &mut reached, 0);
        assert!((0..6).all(|node| reached.has(node)));
        assert_eq!(lists[0], [1, 3, 5]);
    }
}
