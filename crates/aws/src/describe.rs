//! The look: a fresh read of one secret, on which every decision to write is based.

use std::collections::BTreeSet;

use aws_sdk_secretsmanager::Client;
use secret_rotation_core::aws_error::{AwsError, ErrorClass};
use secret_rotation_core::secret::{Look, Secret, Seen, VersionListing};
use secret_rotation_core::time::AwsTime;

use crate::account::{Account, Answer};
use crate::errors::CallError;
use crate::observer::Operation;
use crate::token_source::TokenSource;
use crate::{convert, errors};

/// AWS keeps about a hundred versions, so a list with this many pages of a hundred is not plausible.
const MAX_PAGES: usize = 100;

impl Account {
    /// Reads one secret by its full ARN or its name, with one attempt of three seconds for each request.
    ///
    /// [`Look::at`] is the `Date` of `DescribeSecret`, the oldest part of the look. A secret that does not exist is
    /// [`Seen::Absent`].
    ///
    /// # Errors
    ///
    /// Returns an [`AwsError`] if `DescribeSecret` or `ListSecretVersionIds` fails for any other reason.
    pub async fn look(&self, secret_id: &str, with_versions: bool) -> Result<Look, AwsError> {
        let mut look = self.look_paid(secret_id, &self.shared_reads()).await?;
        if let (Seen::Present(secret), true) = (&look.secret, with_versions) {
            let arn = secret.arn.as_str();
            look.versions = Some(
                self.versions(&self.look_client(), arn, &self.shared_reads())
                    .await?,
            );
        }
        Ok(look)
    }

    /// Like [`Account::look`], but without the versions and with the tokens of the caller.
    pub(crate) async fn look_paid(
        &self,
        secret_id: &str,
        tokens: &TokenSource,
    ) -> Result<Look, AwsError> {
        let described = self.describe(&self.look_client(), secret_id, tokens).await;
        let Answer { value, at, .. } = described.map_err(|rejected| rejected.error)?;
        Ok(Look {
            at,
            secret: value.map_or(Seen::Absent, |secret| Seen::Present(Box::new(secret))),
            versions: None,
        })
    }

    /// Sends `DescribeSecret`. The value is `None` if the secret does not exist.
    pub(crate) async fn describe(
        &self,
        client: &Client,
        secret_id: &str,
        tokens: &TokenSource,
    ) -> Result<Answer<Option<Secret>>, CallError> {
        let request = client.describe_secret().secret_id(secret_id);
        let asked = self.ask((Operation::DescribeSecret, tokens), |interceptor| {
            request.clone().customize().interceptor(interceptor).send()
        });
        let answer = match asked.await {
            Ok(answer) => answer,
            Err(rejected) => return absent(rejected),
        };
        match convert::described(secret_id, &answer.value) {
            Ok(secret) => Ok(answer.with(Some(secret))),
            Err(convert::Malformed) => Err(answer.malformed()),
        }
    }

    /// Reads all pages of `ListSecretVersionIds` with `IncludeDeprecated`.
    pub(crate) async fn versions(
        &self,
        client: &Client,
        secret_id: &str,
        tokens: &TokenSource,
    ) -> Result<VersionListing, AwsError> {
        let mut listing = VersionListing::default();
        let mut page_tokens = BTreeSet::new();
        let mut token = None;
        for _ in 0..MAX_PAGES {
            token = self
                .versions_page((client, tokens), secret_id, token, &mut listing)
                .await?;
            match &token {
                None => return Ok(listing),
                Some(token) if !page_tokens.insert(token.clone()) => break,
                Some(_) => {}
            }
        }
        Err(errors::malformed(None))
    }

    /// Adds one page to the listing. Returns the token of the next page, if there is one.
    async fn versions_page(
        &self,
        (client, tokens): (&Client, &TokenSource),
        secret_id: &str,
        token: Option<String>,
        listing: &mut VersionListing,
    ) -> Result<Option<String>, AwsError> {
        let request = client
            .list_secret_version_ids()
            .secret_id(secret_id)
            .include_deprecated(true)
            .max_results(100)
            .set_next_token(token);
        let page = self.ask((Operation::ListSecretVersionIds, tokens), |interceptor| {
            request.clone().customize().interceptor(interceptor).send()
        });
        let page = page.await.map_err(|rejected| rejected.error)?;
        for entry in page.value.versions() {
            let Ok((version, created)) = convert::version(entry) else {
                return Err(page.malformed().error);
            };
            listing.created.insert(version, created);
        }
        Ok(convert::present(page.value.next_token()).map(str::to_owned))
    }
}

impl<T> Answer<T> {
    /// Returns the answer with its converted value.
    pub(crate) fn with<U>(self, value: U) -> Answer<U> {
        Answer {
            value,
            at: self.at,
            request_id: self.request_id,
        }
    }

    /// Returns the error for an answer that arrived but is implausible.
    pub(crate) fn malformed(self) -> CallError {
        CallError {
            error: errors::malformed(self.request_id),
            at: Some(self.at),
        }
    }
}

/// Converts "not found" into an answer without a secret if it has a trusted date, and into an error otherwise.
fn absent(rejected: CallError) -> Result<Answer<Option<Secret>>, CallError> {
    match (rejected.error.class, rejected.at) {
        (ErrorClass::Gone, Some(at)) => Ok(gone(at, rejected.error)),
        (ErrorClass::Gone, None) => Err(CallError {
            error: errors::undated(None, rejected.error.request_id),
            at: None,
        }),
        _ => Err(rejected),
    }
}

fn gone(at: AwsTime, error: AwsError) -> Answer<Option<Secret>> {
    Answer {
        value: None,
        at,
        request_id: error.request_id,
    }
}
