//! The `[node]` section: what this node is.

use edgefeed_storage::model::IdKind;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// The `[node]` section.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// Which kind of ids the deployment uses; one choice, fixed when the store is created.
    pub ids: IdKind,
    /// What the node does besides following Kafka, which every node does.
    pub roles: Vec<Role>,
    /// The cluster the node belongs to; part of consumer groups and of everything that must not be mixed up.
    pub cluster: String,
    /// The node's name in logs and on the status page; empty: the host's name.
    pub name: String,
}

/// One thing a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers readers.
    Serve,
    /// Takes its share of writing to the center.
    Sink,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self { ids: IdKind::Uuid, roles: vec![Role::Serve], cluster: "default".to_owned(), name: String::new() }
    }
}

impl NodeConfig {
    /// The name given, else the host's, else `edgefeed`.
    pub fn display_name(&self) -> String {
        if !self.name.is_empty() {
            return self.name.clone();
        }
        std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "edgefeed".to_owned())
    }

    /// Whether the node has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Notes what cannot stand.
    pub fn check(&self, problems: &mut Vec<Problem>) {
        if self.roles.is_empty() {
            problems.push(Problem::new("node.roles", "is empty", r#"name at least one of "serve" and "sink""#));
        }
        if (1..self.roles.len()).any(|at| self.roles[..at].contains(&self.roles[at])) {
            problems.push(Problem::new("node.roles", "names a role twice", "name each role once"));
        }
        if !is_plain_name(&self.cluster) {
            problems.push(Problem::new(
                "node.cluster",
                format!("{:?} is not a plain name", self.cluster),
                "use 1 to 64 letters, digits, '.', '_' and '-'",
            ));
        }
    }
}

/// Names that are safe in Kafka group ids, ClickHouse literals and labels.
fn is_plain_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
