//! Whether AWS lets us in at all, for a self-test: credentials, and one list of one secret.

use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials as _;
use secret_rotation_core::aws_error::{AwsError, Cause, ErrorClass};

use crate::account::Account;
use crate::errors;
use crate::observer::Operation;

/// Looks for ambient credentials as [`Account::connect`] does, and asks for them once.
///
/// A web identity is exchanged at STS, a pod identity at its agent; Secrets Manager is not asked.
pub async fn find_credentials() -> Result<(), AwsError> {
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .load()
        .await;
    let failed = |class, cause: Option<Cause>| AwsError {
        class,
        code: cause.map(|cause| cause.name().to_owned()),
        request_id: None,
    };
    let Some(provider) = config.credentials_provider() else {
        return Err(failed(ErrorClass::Credentials, None));
    };
    // Its error may quote what a provider answered, so that only its kind is kept.
    let found = provider.provide_credentials().await;
    found.map(drop).map_err(|error| {
        let (class, cause) = errors::of_provider(&error);
        failed(class, cause)
    })
}

impl Account {
    /// Lists one secret: whether the region answers these credentials, and `ListSecrets` is allowed. What is listed is
    /// not looked at.
    pub async fn reach(&self) -> Result<(), AwsError> {
        let turn = self.shared_reads();
        let request = self.sweep_client().list_secrets().max_results(1);
        let asked = self.ask((Operation::ListSecrets, &turn), |interceptor| {
            request.clone().customize().interceptor(interceptor).send()
        });
        asked.await.map(drop).map_err(|rejected| rejected.error)
    }
}
