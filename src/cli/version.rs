//! `edgefeed version`.

use serde_json::json;

use super::args::{Output, VersionArgs};
use super::out;
use crate::failure::Failure;

pub(super) fn run(args: &VersionArgs) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    match args.output {
        Output::Text => out::text(&format!("edgefeed {version} ({arch}-{os})\n")),
        Output::Json => out::json(&json!({ "name": "edgefeed", "version": version, "arch": arch, "os": os })),
    }
}
