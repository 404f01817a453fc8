//! From the sources to a checked [`Config`], with every value's source at hand.

use std::collections::{BTreeMap, BTreeSet};

use figment::Figment;
use figment::value::Value;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::Config;
use super::layers::{Inputs, layers};
use super::tree::{Schema, leaves};
use crate::problem::Problem;
use crate::secret::{REDACTED, SECRET_KEYS, is_secret};

/// A configuration that may be used, and where each value of it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Every key with its value and source, by key. Secrets are redacted.
    pub settings: Vec<Setting>,
    /// The secrets that were given, to tell whether one has changed.
    secrets: BTreeMap<&'static str, SecretString>,
}

impl Loaded {
    /// The keys that differ between this and another configuration. Of a secret, only that it does.
    pub fn differences(&self, other: &Self) -> BTreeSet<String> {
        let values = |loaded: &Self| -> BTreeMap<String, serde_json::Value> {
            loaded.settings.iter().map(|row| (row.key.clone(), row.value.clone())).collect()
        };
        let (here, there) = (values(self), values(other));
        let keys = here.keys().chain(there.keys()).filter(|key| here.get(*key) != there.get(*key));
        let secret = |loaded: &Self, key: &str| loaded.secrets.get(key).map(|text| text.expose_secret().to_owned());
        let changed = SECRET_KEYS.into_iter().filter(|key| secret(self, key) != secret(other, key));
        keys.cloned().chain(changed.map(str::to_owned)).collect()
    }
}

/// One key of a loaded configuration.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// The value that won; of a secret only whether it is set.
    pub value: serde_json::Value,
    /// `default`, `file …`, `env …` or `flag …`.
    pub source: String,
}

/// Lays the sources together and checks the whole.
///
/// # Errors
/// All problems found, each with its key, source and mend. Values of secrets are never part of one.
pub fn load(inputs: &Inputs) -> Result<Loaded, Vec<Problem>> {
    let schema = Schema::of(&Config::default(), &SECRET_KEYS);
    let (layers, mut problems) = layers(inputs, &schema);
    let figment = layers.into_iter().fold(Figment::new(), Figment::merge);
    let mut root = figment.find_value("").unwrap_or_else(|_| Value::from(figment::value::Dict::new()));

    for key in leaves(&root).into_keys().filter(|key| !schema.knows(key)) {
        problems.push(unknown(&key, &schema).from(source(&figment, &key)));
        // An unknown section goes whole: what is left of it would be reported again.
        let whole = key.match_indices('.').map(|(at, _)| &key[..at]).find(|above| !schema.knows(above));
        remove(&mut root, whole.unwrap_or(&key).split('.'));
    }
    let config = extract(root, &figment, &schema, &mut problems);
    if let Err(found) = config.check() {
        // A value that could not be read stands at its default here; one line about it is enough.
        let fresh = found.into_iter().filter(|new| problems.iter().all(|old| old.key != new.key));
        let fresh: Vec<_> = fresh.map(|problem| sourced(problem, &figment)).collect();
        problems.extend(fresh);
    }
    if problems.is_empty() {
        let settings = settings(&config, &figment);
        Ok(Loaded { config, settings, secrets: secrets(&figment) })
    } else {
        Err(problems)
    }
}

/// Reads the values into their types. A value that does not fit is noted and left at its default, so that the
/// others are still read.
fn extract(mut root: Value, figment: &Figment, schema: &Schema, problems: &mut Vec<Problem>) -> Config {
    loop {
        let error = match root.deserialize::<Config>() {
            Ok(config) => return config,
            Err(error) => error,
        };
        let key = error.path.join(".");
        problems.push(misfit(&key, &error.kind, schema).from(source(figment, &key)));
        if !remove(&mut root, error.path.iter().map(String::as_str)) {
            return Config::default();
        }
    }
}

fn misfit(key: &str, kind: &figment::error::Kind, schema: &Schema) -> Problem {
    let message = if is_secret(key) { "must be text".to_owned() } else { kind.to_string() };
    let mend = match schema.default_of(key) {
        Some(default) if !is_secret(key) => format!("give a value like the default, {default}"),
        _ => "see edgefeed.example.toml".to_owned(),
    };
    Problem::new(key, message, mend)
}

fn unknown(key: &str, schema: &Schema) -> Problem {
    let mend = match schema.nearest(key) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "remove it, or see edgefeed.example.toml for the keys there are".to_owned(),
    };
    Problem::new(key, "there is no such key", mend)
}

fn settings(config: &Config, figment: &Figment) -> Vec<Setting> {
    let mut values = leaves(config);
    for key in SECRET_KEYS.iter().filter(|key| figment.contains(key)) {
        // A component may leave its secret out, or show that there is one; whatever else stands there is not shown.
        let value = values.entry((*key).to_owned()).or_insert_with(|| REDACTED.into());
        if value.as_str() != Some("") {
            *value = REDACTED.into();
        }
    }
    values.into_iter().map(|(key, value)| Setting { source: source(figment, &key), value, key }).collect()
}

fn secrets(figment: &Figment) -> BTreeMap<&'static str, SecretString> {
    let given = |key: &'static str| {
        let value = figment.find_value(key).ok()?;
        Some((key, SecretString::from(value.as_str()?)))
    };
    SECRET_KEYS.into_iter().filter_map(given).collect()
}

fn sourced(problem: Problem, figment: &Figment) -> Problem {
    let source = source(figment, &problem.key);
    problem.from(source)
}

/// The source of a key, or of the nearest table above it that a source gave.
fn source(figment: &Figment, key: &str) -> String {
    let mut key = key;
    loop {
        if let Some(metadata) = figment.find_metadata(key).filter(|_| !key.is_empty()) {
            return metadata.name.to_string();
        }
        match key.rsplit_once('.') {
            // A section's own tag is that of whichever source came last: no answer for a key nobody gave.
            Some((above, _)) if above.contains('.') => key = above,
            _ => return "default".to_owned(),
        }
    }
}

/// Takes a value out of a tree; where the path goes on below a leaf (an item of a list), the leaf goes.
fn remove<'p>(root: &mut Value, path: impl IntoIterator<Item = &'p str>) -> bool {
    let mut table = match root {
        Value::Dict(_, table) => table,
        _ => return false,
    };
    let mut path = path.into_iter().peekable();
    while let Some(key) = path.next() {
        let deeper = path.peek().is_some() && matches!(table.get(key), Some(Value::Dict(..)));
        if !deeper {
            return table.remove(key).is_some();
        }
        match table.get_mut(key) {
            Some(Value::Dict(_, inner)) => table = inner,
            _ => return false,
        }
    }
    false
}
