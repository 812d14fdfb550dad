//! The published vectors, for the tests beside.

use serde_json::Value;

use crate::base64url;

pub(super) fn vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    vectors.iter().find(|vector| vector["id"] == id).unwrap().clone()
}

pub(super) fn octets(vector: &Value, field: &str) -> Vec<u8> {
    base64url::decode(vector[field].as_str().unwrap()).unwrap()
}
