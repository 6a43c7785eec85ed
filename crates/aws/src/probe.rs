//! The connectivity check for the self-test: credentials, and a list of one secret.

use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials as _;
use secret_rotation_core::aws_error::{AwsError, Cause, ErrorClass};

use crate::account::Account;
use crate::errors;
use crate::observer::Operation;

/// Finds ambient credentials in the same way as [`Account::connect`], and fetches them once.
///
/// For a web identity this calls STS, for a pod identity its agent. It does not call Secrets Manager.
///
/// # Errors
///
/// Returns an [`AwsError`] if there are no credentials or if they cannot be fetched.
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
    // The error may quote the answer of a provider, so only its class and cause are kept.
    let found = provider.provide_credentials().await;
    found.map(drop).map_err(|error| {
        let (class, cause) = errors::of_provider(&error);
        failed(class, cause)
    })
}

impl Account {
    /// Lists one secret to check that the region accepts these credentials and that `ListSecrets` is allowed. Ignores
    /// the listed secret.
    ///
    /// # Errors
    ///
    /// Returns an [`AwsError`] if the call fails.
    pub async fn reach(&self) -> Result<(), AwsError> {
        let turn = self.shared_reads();
        let request = self.sweep_client().list_secrets().max_results(1);
        let asked = self.ask((Operation::ListSecrets, &turn), |interceptor| {
            request.clone().customize().interceptor(interceptor).send()
        });
        asked.await.map(drop).map_err(|rejected| rejected.error)
    }
}
