//! What the worlds promise to those who test with them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod cases;
mod encoding;
mod history;
mod live;

use edgefeed_storage::model::{IdKind, TimestampMs};

use super::{EventFact, Fact, RowFact, What, World, WorldConfig};

const KINDS: [IdKind; 2] = [IdKind::Uuid, IdKind::U64];

fn small(kind: IdKind) -> World {
    World::new(WorldConfig::small(7, kind))
}

fn rows(world: &World) -> Vec<(TimestampMs, RowFact)> {
    let row = |fact: Fact| match fact.what {
        What::Row(row) => Some((fact.time_ms, row)),
        What::Event(_) => None,
    };
    world.history().filter_map(row).collect()
}

fn events(world: &World) -> Vec<(TimestampMs, EventFact)> {
    let event = |fact: Fact| match fact.what {
        What::Event(event) => Some((fact.time_ms, event)),
        What::Row(_) => None,
    };
    world.history().filter_map(event).collect()
}
