//! The one thing wanted from a Kafka Connect schema: the unit of a time column.

use std::borrow::Cow;

use serde::Deserialize;

use super::time::Unit;

/// A node of a Connect schema, as the JSON converter writes it.
#[derive(Deserialize)]
struct Node<'a> {
    #[serde(borrow, default)]
    field: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    fields: Vec<Node<'a>>,
}

/// The unit the schema names for a column: of the row inside `after` (an envelope), else of the record itself (a
/// flattened row). A schema that cannot be read says nothing.
pub(super) fn unit_of(schema: &str, column: &str) -> Option<Unit> {
    let root: Node<'_> = serde_json::from_str(schema).ok()?;
    let row = find(&root, "after").unwrap_or(&root);
    Unit::of_schema(find(row, column)?.name.as_deref()?)
}

fn find<'a, 'b>(node: &'b Node<'a>, field: &str) -> Option<&'b Node<'a>> {
    node.fields.iter().find(|child| child.field.as_deref() == Some(field))
}
