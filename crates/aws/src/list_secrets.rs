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

/// AWS allows 500,000 secrets in a region: 5,000 pages.
const MAX_PAGES: usize = 6000;

/// A filter by name is a prefix: more pages than this are not read to find one name.
const MAX_PAGES_OF_NAME: usize = 3;

/// AWS allows ten values in a filter.
const MAX_VALUES: usize = 10;

impl Sweep<'_> {
    /// Everything the lists tell of, by ARN; what goes wrong is noted as a gap.
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
                    self.note_time(at);
                    return self.note_gap(error);
                }
            };
            match &token {
                None => return,
                Some(token) if !page_tokens.insert(token.clone()) => break,
                Some(_) => {}
            }
        }
        self.note_gap(errors::malformed(None));
    }

    /// Looks for one exact name: AWS's filter is a prefix, so each name is compared whole.
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

    /// Adds one page; the token of the next one, if there is one. An empty page may have one.
    fn read(
        &mut self,
        page: &Answer<ListSecretsOutput>,
        found: &mut BTreeMap<Arn, Secret>,
    ) -> Option<String> {
        self.note_time(Some(page.at));
        for entry in page.value.secret_list() {
            if let Ok(secret) = convert::listed(entry) {
                found.insert(secret.arn.clone(), secret);
            } else {
                let error = errors::malformed(page.request_id.clone());
                // One secret that can be named blinds nobody for the others. An entry without a name could be any.
                match entry.name().and_then(|name| SecretName::parse(name).ok()) {
                    Some(name) => self.note_torn(name, error),
                    None => self.note_gap(error),
                }
            }
        }
        convert::present(page.value.next_token()).map(str::to_owned)
    }
}

/// One filter for up to ten prefixes; one unfiltered list where a filter cannot say it, nothing limits it, or more filters
/// would cost more.
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

/// A leading `!` would negate (API reference, "Filter").
fn is_filterable(prefix: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " :_@/+=.-!".contains(c);
    (1..=512).contains(&prefix.len()) && !prefix.starts_with('!') && prefix.chars().all(allowed)
}

/// Whether a name begins with one of the prefixes, of which none begins with another: only the last one that sorts before
/// the name can.
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
    fn what_a_filter_cannot_say_is_listed_unfiltered() {
        for prefix in ["", "!prod", "prod*", "prod\u{e9}"] {
            assert_eq!(filters_of(&["a", prefix]), [0], "{prefix}");
        }
    }
}
