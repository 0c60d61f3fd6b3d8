//! Whether the API's description has what the door answers: every answer that a test
//! gets is held against it.

use std::sync::OnceLock;

use hyper::Method;
use serde_json::Value;

/// The status of an answer is one that the description has for this path and method.
pub(crate) fn check(method: &Method, path: &str, status: u16) {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| serde_json::from_str(&portreeve_api::openapi().unwrap()).unwrap());
    let path = path.split('?').next().unwrap();
    // Pages are for people, and are no part of what programs are told.
    if path.starts_with("/console") {
        return;
    }
    let described = document["paths"].as_object().unwrap().iter().find(|(template, _)| fits(template, path));
    let operation = described.map(|(_, item)| &item[method.as_str().to_lowercase()]);
    match operation {
        None => assert_eq!(status, 404, "`{path}` answers {status}, and is not described"),
        Some(Value::Null) => assert_eq!(status, 405, "{method} `{path}` answers {status}, and is not described"),
        Some(operation) => assert!(
            operation["responses"].get(status.to_string()).is_some(),
            "{method} `{path}` answers {status}, and is described with {:?}",
            operation["responses"].as_object().unwrap().keys()
        ),
    }
}

/// A path below a channel has any number of segments.
fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (Some("{below}"), Some(_)) => return true,
            (Some(wanted), Some(found)) if wanted == found || wanted.starts_with('{') => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}
