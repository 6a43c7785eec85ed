//! `values.yaml` with its comments: what is above a key describes it, and `@schema {…}` bounds it. A key right behind a
//! `#`, without a space, is a value that has no default.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

/// All described values, in the order of the file.
#[derive(Debug)]
pub(super) struct Values(pub(super) Vec<Described>);

/// One described value.
#[derive(Debug)]
pub(super) struct Described {
    /// The path of keys.
    pub(super) path: Vec<String>,
    /// The description.
    pub(super) description: String,
    /// The restrictions in addition to the type of the default.
    pub(super) bounds: Map<String, Value>,
    /// The default; `None` for a value that is commented out.
    pub(super) default: Option<Value>,
}

/// The comment above a line.
#[derive(Debug, Default)]
struct Comment {
    description: Vec<String>,
    bounds: Map<String, Value>,
}

impl Values {
    /// Parses the file. Every value, or a value that contains it, must have a description.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let defaults: Value = serde_saphyr::from_str(text).context("values.yaml is not YAML")?;
        let mut values = Vec::new();
        let mut comment = Comment::default();
        let mut path: Vec<(usize, String)> = Vec::new();
        for line in text.lines() {
            let content = line.trim_start();
            if let Some(sentence) = content.strip_prefix("# ") {
                comment.add(sentence)?;
                continue;
            }
            let above = std::mem::take(&mut comment);
            let unset = content.strip_prefix('#');
            let Some(key) = key(unset.unwrap_or(content)) else {
                continue;
            };
            let indent = line.len() - content.len();
            path.retain(|(outer, _)| *outer < indent);
            path.push((indent, key.to_owned()));
            if above.description.is_empty() {
                continue;
            }
            let path: Vec<_> = path.iter().map(|(_, key)| key.clone()).collect();
            let default = match unset {
                Some(_) => None,
                None => Some(at(&defaults, &path)?.clone()),
            };
            values.push(Described {
                default,
                description: above.description.join(" "),
                bounds: above.bounds,
                path,
            });
        }
        let values = Self(values);
        values.cover(&defaults, &mut Vec::new())?;
        Ok(values)
    }

    /// Formats a table in Markdown.
    pub(super) fn table(&self) -> String {
        let row = |value: &Described| {
            let default = value.default.as_ref();
            format!(
                "| `{}` | {} | {} |\n",
                value.path.join("."),
                value.description.clone() + &value.choices(),
                default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"))
            )
        };
        let rows: String = self.0.iter().map(row).collect();
        format!("| Value | What it is | Default |\n|---|---|---|\n{rows}")
    }

    fn cover(&self, value: &Value, path: &mut Vec<String>) -> Result<()> {
        if self.0.iter().any(|described| described.path == *path) {
            return Ok(());
        }
        let Value::Object(fields) = value else {
            bail!("values.yaml: {} has no comment above it", path.join("."));
        };
        for (key, value) in fields {
            path.push(key.clone());
            self.cover(value, path)?;
            path.pop();
        }
        Ok(())
    }
}

impl Described {
    /// Returns a sentence with the accepted values, if they are an enum.
    fn choices(&self) -> String {
        let Some(Value::Array(choices)) = self.bounds.get("enum") else {
            return String::new();
        };
        let choices = choices.iter().map(|choice| format!("`{choice}`"));
        format!(" One of {}.", choices.collect::<Vec<_>>().join(", "))
    }
}

impl Comment {
    fn add(&mut self, sentence: &str) -> Result<()> {
        let Some(bounds) = sentence.strip_prefix("@schema ") else {
            self.description.push(sentence.to_owned());
            return Ok(());
        };
        self.bounds = serde_saphyr::from_str(bounds)
            .with_context(|| format!("values.yaml: {sentence} is not a mapping"))?;
        Ok(())
    }
}

/// Returns the key of a line such as `replicas: 2`.
fn key(content: &str) -> Option<&str> {
    let (key, _) = content.split_once(':')?;
    let is_key = key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || one == '_');
    is_key.then_some(key)
}

fn at<'a>(value: &'a Value, path: &[String]) -> Result<&'a Value> {
    let found = value.pointer(&format!("/{}", path.join("/")));
    let found = found.with_context(|| format!("values.yaml: {} is not there", path.join(".")))?;
    ensure!(
        !found.is_null(),
        "values.yaml: {} has no default",
        path.join(".")
    );
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "
# How many.
# @schema {minimum: 1}
replicas: 2

image:
  # Where it comes from,
  # in two lines.
  repository: here
  # Its parts.
  parts:
    tag: x
";

    #[test]
    fn comments_describe_and_bound_what_is_below_them() {
        let values = Values::parse(TEXT).expect("valid");
        let found: Vec<_> = values
            .0
            .iter()
            .map(|one| {
                let default = one.default.clone().unwrap_or_default();
                (one.path.join("."), &*one.description, default)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("replicas".to_owned(), "How many.", json!(2)),
                (
                    "image.repository".to_owned(),
                    "Where it comes from, in two lines.",
                    json!("here")
                ),
                ("image.parts".to_owned(), "Its parts.", json!({"tag": "x"})),
            ]
        );
        assert_eq!(
            values.0.first().map(|one| Value::from(one.bounds.clone())),
            Some(json!({"minimum": 1}))
        );
    }

    #[test]
    fn a_value_without_a_comment_is_a_mistake() {
        let error =
            Values::parse("image:\n  # Where.\n  name: x\n  tag: y\n").expect_err("a mistake");
        assert_eq!(
            error.to_string(),
            "values.yaml: image.tag has no comment above it"
        );
    }

    #[test]
    fn a_value_behind_a_hash_has_no_default() {
        let text = "image:\n  # The name.\n  name: x\n  # The tag.\n  # @schema {type: string}\n  #tag: latest\n";
        let values = Values::parse(text).expect("valid");
        let tag = values.0.last().expect("two values");
        assert_eq!(
            (tag.path.join("."), &tag.default),
            ("image.tag".to_owned(), &None)
        );
        let table = values.table();
        assert!(
            table.ends_with("| `image.tag` | The tag. | none |\n"),
            "{table}"
        );
    }

    #[test]
    fn the_table_has_a_row_for_each_value_and_names_what_can_be_chosen() {
        let text =
            "# How many.\nreplicas: 2\n# How.\n# @schema {enum: [json, text]}\nformat: json\n";
        let table = Values::parse(text).expect("valid").table();
        let rows = [
            "| Value | What it is | Default |",
            "|---|---|---|",
            "| `replicas` | How many. | `2` |",
            r#"| `format` | How. One of `"json"`, `"text"`. | `"json"` |"#,
        ];
        assert_eq!(table.lines().collect::<Vec<_>>(), rows);
    }
}
