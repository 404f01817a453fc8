//! A configuration as a flat list of `section.key` and value.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// The leaves of anything serialisable, by dotted path. A list is a leaf, and so is an empty table.
pub(super) fn leaves<T: Serialize>(tree: &T) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    // A configuration has string keys and finite numbers only, so this cannot fail; were it to, no key would be known.
    let root = serde_json::to_value(tree).unwrap_or_default();
    gather(String::new(), root, &mut found);
    found
}

fn gather(path: String, value: Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(table) if !table.is_empty() || path.is_empty() => {
            for (key, value) in table {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                gather(path, value, found);
            }
        }
        leaf => {
            found.insert(path, leaf);
        }
    }
}

/// The keys a configuration may have, with their defaults.
#[derive(Debug)]
pub(super) struct Schema(BTreeMap<String, Value>);

impl Schema {
    pub(super) fn of<T: Serialize>(defaults: &T, secrets: &[&str]) -> Self {
        let mut keys = leaves(defaults);
        for key in secrets {
            // Only secrets of sections that exist: a section may come with a later release.
            let section = key.split('.').next().unwrap_or_default();
            if keys.keys().any(|known| known.split('.').next() == Some(section)) {
                keys.entry((*key).to_owned()).or_insert_with(|| Value::String(String::new()));
            }
        }
        Self(keys)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn default_of(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Whether a key exists, is a section, or lies below a table whose keys are free (one that is empty or absent
    /// by default).
    pub(super) fn knows(&self, key: &str) -> bool {
        let is_section = |known: &str| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        self.0.contains_key(key)
            || self.keys().any(is_section)
            || key.match_indices('.').any(|(at, _)| {
                self.0
                    .get(&key[..at])
                    .is_some_and(|value| value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty))
            })
    }

    /// The known key most like an unknown one, for the mend of a typing mistake.
    pub(super) fn nearest(&self, key: &str) -> Option<&str> {
        self.keys()
            .map(|known| (distance(known, key), known))
            .min()
            .filter(|(distance, _)| *distance <= 3.max(key.len() / 4))
            .map(|(_, known)| known)
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
