//! `edgefeed check`: whether a configuration can stand, where each value came from, and whether everybody it names
//! answers.

use serde_json::{Value, json};

use super::args::{CheckArgs, Output};
use super::table::tame;
use super::{out, runtime};
use crate::config::{Setting, load};
use crate::failure::Failure;
use crate::probe::{self, Probe};

pub(super) fn run(args: CheckArgs) -> Result<(), Failure> {
    let loaded = match load(&args.common.sources.into_inputs()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            if args.common.output == Output::Json {
                out::json(&json!({ "ok": false, "problems": problems }))?;
            }
            return Err(Failure::config(&problems));
        }
    };
    if !args.probe {
        return match args.common.output {
            Output::Text => out::text(&table(&loaded.settings)),
            Output::Json => out::json(&json!({ "ok": true, "values": loaded.settings })),
        };
    }
    let probes = runtime()?.block_on(probe::all(&loaded.config));
    let dead: Vec<_> = probes.iter().filter(|probe| !probe.ok).map(|probe| probe.dependency).collect();
    match args.common.output {
        Output::Text => out::text(&(table(&loaded.settings) + &answers(&probes)))?,
        Output::Json => {
            let ok = dead.is_empty();
            out::json(&json!({ "ok": ok, "values": loaded.settings, "dependencies": probes }))?;
        }
    }
    match dead.as_slice() {
        [] => Ok(()),
        dead => {
            Err(Failure::failed(format!("{} does not do its part; each line says why and what to do", dead.join(", "))))
        }
    }
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

/// A line a party.
fn answers(probes: &[Probe]) -> String {
    let line = |probe: &Probe| {
        let Probe { dependency, ok, detail, mend, took_ms } = probe;
        let state = if *ok { "ok  " } else { "FAIL" };
        let mend = if mend.is_empty() { String::new() } else { format!("; {mend}") };
        format!("{state}  {dependency:<10}  {took_ms:>6} ms  {}{mend}\n", tame(detail))
    };
    probes.iter().map(line).collect()
}

/// Text stands without quotes where that is clear.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_party_has_one_line_with_its_time_and_the_mend() {
        let probe = |dependency, ok, detail: &str, mend: &str| Probe {
            dependency,
            ok,
            detail: detail.to_owned(),
            mend: mend.to_owned(),
            took_ms: 12,
        };
        let probes = [probe("kafka", true, "1 topic", ""), probe("postgres", false, "no\nanswer", "see postgres.url")];
        let expected =
            "ok    kafka           12 ms  1 topic\nFAIL  postgres        12 ms  no\\nanswer; see postgres.url\n";
        assert_eq!(answers(&probes), expected);
    }
}
