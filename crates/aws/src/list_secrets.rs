//! The pages of `ListSecrets`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use aws_sdk_secretsmanager::operation::list_secrets::ListSecretsOutput;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
use secret_rotation_core::names::{Arn, SecretName};
use secret_rotation_core::secret::Secret;

use crate::account::Answer;
use crate::errors::CallError;
use crate::inventory::{Found, Sweep};
use crate::observer::Operation;
use crate::{convert, errors};

/// The maximum number of pages of one list. AWS allows 500,000 secrets in a region, which are 5,000 pages.
const MAX_PAGES: usize = 6000;

/// The maximum number of pages that are read to find one name, because a filter by name matches prefixes.
const MAX_PAGES_OF_NAME: usize = 3;

/// The maximum number of values in a filter.
const MAX_VALUES: usize = 10;

impl Sweep<'_> {
    /// Returns the listed secrets by ARN. A failure is recorded as a gap.
    pub(crate) async fn listed(
        &mut self,
        prefixes: Option<&BTreeSet<String>>,
    ) -> BTreeMap<Arn, Secret> {
        let mut found = BTreeMap::new();
        for filter in filters(prefixes) {
            self.pages(filter.as_ref(), &mut found).await;
        }
        if let Some(prefixes) = prefixes {
            found.retain(|_, secret| begins(secret.name.as_str(), prefixes));
        }
        found
    }

    async fn pages(&mut self, filter: Option<&Filter>, found: &mut BTreeMap<Arn, Secret>) {
        let mut page_tokens = BTreeSet::new();
        let mut token = None;
        for _ in 0..MAX_PAGES {
            token = match self.page(filter, token).await {
                Ok(page) => self.read(&page, found),
                Err(CallError { error, at }) => {
                    self.record_time(at);
                    return self.record_gap(error);
                }
            };
            match &token {
                None => return,
                Some(token) if !page_tokens.insert(token.clone()) => break,
                Some(_) => {}
            }
        }
        self.record_gap(errors::malformed(None));
    }

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
        let turn = self.account.shared_reads();
        let request = self
            .account
            .sweep_client()
            .list_secrets()
            .max_results(100)
            .include_planned_deletion(true)
            .set_filters(filter.map(|filter| vec![filter.clone()]))
            .set_next_token(token);
        let asked = self
            .account
            .ask((Operation::ListSecrets, &turn), |interceptor| {
                request.clone().customize().interceptor(interceptor).send()
            });
        asked.await
    }

    /// Adds one page. Returns the token of the next page, if there is one. An empty page can have one.
    fn read(
        &mut self,
        page: &Answer<ListSecretsOutput>,
        found: &mut BTreeMap<Arn, Secret>,
    ) -> Option<String> {
        self.record_time(Some(page.at));
        for entry in page.value.secret_list() {
            if let Ok(secret) = convert::listed(entry) {
                found.insert(secret.arn.clone(), secret);
            } else {
                let error = errors::malformed(page.request_id.clone());
                // A malformed entry with a name hides only this secret. An entry without a name could be any secret, so
                // it is a gap.
                match entry.name().and_then(|name| SecretName::parse(name).ok()) {
                    Some(name) => self.record_malformed(name, error),
                    None => self.record_gap(error),
                }
            }
        }
        convert::present(page.value.next_token()).map(str::to_owned)
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
