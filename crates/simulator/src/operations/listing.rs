//! `ListSecrets`, `DescribeSecret`, `ListSecretVersionIds`.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::entry::Entry;
use super::filter::Filter;
use super::parameters::encode;
use super::{Answer, Call, seconds};
use crate::arn::Arn;
use crate::errors::ApiError;
use crate::model::{Secret, Version};
use crate::secrets::{Creation, creation};
use crate::state::scope;

/// An order of `ListSecrets`. A position in it is a time in milliseconds, if it is an order by time, and an ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Creation,
    LastChange,
    Name,
}

/// A page of `ListSecrets`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Page<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    secret_list: Vec<Entry<'a>>,
}

impl Call<'_> {
    /// Writes a page. It costs what it returns if the secrets are in the order of creation or name, and not filtered. A
    /// filter by names costs what it finds if that is little.
    pub(super) fn list_secrets(&self) -> Result<String, ApiError> {
        let filters = self.filters()?;
        let planned = self.parameters.flag("IncludePlannedDeletion") == Some(true);
        let matches = |secret: &&Secret| {
            (planned || secret.rare.deleted.is_none())
                && filters.iter().all(|filter| filter.matches(secret))
        };
        let order = Order::parse(self.parameters.text("SortBy").unwrap_or("created-date"))?;
        let size = self.parameters.page_size()?;
        let mut found = self.ordered(order, &filters)?.filter(matches).peekable();
        let page: Vec<_> = found.by_ref().take(size).collect();
        let last = found.peek().and(page.last());
        let page = Page {
            next_token: last.map(|last| encode(&order.position(last))),
            secret_list: page.into_iter().map(Entry::listed).collect(),
        };
        Ok(serde_json::to_string(&page).expect("a page has no keys that are not text"))
    }

    /// Returns the secrets behind the position of the request in an order. It may leave out secrets that the filters
    /// exclude.
    fn ordered(
        &self,
        order: Order,
        filters: &[Filter],
    ) -> Result<Box<dyn Iterator<Item = &Secret> + '_>, ApiError> {
        let scope = scope(&self.caller.region, &self.caller.account);
        let position = self.parameters.next_token()?;
        let position = position
            .map(|text| Order::parse_position(&text))
            .transpose()?;
        let backwards = self.parameters.text("SortOrder") == Some("desc");
        let secrets = &self.state.secrets;
        if order == Order::Name {
            let position = position.map(|(_, arn)| arn);
            return Ok(Box::new(secrets.by_name(&scope, position, backwards)));
        }
        let few = match order {
            Order::Creation => self.few(&scope, filters),
            Order::LastChange | Order::Name => Some(secrets.within(&scope).collect()),
        };
        let Some(few) = few else {
            return Ok(Box::new(secrets.by_creation(&scope, position, backwards)));
        };
        let behind = |key: &Creation| {
            let position = position.as_ref();
            position.is_none_or(|at| if backwards { key < at } else { key > at })
        };
        let keyed = few.into_iter().map(|secret| (order.key(secret), secret));
        let mut rest: Vec<_> = keyed.filter(|(key, _)| behind(key)).collect();
        rest.sort_by(|a, b| a.0.cmp(&b.0));
        if backwards {
            rest.reverse();
        }
        Ok(Box::new(rest.into_iter().map(|(_, secret)| secret)))
    }

    /// Returns the secrets whose names begin as a filter wants, if they are so few that sorting them for each page costs
    /// less than to walk all secrets once for all pages.
    fn few(&self, scope: &str, filters: &[Filter]) -> Option<Vec<&Secret>> {
        let secrets = &self.state.secrets;
        let prefixes = filters.iter().find_map(Filter::prefixes)?;
        let most = 10 * secrets.count(scope).isqrt();
        let mut found = Vec::new();
        for prefix in prefixes {
            found.extend(secrets.beginning_with(scope, prefix).take(most + 1));
            if found.len() > most {
                return None;
            }
        }
        // A name can begin with two of the prefixes.
        found.sort_by(|a, b| a.arn.cmp(&b.arn));
        found.dedup_by(|a, b| a.arn == b.arn);
        Some(found)
    }

    pub(super) fn describe_secret(&self) -> Answer {
        let secret = self.secret()?;
        Ok(json!(Entry::described(secret, self.replicas(secret))))
    }

    pub(super) fn list_secret_version_ids(&mut self) -> Answer {
        let secret = self.secret()?;
        let deprecated = self.parameters.flag("IncludeDeprecated").unwrap_or(false);
        let quirks = &self.state.quirks;
        let shown = secret.versions.iter().filter(|(id, version)| {
            let unfinished = secret.unfinished() == Some(&**id);
            let omitted = match version.value {
                None => !quirks.empty_pending_listed,
                Some(_) => unfinished && quirks.valued_pending_omitted,
            };
            !omitted && (deprecated || !version.labels.is_empty())
        });
        let (page, next) = self.page(
            shown
                .map(|pair| (format!("{}\u{1f}", pair.0), pair))
                .collect(),
        )?;
        let mut answer = json!({"ARN": secret.arn, "Name": secret.name(), "Versions": page.into_iter().map(listed).collect::<Vec<_>>()});
        put(&mut answer, "NextToken", next.map(Value::from));
        Ok(answer)
    }

    /// Returns the page of versions after the key in the token. Because the token is a key, a deletion between pages skips
    /// no version.
    fn page<T>(&self, sorted: Vec<(String, T)>) -> Result<(Vec<T>, Option<String>), ApiError> {
        let (size, after) = (self.parameters.page_size()?, self.parameters.next_token()?);
        let beyond = |key: &String| after.as_ref().is_none_or(|after| key > after);
        let mut rest = sorted.into_iter().filter(|(key, _)| beyond(key)).peekable();
        let (mut page, mut last) = (Vec::new(), None);
        while page.len() < size {
            let Some((key, item)) = rest.next() else {
                break;
            };
            last = Some(key);
            page.push(item);
        }
        let next = rest.peek().and(last).map(|key| encode(&key));
        Ok((page, next))
    }

    fn filters(&self) -> Result<Vec<Filter>, ApiError> {
        let given = self.parameters.list("Filters");
        if given.len() > 10 {
            return Err(ApiError::invalid_parameter(
                "At most 10 filters are allowed.",
            ));
        }
        given.iter().map(Filter::parse).collect()
    }
}

impl Order {
    fn parse(name: &str) -> Result<Self, ApiError> {
        match name {
            "created-date" | "last-accessed-date" => Ok(Self::Creation),
            "last-changed-date" => Ok(Self::LastChange),
            "name" => Ok(Self::Name),
            _ => Err(ApiError::invalid_parameter(format!(
                "SortBy {name} is not valid."
            ))),
        }
    }

    fn key(self, secret: &Secret) -> Creation {
        match self {
            Self::LastChange => (secret.last_changed.as_millisecond(), secret.arn.clone()),
            Self::Creation | Self::Name => creation(secret),
        }
    }

    /// Returns the text of the position of a secret.
    fn position(self, secret: &Secret) -> String {
        let (time, arn) = self.key(secret);
        format!("{time}\u{1f}{arn}")
    }

    /// Parses a position. Refuses a text that no page has returned.
    fn parse_position(text: &str) -> Result<Creation, ApiError> {
        let parse = || {
            let (time, arn) = text.split_once('\u{1f}')?;
            Some((time.parse().ok()?, Arn::parse(arn)?))
        };
        parse().ok_or_else(ApiError::invalid_next_token)
    }
}

fn listed((id, version): (&Arc<str>, &Version)) -> Value {
    let mut listed = json!({"VersionId": **id, "KmsKeyIds": ["DefaultEncryptionKey"]});
    put(
        &mut listed,
        "VersionStages",
        (!version.labels.is_empty()).then(|| json!(version.labels)),
    );
    put(
        &mut listed,
        "CreatedDate",
        version.created.map(seconds).map(Value::from),
    );
    listed
}

fn put(object: &mut Value, name: &str, value: Option<Value>) {
    let map: Option<&mut Map<_, _>> = object.as_object_mut();
    if let (Some(map), Some(value)) = (map, value) {
        map.insert(name.to_owned(), value);
    }
}
