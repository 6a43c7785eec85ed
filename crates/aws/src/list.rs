//! The pages of `ListSecrets`.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::operation::list_secrets::ListSecretsOutput;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType};
use secret_rotation_core::identity::Arn;
use secret_rotation_core::secret::Secret;

use crate::account::Answer;
use crate::apply::Rejected;
use crate::call::Operation;
use crate::sweep::Sweep;
use crate::{errors, parse};

/// AWS allows 500,000 secrets in a region: 5,000 pages.
const MAX_PAGES: usize = 6000;

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
        let mut tokens = BTreeSet::new();
        let mut token = None;
        for _ in 0..MAX_PAGES {
            token = match self.page(filter, token).await {
                Ok(page) => self.read(&page, found),
                Err(Rejected { error, at }) => {
                    self.note_time(at);
                    return self.note_gap(error);
                }
            };
            match &token {
                None => return,
                Some(token) if !tokens.insert(token.clone()) => break,
                Some(_) => {}
            }
        }
        self.note_gap(errors::malformed(None));
    }

    async fn page(
        &self,
        filter: Option<&Filter>,
        token: Option<String>,
    ) -> Result<Answer<ListSecretsOutput>, Rejected> {
        let turn = self.account.turn();
        let request = self
            .account
            .sweeper()
            .list_secrets()
            .max_results(100)
            .include_planned_deletion(true)
            .set_filters(filter.map(|filter| vec![filter.clone()]))
            .set_next_token(token);
        let asked = self.account.ask((Operation::ListSecrets, &turn), |probe| {
            request.clone().customize().interceptor(probe).send()
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
            match parse::listed(entry) {
                Ok(secret) => {
                    found.insert(secret.arn.clone(), secret);
                }
                Err(parse::Malformed) => {
                    self.note_gap(errors::malformed(page.request_id.clone()));
                }
            }
        }
        parse::present(page.value.next_token()).map(str::to_owned)
    }
}

/// One filter for each ten prefixes; one unfiltered list where a filter cannot say it, or nothing limits it.
fn filters(prefixes: Option<&BTreeSet<String>>) -> Vec<Option<Filter>> {
    let Some(prefixes) = prefixes else {
        return vec![None];
    };
    if !prefixes.iter().all(|prefix| is_filterable(prefix)) {
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

/// Whether a name begins with one of the prefixes.
fn begins(name: &str, prefixes: &BTreeSet<String>) -> bool {
    prefixes
        .iter()
        .any(|prefix| name.starts_with(prefix.as_str()))
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
        assert_eq!(filters_of(&many), [10, 10, 3]);
        assert!(filters_of(&[]).is_empty());
    }

    #[test]
    fn what_a_filter_cannot_say_is_listed_unfiltered() {
        for prefix in ["", "!prod", "prod*", "prod\u{e9}"] {
            assert_eq!(filters_of(&["a", prefix]), [0], "{prefix}");
        }
    }
}
