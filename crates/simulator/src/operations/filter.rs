//! The filters of `ListSecrets`.

use serde_json::Value;

use crate::errors::ApiError;
use crate::model::Secret;

/// One filter. It matches if any of its values matches.
pub(super) struct Filter {
    key: String,
    values: Vec<String>,
}

impl Filter {
    pub(super) fn parse(value: &Value) -> Result<Self, ApiError> {
        let key = value["Key"].as_str().unwrap_or_default().to_owned();
        let known = [
            "name",
            "description",
            "tag-key",
            "tag-value",
            "primary-region",
            "owning-service",
            "all",
        ];
        let values: Vec<_> = value["Values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let countable = (1..=10).contains(&values.len());
        if !known.contains(&key.as_str())
            || !countable
            || !values.iter().all(|value| is_searchable(value))
        {
            return Err(ApiError::invalid_parameter(format!(
                "The filter {key} is not valid."
            )));
        }
        Ok(Self { key, values })
    }

    /// Returns the prefixes of which every matching name has one. `None` if the filter is not about the beginning of
    /// names, or excludes some.
    pub(super) fn prefixes(&self) -> Option<&[String]> {
        let excludes = self.values.iter().any(|value| value.starts_with('!'));
        (self.key == "name" && !excludes).then_some(&self.values)
    }

    pub(super) fn matches(&self, secret: &Secret) -> bool {
        let negated = |value: &String| value.strip_prefix('!').map(str::to_owned);
        let (without, with): (Vec<_>, Vec<_>) = self
            .values
            .iter()
            .partition(|value| negated(value).is_some());
        let wanted = with.is_empty() || with.iter().any(|value| self.has(secret, value));
        wanted
            && !without
                .iter()
                .filter_map(|value| negated(value))
                .any(|value| self.has(secret, &value))
    }

    fn has(&self, secret: &Secret, value: &str) -> bool {
        let description = secret.rare.description.as_deref().unwrap_or_default();
        match self.key.as_str() {
            "name" => secret.name().starts_with(value),
            "description" => words_begin(description, value),
            "tag-key" => secret.tags.keys().any(|key| key.starts_with(value)),
            "tag-value" => secret.tags.values().any(|tag| tag.starts_with(value)),
            "primary-region" => secret
                .rare
                .primary_region
                .as_ref()
                .is_some_and(|region| region.starts_with(value)),
            "owning-service" => secret
                .rare
                .owning_service
                .as_ref()
                .is_some_and(|service| service.starts_with(value)),
            _ => {
                let tags = secret.tags.iter();
                let tags = tags.flat_map(|(key, value)| [&**key, &**value]);
                let texts = tags.chain([secret.name(), description]);
                let text = texts.collect::<Vec<_>>().join(" ");
                words_begin(&format!("{text} {}", humps_apart(&text)), value)
            }
        }
    }
}

/// Returns whether a value has at most 512 characters and only characters that AWS accepts.
fn is_searchable(value: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c);
    value.len() <= 512 && value.chars().all(fits)
}

/// Splits words, for example `MyAppSecret` into `My App Secret`.
fn humps_apart(text: &str) -> String {
    let mut apart = String::new();
    for c in text.chars() {
        if c.is_uppercase() && apart.ends_with(char::is_lowercase) {
            apart.push(' ');
        }
        apart.push(c);
    }
    apart
}

/// Returns whether every word of the value is a prefix of a word of the text, ignoring case.
fn words_begin(text: &str, value: &str) -> bool {
    let text = text.to_lowercase();
    let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).collect();
    value
        .to_lowercase()
        .split_whitespace()
        .all(|wanted| words.iter().any(|word| word.starts_with(wanted)))
}
