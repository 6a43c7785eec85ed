//! The ambient credentials of the process and their expiry. Not the roles that a profile can name.

use std::fmt;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use jiff::Timestamp;
use secret_rotation_core::names::Region;

/// A callback that receives the expiry of credentials each time they are fetched. `None` if they do not expire.
pub type Renewal = Arc<dyn Fn(Option<Timestamp>) + Send + Sync>;

/// Loads a configuration with the ambient credentials: environment, profile, web identity, container, instance.
///
/// Sends no request. Accounts with the same configuration share its credentials and fetch them once. If a call to STS
/// is needed to fetch them, it goes to `region`.
pub async fn ambient(region: &Region, renewed: Renewal) -> SdkConfig {
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new(region.as_str().to_owned()))
        .load()
        .await;
    watched(config, renewed)
}

/// Returns the configuration with a credentials provider that reports each fetch to `renewed`.
fn watched(config: SdkConfig, renewed: Renewal) -> SdkConfig {
    let Some(provider) = config.credentials_provider() else {
        return config;
    };
    let watched = SharedCredentialsProvider::new(Watched { provider, renewed });
    config.into_builder().credentials_provider(watched).build()
}

/// A credentials provider that reports each fetch. The SDK caches credentials above this provider, so only new
/// credentials pass through it.
struct Watched {
    provider: SharedCredentialsProvider,
    renewed: Renewal,
}

impl ProvideCredentials for Watched {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let credentials = self.provider.provide_credentials().await?;
            let expiry = credentials.expiry();
            (self.renewed)(expiry.and_then(|expiry| Timestamp::try_from(expiry).ok()));
            Ok(credentials)
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::SystemTime;

    use aws_credential_types::credential_fn::provide_credentials_fn;
    use aws_credential_types::provider::error::CredentialsError;

    use super::*;

    #[tokio::test]
    async fn each_fetch_reports_the_expiry_of_the_credentials() {
        let end = Timestamp::from_second(1_764_000_000).expect("a time");
        let expiries = reported(Some(end.into())).await;
        assert_eq!(expiries, [Some(end), Some(end)]);
    }

    #[tokio::test]
    async fn credentials_without_an_expiry_are_reported_as_such() {
        assert_eq!(reported(None).await, [None, None]);
    }

    #[tokio::test]
    async fn credentials_that_cannot_be_fetched_are_not_reported() {
        let expiries = Arc::new(Mutex::new(Vec::new()));
        let refusing = provide_credentials_fn(|| async {
            Err(CredentialsError::not_loaded("there are none"))
        });
        let config = watched(
            config(SharedCredentialsProvider::new(refusing)),
            note(&expiries),
        );
        let provider = config.credentials_provider().expect("it was set");
        assert!(provider.provide_credentials().await.is_err());
        assert_eq!(*expiries.lock().expect("notes"), []);
    }

    async fn reported(expiry: Option<SystemTime>) -> Vec<Option<Timestamp>> {
        let expiries = Arc::new(Mutex::new(Vec::new()));
        let credentials = Credentials::new("AKIDEXAMPLE", "key", None, expiry, "test");
        let config = watched(
            config(SharedCredentialsProvider::new(credentials)),
            note(&expiries),
        );
        let provider = config.credentials_provider().expect("it was set");
        for _ in 0..2 {
            provider.provide_credentials().await.expect("credentials");
        }
        let expiries = expiries.lock().expect("notes");
        expiries.clone()
    }

    fn config(provider: SharedCredentialsProvider) -> SdkConfig {
        SdkConfig::builder().credentials_provider(provider).build()
    }

    fn note(expiries: &Arc<Mutex<Vec<Option<Timestamp>>>>) -> Renewal {
        let expiries = Arc::clone(expiries);
        Arc::new(move |expiry| expiries.lock().expect("notes").push(expiry))
    }
}
