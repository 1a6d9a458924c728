//! As much of JSON Schema as the published one uses. An unknown keyword panics: then it must be taught here.

use serde_json::Value;

/// Keywords that say nothing about validity.
const ANNOTATIONS: [&str; 8] =
    ["$schema", "$defs", "title", "description", "examples", "format", "contentEncoding", "default"];

/// Keywords that set a limit.
const LIMITS: [&str; 7] = ["minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "pattern"];

/// The places of the keywords that a value violates.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Validator { root: schema, found: &mut found }.validate(schema, value, "");
    found
}

/// The same for a part of a schema, which may refer to the whole.
pub(crate) fn violations_within(root: &Value, part: &mut Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Validator { root, found: &mut found }.validate(part, value, "");
    found
}

/// The places of all keywords that set a limit on a bare job.
pub(crate) fn limits(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, "", "", &mut |place, _, schema| {
        let keywords = LIMITS.iter().filter(|keyword| schema.get(**keyword).is_some());
        found.extend(keywords.map(|keyword| format!("{place}/{keyword}")));
    });
    found
}

/// The paths of all members that are known and ignored; `[]` is any item.
pub(crate) fn ignored(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, "", "", &mut |_, path, schema| {
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        if description.starts_with("ignored") {
            found.push(path.to_owned());
        }
    });
    found
}

fn walk(schema: &Value, place: &str, path: &str, visit: &mut impl FnMut(&str, &str, &Value)) {
    visit(place, path, schema);
    for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        walk(member, &format!("{place}/properties/{name}"), &path, visit);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{place}/items"), &format!("{path}[]"), visit);
    }
    for (i, branch) in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().enumerate() {
        walk(branch, &format!("{place}/anyOf/{i}"), path, visit);
    }
}

struct Validator<'a> {
    root: &'a Value,
    found: &'a mut Vec<String>,
}

impl Validator<'_> {
    fn validate(&mut self, schema: &Value, value: &Value, place: &str) {
        for (keyword, argument) in schema.as_object().expect("a schema is an object") {
            let here = format!("{place}/{keyword}");
            let good = match keyword.as_str() {
                "properties" => {
                    self.members(argument, value, &here);
                    true
                }
                "items" => {
                    let items = value.as_array().into_iter().flatten();
                    items.for_each(|item| self.validate(argument, item, &here));
                    true
                }
                "anyOf" => self.any(argument, value, &here),
                "not" => !self.valid(argument, value),
                "$ref" => {
                    assert_eq!(argument, "#", "only the whole schema is referred to");
                    self.valid(self.root, value)
                }
                other if ANNOTATIONS.contains(&other) => true,
                other => simple(other, argument, value),
            };
            if !good {
                self.found.push(here);
            }
        }
    }

    fn members(&mut self, properties: &Value, value: &Value, here: &str) {
        for (name, schema) in properties.as_object().expect("properties are an object") {
            if let Some(member) = value.get(name) {
                self.validate(schema, member, &format!("{here}/{name}"));
            }
        }
    }

    /// One branch must hold; if none does, what each violates is told.
    fn any(&mut self, branches: &Value, value: &Value, here: &str) -> bool {
        let branches = branches.as_array().expect("anyOf is an array");
        let good = branches.iter().any(|branch| self.valid(branch, value));
        if !good {
            let numbered = branches.iter().enumerate();
            numbered.for_each(|(i, branch)| self.validate(branch, value, &format!("{here}/{i}")));
        }
        good
    }

    fn valid(&self, schema: &Value, value: &Value) -> bool {
        let mut found = Vec::new();
        Validator { root: self.root, found: &mut found }.validate(schema, value, "");
        found.is_empty()
    }
}

/// Keywords that look at the value alone. Those for another kind of value hold.
fn simple(keyword: &str, argument: &Value, value: &Value) -> bool {
    let number = || argument.as_f64().expect("a number");
    let text = value.as_str();
    let counted = |count: Option<usize>, good: fn(f64, f64) -> bool| {
        count.is_none_or(|count| good(count as f64, number()))
    };
    let least = |found: f64, limit: f64| found >= limit;
    let most = |found: f64, limit: f64| found <= limit;
    match keyword {
        "type" => kinds(argument).any(|kind| is_kind(kind, value)),
        "const" => value == argument,
        "enum" => argument.as_array().expect("an array").contains(value),
        "required" => {
            let mut names = argument.as_array().expect("an array").iter().filter_map(Value::as_str);
            !value.is_object() || names.all(|name| value.get(name).is_some())
        }
        "minItems" => counted(value.as_array().map(Vec::len), least),
        "maxItems" => counted(value.as_array().map(Vec::len), most),
        "minLength" => counted(text.map(|text| text.chars().count()), least),
        "maxLength" => counted(text.map(|text| text.chars().count()), most),
        "minimum" => value.as_f64().is_none_or(|found| found >= number()),
        "maximum" => value.as_f64().is_none_or(|found| found <= number()),
        "pattern" => text.is_none_or(|text| matches(argument.as_str().expect("a text"), text)),
        other => panic!("unknown keyword {other}"),
    }
}

fn kinds(argument: &Value) -> impl Iterator<Item = &str> {
    let one = argument.as_str().into_iter();
    one.chain(argument.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn is_kind(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|double| double.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

/// The patterns of the schema.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        r"\S" => text.chars().any(|c| !c.is_whitespace()),
        r"^[^\u0000-\u001f\u007f-\u009f]*$" => !text.chars().any(char::is_control),
        "^[a-z0-9]+(_[a-z0-9]+)+$" => {
            let word = |word: &str| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            };
            text.contains('_') && text.split('_').all(word)
        }
        r"^https?://[A-Za-z0-9.:\[\]-]+([/?#][!-~]*)?$" => {
            let rest = text.strip_prefix("http").map(|rest| rest.strip_prefix('s').unwrap_or(rest));
            rest.and_then(|rest| rest.strip_prefix("://")).is_some_and(|rest| {
                let of_host = |c: char| c.is_ascii_alphanumeric() || ".:[]-".contains(c);
                let path = rest.trim_start_matches(of_host);
                let goes_on = path.is_empty() || path.starts_with(['/', '?', '#']);
                path.len() < rest.len() && goes_on && path.chars().all(|c| ('!'..='~').contains(&c))
            })
        }
        other => panic!("unknown pattern {other}"),
    }
}
