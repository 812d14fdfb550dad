//! `GET /v0/__api__`: the API as a document, in `OpenAPI` 3.1.

use axum::response::IntoResponse;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

const DOCUMENT: &str = include_str!("../openapi.json");

/// For people and for tools that make clients: no authentication.
pub(crate) async fn get() -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use serde_json::Value;

    use super::super::table;
    use super::*;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// Method, path and operation.
    fn operations(document: &Value) -> Vec<(String, String, &Value)> {
        let mut all = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if operation.get("operationId").is_some() {
                    all.push((method.to_uppercase(), path.clone(), operation));
                }
            }
        }
        all
    }

    /// Calls with every reference below a value.
    fn references(value: &Value, found: &mut impl FnMut(&str)) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str().filter(|_| name == "$ref") {
                        Some(reference) => found(reference),
                        None => references(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn it_holds_the_routes_and_no_others() {
        let document = document();
        let mut expected: BTreeSet<_> =
            table().into_iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
        // Beside the API, and without its prefix.
        expected.insert(("GET".to_owned(), "/metrics".to_owned()));
        let found: BTreeSet<_> =
            operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
        assert_eq!(found, expected);
        assert_eq!(document["servers"][0]["url"], crate::reply::PREFIX);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_used() {
        let document = document();
        let mut used = HashSet::new();
        references(&document, &mut |reference| {
            let pointer = reference.strip_prefix('#').expect("of this document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
            used.insert(pointer.to_owned());
        });
        for kind in ["schemas", "responses", "parameters", "headers"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                assert!(used.contains(&format!("/components/{kind}/{name}")), "{kind} {name}");
            }
        }
    }

    #[test]
    fn operations_have_names_tags_and_their_paths_parameters() {
        let document = document();
        let mut names = HashSet::new();
        for (method, path, operation) in operations(&document) {
            assert!(names.insert(operation["operationId"].clone()), "{method} {path}");
            assert!(
                document["tags"].as_array().unwrap().iter().any(|tag| tag["name"] == operation["tags"][0])
            );
            assert_eq!(path.contains("{id}"), document["paths"][&path].get("parameters").is_some(), "{path}");
            let anybody = operation.get("security").is_some();
            assert_eq!(operation["responses"].get("401").is_none(), anybody, "{method} {path}");
        }
    }
}
