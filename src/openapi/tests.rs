//! The document and the router are one.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;

use edgefeed_storage::model::IdKind;
use serde_json::Value;

use crate::auth::{self, Auth};
use crate::http::resource::Takes;
use crate::http::router::table;
use crate::http::{Door, Services, limits};

fn services(ids: IdKind) -> Services {
    Services {
        door: Arc::new(Door::new(Auth::new(&auth::Config::default(), ids).unwrap(), &limits::Config::default())),
        ids,
        page: Arc::new(|_, _| Box::pin(pending())),
        trending: Arc::new(|_, _| Box::pin(pending())),
        suggested: Arc::new(|_, _| Box::pin(pending())),
        explain: Arc::new(|_, _| Box::pin(pending())),
        forget: Arc::new(|_, _| 0),
        events: Arc::new(|_, _, _| Box::pin(pending())),
        position: Arc::new(|_| Box::pin(pending())),
        max_body_bytes: 0,
    }
}

fn document(ids: IdKind) -> Value {
    serde_json::from_str(&super::text(ids)).unwrap()
}

fn described(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone())))
        .collect()
}

/// Each `$ref` of a document.
fn references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get("$ref").and_then(Value::as_str));
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(array) => array.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_route_has_its_operation_and_every_operation_its_route() {
    let routed: BTreeSet<(String, String)> = table(&services(IdKind::Uuid))
        .iter()
        .flat_map(|route| {
            let methods: &[&str] = match route.takes {
                Takes::Get => &["get"],
                Takes::Post => &["post"],
                Takes::GetOrPost => &["get", "post"],
            };
            methods.iter().map(|method| (route.name.to_owned(), (*method).to_owned()))
        })
        .collect();
    let document = document(IdKind::Uuid);
    assert_eq!(described(&document), routed, "left: src/openapi/operations.rs, right: src/http/router.rs");
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_names_its_errors_and_its_caller() {
    let document = document(IdKind::Uuid);
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (path, method) in described(&document) {
        let operation = &document["paths"][&path][&method];
        for status in ["400", "405", "413", "414", "429", "431", "503"] {
            let schema = &operation["responses"][status]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/ErrorBody", "{method} {path} {status}");
        }
        let open = operation["security"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(open, !path.starts_with("/api/"), "{method} {path}: who may ask");
        assert_eq!(operation["responses"]["401"].is_null(), open, "{method} {path}");
    }
    assert_eq!(document["security"][0]["bearer"], Value::Array(Vec::new()));
}

#[test]
fn ids_are_what_the_deployment_says() {
    assert_eq!(document(IdKind::Uuid)["components"]["schemas"]["Id"]["format"], "uuid");
    let number = &document(IdKind::U64)["components"]["schemas"]["Id"];
    assert_eq!((&number["type"], number["maximum"].as_u64()), (&Value::from("integer"), Some(u64::MAX)));
}
