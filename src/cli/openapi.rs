//! `edgefeed openapi`: the document that a node gives at `/openapi.json`.

use super::args::OpenapiArgs;
use super::out;
use crate::failure::Failure;
use crate::openapi;

pub(super) fn run(args: &OpenapiArgs) -> Result<(), Failure> {
    out::text(&format!("{}\n", openapi::text(args.ids.into())))
}
