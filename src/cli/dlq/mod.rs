//! `edgefeed dlq`: the records that could not be used. Those of this node's own store, and those in Kafka.

mod kafka;
mod store;
mod text;

use super::args::DlqVerb;
use crate::failure::Failure;

pub(super) fn run(verb: DlqVerb) -> Result<(), Failure> {
    match verb {
        DlqVerb::List(args) => store::list(args),
        DlqVerb::Show(args) => store::show(args),
        DlqVerb::Accept(args) => store::accept(args),
        DlqVerb::Replay(args) => kafka::replay(args),
        DlqVerb::Drop(args) => store::drop_some(args),
    }
}
