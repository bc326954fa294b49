//! docs/report.schema.json against the structs that report.json is made of, and reports against it.
//!
//! The schema is written from `src/`: a struct is an object, its doc comments are descriptions. UPDATE_GOLDEN=1 writes it anew.

#![cfg(feature = "harness")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use syn::{Attribute, Fields, GenericArgument, Item, ItemEnum, ItemStruct, PathArguments, Type};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The structs and enums of `src/` that serde writes, by their names.
fn types() -> BTreeMap<String, Item> {
    let rust =
        sources(&repository().join("src")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let mut types = BTreeMap::new();
    for path in rust {
        let file = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for item in file.items {
            let (name, attributes) = match &item {
                Item::Struct(ItemStruct { ident, attrs, .. }) | Item::Enum(ItemEnum { ident, attrs, .. }) => {
                    (ident.to_string(), attrs)
                }
                _ => continue,
            };
            let derives = |attribute: &Attribute| {
                attribute.path().is_ident("derive")
                    && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("Serialize"))
            };
            if attributes.iter().any(derives) {
                types.insert(name, item);
            }
        }
    }
    types
}

/// The first paragraph of what stands above, in a line.
fn description(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta.require_name_value().ok()?.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) if attribute.path().is_ident("doc") => {
            Some(text.value().trim().to_owned())
        }
        _ => None,
    };
    let lines: Vec<String> = attributes.iter().filter_map(line).take_while(|line| !line.is_empty()).collect();
    // Links lead nowhere here.
    let text = lines.join(" ");
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("](") {
        plain += &before.replace('[', "");
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    (plain + rest).replace("[`", "`").replace("`]", "`")
}

/// What `#[serde(…)]` says, as text.
fn serde_words(attributes: &[Attribute]) -> String {
    let of =
        |attribute: &Attribute| attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default();
    attributes.iter().filter(|attribute| attribute.path().is_ident("serde")).map(of).collect::<Vec<_>>().join(" , ")
}

/// What writes itself, and not as its fields stand.
fn by_hand(name: &str) -> Option<Value> {
    Some(match name {
        "f64" => json!({"type": "number"}),
        "u32" | "u64" | "usize" => json!({"type": "integer", "minimum": 0}),
        "i32" => json!({"type": "integer"}),
        "bool" => json!({"type": "boolean"}),
        "String" | "Api" | "Policy" => json!({"type": "string"}),
        "Value" => json!({}),
        "LoadPoint" => json!({
            "type": "object",
            "description": "How prompts were sent: by `concurrency` clients, at a `request_rate`, or at recorded times.",
            "properties": {"kind": {"enum": ["closed", "open", "recorded"]}},
            "required": ["kind"]
        }),
        _ => return None,
    })
}

struct Writer {
    types: BTreeMap<String, Item>,
    definitions: BTreeMap<String, Value>,
}

impl Writer {
    fn of_type(&mut self, of: &Type) -> Value {
        let path = match of {
            Type::Path(path) => path,
            // Of one type each.
            Type::Tuple(tuple) => return json!({"type": "array", "items": self.of_type(&tuple.elems[0])}),
            _ => panic!("a type that is no path"),
        };
        let last = path.path.segments.last().unwrap();
        let arguments: Vec<&Type> = match &last.arguments {
            PathArguments::AngleBracketed(list) => {
                list.args.iter().filter_map(|a| if let GenericArgument::Type(t) = a { Some(t) } else { None }).collect()
            }
            _ => Vec::new(),
        };
        match (last.ident.to_string().as_str(), arguments.as_slice()) {
            ("Option", [inner]) => json!({"anyOf": [self.of_type(inner), {"type": "null"}]}),
            ("Vec", [inner]) => json!({"type": "array", "items": self.of_type(inner)}),
            ("BTreeMap" | "Map", [_, inner]) | ("ByMetric", [inner]) => {
                json!({"type": "object", "additionalProperties": self.of_type(inner)})
            }
            (name, []) => by_hand(name).unwrap_or_else(|| {
                self.define(name);
                json!({"$ref": format!("#/$defs/{name}")})
            }),
            (name, _) => panic!("{name} with arguments"),
        }
    }

    fn define(&mut self, name: &str) {
        if self.definitions.contains_key(name) {
            return;
        }
        // Before its fields, which may hold it.
        self.definitions.insert(name.to_owned(), Value::Null);
        let item =
            self.types.get(name).unwrap_or_else(|| panic!("{name} is written by hand: say how in this test")).clone();
        let schema = match &item {
            Item::Struct(item) => self.of_struct(item),
            Item::Enum(item) => of_enum(item),
            _ => unreachable!(),
        };
        self.definitions.insert(name.to_owned(), schema);
    }

    fn of_struct(&mut self, item: &ItemStruct) -> Value {
        let Fields::Named(fields) = &item.fields else { panic!("{}: fields without names", item.ident) };
        let (mut properties, mut required, mut is_open) = (Map::new(), Vec::new(), false);
        for field in &fields.named {
            let serde = serde_words(&field.attrs);
            if serde.contains("flatten") {
                is_open = true;
                continue;
            }
            let name = field.ident.as_ref().unwrap().to_string();
            let mut schema = self.of_type(&field.ty);
            let words = description(&field.attrs);
            if !words.is_empty() {
                schema["description"] = words.into();
            }
            if !serde.contains("skip_serializing_if") {
                required.push(name.clone());
            }
            properties.insert(name, schema);
        }
        json!({
            "description": description(&item.attrs), "type": "object", "properties": properties, "required": required,
            "additionalProperties": is_open
        })
    }
}

/// Names alone.
fn of_enum(item: &ItemEnum) -> Value {
    let serde = serde_words(&item.attrs);
    let rename = |name: String| {
        let words = |between: char| {
            let mut text = String::new();
            for c in name.chars() {
                if c.is_uppercase() && !text.is_empty() {
                    text.push(between);
                }
                text.extend(c.to_lowercase());
            }
            text
        };
        match () {
            () if serde.contains("\"lowercase\"") => name.to_lowercase(),
            () if serde.contains("\"snake_case\"") => words('_'),
            () if serde.contains("\"kebab-case\"") => words('-'),
            () => panic!("{}: its names are not renamed", item.ident),
        }
    };
    let names: Vec<String> = item.variants.iter().map(|variant| rename(variant.ident.to_string())).collect();
    json!({"description": description(&item.attrs), "enum": names})
}

fn schema() -> Value {
    let mut writer = Writer { types: types(), definitions: BTreeMap::new() };
    writer.define("Report");
    let mut report = writer.definitions.remove("Report").unwrap();
    let whole = report.as_object_mut().unwrap();
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".to_owned(), "report.json of tachometer, as this version writes it".into());
    schema.append(whole);
    schema.insert("$defs".to_owned(), json!(writer.definitions));
    schema.into()
}

/// What of a value is not as the part of JSON Schema that [`Writer`] uses asks for.
fn wrong(value: &Value, schema: &Value, root: &Value, place: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return wrong(value, root.pointer(name.trim_start_matches('#')).unwrap(), root, place);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let all: Vec<Option<String>> = any.iter().map(|schema| wrong(value, schema, root, place)).collect();
        return if all.contains(&None) { None } else { all.into_iter().flatten().next() };
    }
    if let Some(names) = schema["enum"].as_array() {
        return (!names.contains(value)).then(|| format!("{place}: {value} is none of {names:?}"));
    }
    let is_type = match schema["type"].as_str() {
        None => true,
        Some("number") => value.is_number(),
        Some("integer") => value.is_u64() || value.is_i64() && schema["minimum"].is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("null") => value.is_null(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => panic!("{other}"),
    };
    if !is_type {
        return Some(format!("{place}: {value} is not {}", schema["type"]));
    }
    let of_item = |(i, item): (usize, &Value)| wrong(item, &schema["items"], root, &format!("{place}[{i}]"));
    if let Some(why) = value.as_array().into_iter().flatten().enumerate().find_map(of_item) {
        return Some(why);
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| value.get(name).is_none()) {
        return Some(format!("{place}.{missing} is missing"));
    }
    value.as_object().into_iter().flatten().find_map(|(key, value)| {
        let place = format!("{place}.{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) => wrong(value, schema, root, &place),
            (None, Value::Bool(false)) => Some(format!("{place} is not in the schema")),
            (None, schema @ Value::Object(_)) => wrong(value, schema, root, &place),
            (None, _) => None,
        }
    })
}

#[test]
fn the_schema_is_that_of_the_structs() {
    let path = repository().join("docs/report.schema.json");
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(
        written == expected,
        "docs/report.schema.json is old: UPDATE_GOLDEN=1 cargo test --test schema writes it anew"
    );
}

#[test]
fn reports_are_as_the_schema_says() {
    let schema = schema();
    let folder = repository().join("fixtures/golden/terminal");
    let mut checked = 0;
    for path in sources(&folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let report: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(wrong(&report, &schema, &schema, ""), None, "{}", path.display());
        checked += 1;
        // It can fail.
        let mut bad = report.clone();
        bad["passes"][0]["completed"] = "many".into();
        assert_eq!(
            wrong(&bad, &schema, &schema, "").as_deref(),
            Some(".passes[0].completed: \"many\" is not \"integer\"")
        );
        let mut bad = report.clone();
        bad["estimates"]["rpm"]["colour"] = "red".into();
        assert_eq!(wrong(&bad, &schema, &schema, "").as_deref(), Some(".estimates.rpm.colour is not in the schema"));
        let mut bad = report;
        bad.as_object_mut().unwrap().remove("host");
        assert_eq!(wrong(&bad, &schema, &schema, "").as_deref(), Some(".host is missing"));
    }
    assert!(checked >= 6);
}
