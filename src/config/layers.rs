//! The sources a configuration is laid together from: the file, the environment, the flags.

use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use serde_json::Value as Json;

use super::tree::Schema;
use crate::problem::Problem;
use crate::secret::is_secret;

/// What a variable's name starts with.
const PREFIX: &str = "EDGEFEED__";
/// Largest configuration or secret file read, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Everything a configuration may come from, weakest first.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The TOML file, if one is named.
    pub file: Option<PathBuf>,
    /// Environment variables as name and value; those without our prefix are passed over.
    pub env: Vec<(String, String)>,
    /// `section.key` and value of each flag.
    pub flags: Vec<(String, String)>,
}

impl Inputs {
    /// The file and flags given, and this process's environment.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self { file, env, flags }
    }
}

/// One source with the values it gives. Its name is kept by figment for each value that wins.
pub(super) struct Layer {
    source: String,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// All layers of the inputs, weakest first, and what is wrong with them.
pub(super) fn layers(inputs: &Inputs, schema: &Schema) -> (Vec<Layer>, Vec<Problem>) {
    let mut layers = Vec::new();
    let mut problems = Vec::new();
    let mut keep = |result: Result<Option<Layer>, Problem>| match result {
        Ok(layer) => layers.extend(layer),
        Err(problem) => problems.push(problem),
    };
    if let Some(path) = &inputs.file {
        keep(file(path).map(Some));
    }
    for (name, raw) in &inputs.env {
        keep(variable(name, raw, inputs, schema));
    }
    for (key, raw) in &inputs.flags {
        keep(flag(key, raw, schema).map(Some));
    }
    (layers, problems)
}

fn file(path: &Path) -> Result<Layer, Problem> {
    let source = format!("file {}", path.display());
    let text = read(path).map_err(|error| {
        Problem::new("", format!("cannot read the file: {error}"), "name a readable TOML file with --config")
            .from(&source)
    })?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        // The parser's message may quote the line, and the line may hold a secret: the place is enough.
        let message = error.message().lines().next().unwrap_or("not TOML").to_owned();
        Problem::new("", format!("line {line}: {message}"), "correct the TOML").from(&source)
    })?;
    match Value::serialize(table) {
        Ok(Value::Dict(_, values)) => Ok(Layer { source, values }),
        _ => Err(Problem::new("", "is not a table", "write [section] and key = value").from(source)),
    }
}

fn variable(name: &str, raw: &str, inputs: &Inputs, schema: &Schema) -> Result<Option<Layer>, Problem> {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Ok(None) };
    let source = format!("env {name}");
    let key = rest.split("__").collect::<Vec<_>>().join(".").to_ascii_lowercase();
    let Some(secret) = key.strip_suffix("_file").filter(|key| is_secret(key)) else {
        return Ok(Some(layer(source, &key, raw, schema)));
    };
    let direct = name.trim_end_matches("_FILE");
    if inputs.env.iter().any(|(other, _)| other == direct) {
        return Err(
            Problem::new(secret, format!("is given twice, also by {direct}"), "give one of the two").from(source)
        );
    }
    let text = read(Path::new(raw)).map_err(|error| {
        Problem::new(secret, format!("cannot read {raw}: {error}"), "name a readable file").from(&source)
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(Some(layer(source, secret, text, schema)))
}

fn flag(key: &str, raw: &str, schema: &Schema) -> Result<Layer, Problem> {
    let source = format!("flag --set {key}");
    if is_secret(key) {
        // Other users of the machine can read a command line.
        return Err(Problem::new(
            key,
            "a secret is not taken from the command line",
            "give it in the environment, or as a file by its _FILE variable",
        )
        .from(source));
    }
    Ok(layer(source, key, raw, schema))
}

fn layer(source: String, key: &str, raw: &str, schema: &Schema) -> Layer {
    let values = figment::util::nest(key, typed(key, raw, schema.default_of(key)));
    Layer { source, values: values.into_dict().unwrap_or_default() }
}

/// Reads text as the type the key's default has: text stays text even where it looks like a number.
/// What does not fit stays text, so that the error comes with the key's own expectation.
fn typed(key: &str, raw: &str, default: Option<&Json>) -> Value {
    let text = || Value::from(raw);
    if is_secret(key) {
        return text();
    }
    match default {
        // Keys that are absent by default are names and paths.
        Some(Json::String(_) | Json::Null) => text(),
        Some(Json::Bool(_)) => raw.parse::<bool>().map_or_else(|_| text(), Value::from),
        Some(Json::Number(_)) => raw
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| raw.parse::<u64>().map(Value::from))
            .or_else(|_| raw.parse::<f64>().map(Value::from))
            .unwrap_or_else(|_| text()),
        Some(Json::Array(_)) if !raw.trim_start().starts_with('[') => {
            let items = raw.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(Value::from).collect::<Vec<_>>())
        }
        _ => raw.parse().unwrap_or_else(|_| text()),
    }
}

/// A small text file; larger ones are refused before they are read.
fn read(path: &Path) -> Result<String, std::io::Error> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_MAX_BYTES {
        return Err(std::io::Error::other(format!("{size} bytes are more than {FILE_MAX_BYTES}")));
    }
    std::fs::read_to_string(path)
}
