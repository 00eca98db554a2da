//! Paths of the fields that differ between two versions of a record, without their values, which may be personal data.

use serde_json::Value;

/// Maximum depth of a path. A deeper field is compared as a whole.
const MAX_DEPTH: usize = 4;

/// Paths of the differences between two JSON texts, in order, such as `info.company` and `lineItems[1].quantity`. A
/// text that is not JSON differs as a whole.
pub fn changed_fields(old: &str, new: &str) -> Vec<String> {
    let (Ok(old), Ok(new)) = (serde_json::from_str::<Value>(old), serde_json::from_str::<Value>(new)) else {
        return vec!["the record".to_owned()];
    };
    let mut paths = Vec::new();
    collect(&old, &new, "", 0, &mut paths);
    paths.sort_unstable();
    paths
}

fn collect(old: &Value, new: &Value, path: &str, depth: usize, paths: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) if depth < MAX_DEPTH => {
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(
                    old.get(name).unwrap_or(&Value::Null),
                    new.get(name).unwrap_or(&Value::Null),
                    &below,
                    depth + 1,
                    paths,
                );
            }
        }
        (Value::Array(old), Value::Array(new)) if depth < MAX_DEPTH && old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                collect(old, new, &format!("{path}[{index}]"), depth + 1, paths);
            }
        }
        _ if path.is_empty() => paths.push("the record".to_owned()),
        _ => paths.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::changed_fields;

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        assert_eq!(changed_fields(old, new), expected);
    }

    #[test]
    fn paths_name_what_differs_and_nothing_else() {
        check(r#"{"a":1,"b":{"c":"x","d":[1,{"e":2}]}}"#, r#"{"b":{"d":[1,{"e":2}],"c":"x"},"a":1}"#, &[]);
        check(
            r#"{"a":1,"b":{"c":"x","d":[1,{"e":2}]}}"#,
            r#"{"a":2,"b":{"c":"y","d":[1,{"e":3}],"f":1}}"#,
            &["a", "b.c", "b.d[1].e", "b.f"],
        );
        check(r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, &["a"]);
        check(r#"{"a":{"b":{"c":{"d":{"e":1}}}}}"#, r#"{"a":{"b":{"c":{"d":{"e":2}}}}}"#, &["a.b.c.d"]);
        check("[1]", r#"{"a":1}"#, &["the record"]);
        check("no JSON", "{}", &["the record"]);
    }
}
