//! The pages of `ListSecrets`.

use std::collections::BTreeSet;
use std::ops::Bound;

use aws_sdk_secretsmanager::operation::list_secrets::ListSecretsOutput;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::names::SecretName;
use secret_rotation_core::secret::Secret;
use secret_rotation_core::time::AwsTime;

use crate::account::{Account, Answer};
use crate::errors::CallError;
use crate::observer::Operation;
use crate::{convert, errors};

/// The maximum number of pages of one list. AWS allows 500,000 secrets in a region, which are 5,000 pages.
const MAX_PAGES: usize = 6000;

/// The maximum number of pages that are read to find one name, because a filter by name matches prefixes.
const MAX_PAGES_OF_NAME: usize = 3;

/// The maximum number of values in a filter.
const MAX_VALUES: usize = 10;

/// One page of a list.
pub(crate) struct Page {
    /// The time of the answer.
    pub(crate) at: AwsTime,
    /// The secrets, without those beyond the prefixes.
    pub(crate) secrets: Vec<Secret>,
    /// Entries that name their secrets and are malformed otherwise.
    pub(crate) malformed: Vec<(SecretName, AwsError)>,
    /// Set if an entry without a name is malformed: it could be any secret.
    pub(crate) unnamed: Option<AwsError>,
}

/// The pages of the lists that cover some prefixes. After an error no page of the same list follows.
pub(crate) struct Pages<'a> {
    account: &'a Account,
    prefixes: Option<&'a BTreeSet<String>>,
    /// The lists that have not begun.
    filters: std::vec::IntoIter<Option<Filter>>,
    list: Option<OpenList>,
}

/// A list in progress.
struct OpenList {
    filter: Option<Filter>,
    token: Option<String>,
    tokens: BTreeSet<String>,
    pages: usize,
}

impl<'a> Pages<'a> {
    /// Creates the lists of these prefixes, or one list of everything.
    pub(crate) fn of(account: &'a Account, prefixes: Option<&'a BTreeSet<String>>) -> Self {
        Self {
            account,
            prefixes,
            filters: filters(prefixes).into_iter(),
            list: None,
        }
    }

    /// Reads the next page. Returns `None` after the last one.
    pub(crate) async fn next(&mut self) -> Option<Result<Page, CallError>> {
        let mut list = match self.list.take() {
            Some(list) => list,
            None => OpenList {
                filter: self.filters.next()?,
                token: None,
                tokens: BTreeSet::new(),
                pages: 0,
            },
        };
        let page = match self
            .account
            .page(list.filter.as_ref(), list.token.take())
            .await
        {
            Ok(page) => page,
            Err(rejected) => return Some(Err(rejected)),
        };
        list.pages += 1;
        list.token = convert::present(page.value.next_token()).map(str::to_owned);
        if let Some(token) = &list.token {
            // Without this check, a list that repeats itself would never end.
            if list.pages >= MAX_PAGES || !list.tokens.insert(token.clone()) {
                return Some(Err(page.malformed()));
            }
            self.list = Some(list);
        }
        Some(Ok(self.read(&page)))
    }

    /// Parses one page. An empty page can have successors.
    fn read(&self, page: &Answer<ListSecretsOutput>) -> Page {
        let mut read = Page {
            at: page.at,
            secrets: Vec::new(),
            malformed: Vec::new(),
            unnamed: None,
        };
        for entry in page.value.secret_list() {
            match convert::listed(entry) {
                Ok(secret) if self.is_within(secret.name.as_str()) => read.secrets.push(secret),
                Ok(_) => {}
                Err(_) => {
                    let error = errors::malformed(page.request_id.clone());
                    // A malformed entry with a name hides only this secret.
                    match entry.name().and_then(|name| SecretName::parse(name).ok()) {
                        Some(name) => read.malformed.push((name, error)),
                        None => read.unnamed = Some(error),
                    }
                }
            }
        }
        read
    }

    fn is_within(&self, name: &str) -> bool {
        self.prefixes.is_none_or(|prefixes| begins(name, prefixes))
    }
}

/// The result of a list filtered by one name.
pub(crate) enum Found {
    /// The secret exists.
    Listed(Box<Secret>),
    /// The secret does not exist.
    Absent,
    /// The list does not show whether the secret exists.
    Unknown,
    /// The list was refused or ended early.
    Refused(AwsError),
}

impl Account {
    /// Looks for one exact name. AWS's filter matches prefixes, so this compares whole names.
    pub(crate) async fn find(&self, name: &SecretName) -> Found {
        if !is_filterable(name.as_str()) {
            return Found::Unknown;
        }
        let filter = Filter::builder()
            .key(FilterNameStringType::Name)
            .values(name.as_str())
            .build();
        let mut token = None;
        for _ in 0..MAX_PAGES_OF_NAME {
            let page = match self.page(Some(&filter), token).await {
                Ok(page) => page,
                Err(CallError { error, .. }) => return Found::Refused(error),
            };
            let mut entries = page.value.secret_list().iter();
            if let Some(entry) = entries.find(|entry| entry.name() == Some(name.as_str())) {
                let secret = convert::listed(entry);
                return secret.map_or(Found::Unknown, |secret| Found::Listed(Box::new(secret)));
            }
            token = convert::present(page.value.next_token()).map(str::to_owned);
            if token.is_none() {
                return Found::Absent;
            }
        }
        Found::Unknown
    }

    async fn page(
        &self,
        filter: Option<&Filter>,
        token: Option<String>,
    ) -> Result<Answer<ListSecretsOutput>, CallError> {
        let turn = self.shared_reads();
        let request = self
            .sweep_client()
            .list_secrets()
            .max_results(100)
            .include_planned_deletion(true)
            .set_filters(filter.map(|filter| vec![filter.clone()]))
            .set_next_token(token);
        let asked = self.ask((Operation::ListSecrets, &turn), |interceptor| {
            request.clone().customize().interceptor(interceptor).send()
        });
        asked.await
    }
}

/// Returns one filter for up to ten prefixes. Returns one unfiltered list if there are no prefixes, if a filter cannot
/// express them, or if several filters would cost more.
fn filters(prefixes: Option<&BTreeSet<String>>) -> Vec<Option<Filter>> {
    let Some(prefixes) = prefixes else {
        return vec![None];
    };
    if prefixes.len() > MAX_VALUES || !prefixes.iter().all(|prefix| is_filterable(prefix)) {
        return vec![None];
    }
    let prefixes: Vec<_> = prefixes.iter().cloned().collect();
    let filter = |values: &[String]| {
        let key = FilterNameStringType::Name;
        Some(
            Filter::builder()
                .key(key)
                .set_values(Some(values.to_vec()))
                .build(),
        )
    };
    prefixes.chunks(MAX_VALUES).map(filter).collect()
}

/// Returns whether a filter can express the prefix. A leading `!` would negate it (API reference, "Filter").
fn is_filterable(prefix: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c);
    (1..=512).contains(&prefix.len()) && !prefix.starts_with('!') && prefix.chars().all(allowed)
}

/// Returns whether a name begins with one of the prefixes. No prefix begins with another one, so only the last prefix
/// that sorts before the name can match.
fn begins(name: &str, prefixes: &BTreeSet<String>) -> bool {
    let mut before = prefixes.range::<str, _>((Bound::Unbounded, Bound::Included(name)));
    before
        .next_back()
        .is_some_and(|prefix| name.starts_with(prefix.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters_of(prefixes: &[&str]) -> Vec<usize> {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        let values =
            |filter: &Option<Filter>| filter.as_ref().map_or(0, |filter| filter.values().len());
        filters(Some(&prefixes)).iter().map(values).collect()
    }

    #[test]
    fn a_filter_has_at_most_ten_values() {
        let many: Vec<_> = (10..33).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(filters_of(&many[..10]), [10]);
        assert_eq!(filters_of(&many), [0]);
        assert!(filters_of(&[]).is_empty());
    }

    #[test]
    fn a_prefix_that_a_filter_cannot_express_is_listed_unfiltered() {
        for prefix in ["", "!prod", "prod*", "prod\u{e9}"] {
            assert_eq!(filters_of(&["a", prefix]), [0], "{prefix}");
        }
    }
}
