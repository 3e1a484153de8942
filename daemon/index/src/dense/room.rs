//! Room for new vectors.

use std::sync::Arc;

use greenlit_store::AppendError;
use greenlit_workspace::chain;

use crate::dense::Model;
use crate::dense::lane::Lane;

/// How many of so many new vectors there is room for, after what can be done for it. What cannot be
/// embedded for want of room is noted.
pub(super) fn room(model: &Model, lane: &Lane, lanes: &[Arc<Lane>], wanted: usize) -> usize {
    let mut room = wanted;
    while room > 0 {
        let more = u32::try_from(room).unwrap_or(u32::MAX);
        let mut free = model.space.room_for(more);
        if let Err(AppendError::Quota { needed, .. }) = free {
            let are_exchanging = lanes.iter().any(|lane| lane.read().is_exchanging());
            make_room(model, lane, lanes, needed, are_exchanging);
            free = model.space.room_for(more);
            // Two models do not fit: the old one goes before what another index needs of the new one. One
            // that is paused would have neither.
            let can_give = |lane: &&Arc<Lane>| {
                let state = lane.read();
                state.is_exchanging() && !state.paused
            };
            let mut givers: Vec<&Arc<Lane>> = lanes.iter().filter(can_give).collect();
            if let Some(own) = givers.iter().position(|giver| std::ptr::eq(&***giver, lane)) {
                givers = vec![givers[own]];
            }
            if free.is_err() && !givers.is_empty() {
                givers.into_iter().for_each(|lane| lane.exchange(true));
                continue;
            }
        }
        let Err(error) = free else { return room };
        room /= 2;
        if room == 0 {
            let why = chain(&error);
            tracing::warn!(why, "no room for vectors");
            lane.write().work_mut().stuck = Some(why);
        }
    }
    room
}

/// Makes room for what a lane needs, without driving out what the others need if `spare`.
fn make_room(model: &Model, lane: &Lane, lanes: &[Arc<Lane>], bytes: u64, spare: bool) {
    // What is in use must not go before what is not, nor as if nobody needed it. Last comes the lane
    // that asks.
    let (own, others): (Vec<_>, Vec<_>) =
        lanes.iter().partition(|other| std::ptr::eq(&***other, lane));
    others.into_iter().chain(own).for_each(|lane| lane.retain(true));
    // A lane that had to make room for others does not drive them out in turn.
    let spare = spare || lane.read().work().evicted;
    let needs = match spare {
        true => lanes.iter().flat_map(|lane| lane.needs()).collect(),
        false => lane.needs(),
    };
    let keep: Vec<_> = needs.iter().map(|(space, owner)| (space, owner)).collect();
    let room = model.store.make_room(bytes, &keep);
    if !room.moved.is_empty() {
        lanes.iter().for_each(|lane| lane.rebind(false));
    }
    if let Err(error) = room.outcome {
        tracing::warn!(error = chain(&error), "no room is made");
    }
}
