//! `edgefeed check`: whether a configuration can stand, and where each value came from.

use serde_json::{Value, json};

use super::args::{CheckArgs, Output};
use super::out;
use crate::config::{Setting, load};
use crate::failure::Failure;

pub(super) fn run(args: CheckArgs) -> Result<(), Failure> {
    let outcome = load(&args.sources.into_inputs());
    match (&outcome, args.output) {
        (Ok(loaded), Output::Text) => out::text(&table(&loaded.settings))?,
        (Ok(loaded), Output::Json) => out::json(&json!({ "ok": true, "values": loaded.settings }))?,
        (Err(problems), Output::Json) => out::json(&json!({ "ok": false, "problems": problems }))?,
        (Err(_), Output::Text) => {}
    }
    outcome.map(drop).map_err(|problems| Failure::config(&problems))
}

/// Key, value and source in columns.
fn table(settings: &[Setting]) -> String {
    let rows: Vec<_> = settings.iter().map(|row| (&row.key, shown(&row.value), &row.source)).collect();
    let keys = rows.iter().map(|(key, _, _)| key.len()).max().unwrap_or(0);
    let values = rows.iter().map(|(_, value, _)| value.len()).max().unwrap_or(0).min(48);
    let mut table = String::new();
    for (key, value, source) in rows {
        table.push_str(&format!("{key:keys$}  {value:values$}  {source}\n"));
    }
    table.push_str("the configuration is valid\n");
    table
}

/// Text stands without quotes where that is clear.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}
