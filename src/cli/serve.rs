//! `edgefeed serve`: the node.

use super::args::Sources;
use super::{log, runtime};
use crate::config::load;
use crate::failure::Failure;

pub(super) fn run(sources: Sources) -> Result<(), Failure> {
    let inputs = sources.into_inputs();
    let loaded = load(&inputs).map_err(|problems| Failure::config(&problems))?;
    log::start(&loaded.config.log)?;
    runtime()?.block_on(crate::node::run(inputs, loaded))
}
