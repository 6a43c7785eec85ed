//! The identity that the process has of itself, and until when it holds. Not the roles that a profile may name.

use std::fmt;
use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use jiff::Timestamp;
use secret_rotation_core::names::Region;

/// Told each time credentials are fetched until when they hold; `None` = they do not end.
pub type Renewal = Arc<dyn Fn(Option<Timestamp>) + Send + Sync>;

/// Finds the ambient credentials: environment, profile, web identity, container, instance.
///
/// Asks nothing yet. Accounts made with one configuration share its credentials and fetch them once. Where
/// fetching them takes a call to STS, it goes to `region`.
pub async fn ambient(region: &Region, renewed: Renewal) -> SdkConfig {
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new(region.as_str().to_owned()))
        .load()
        .await;
    watched(config, renewed)
}

/// The same configuration, whose credentials are told of.
fn watched(config: SdkConfig, renewed: Renewal) -> SdkConfig {
    let Some(provider) = config.credentials_provider() else {
        return config;
    };
    let watched = SharedCredentialsProvider::new(Watched { provider, renewed });
    config.into_builder().credentials_provider(watched).build()
}

/// Credentials that are told of as they pass. The SDK caches them above, so that they pass only when they are new.
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
    async fn each_fetch_tells_until_when_the_credentials_hold() {
        let end = Timestamp::from_second(1_764_000_000).expect("a time");
        let told = told_of(Some(end.into())).await;
        assert_eq!(told, [Some(end), Some(end)]);
    }

    #[tokio::test]
    async fn credentials_without_an_end_are_told_as_such() {
        assert_eq!(told_of(None).await, [None, None]);
    }

    #[tokio::test]
    async fn credentials_that_cannot_be_fetched_are_not_told_of() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let refusing = provide_credentials_fn(|| async {
            Err(CredentialsError::not_loaded("there are none"))
        });
        let config = watched(
            config(SharedCredentialsProvider::new(refusing)),
            note(&told),
        );
        let provider = config.credentials_provider().expect("it was set");
        assert!(provider.provide_credentials().await.is_err());
        assert_eq!(*told.lock().expect("notes"), []);
    }

    async fn told_of(expiry: Option<SystemTime>) -> Vec<Option<Timestamp>> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let credentials = Credentials::new("AKIDEXAMPLE", "key", None, expiry, "test");
        let config = watched(
            config(SharedCredentialsProvider::new(credentials)),
            note(&told),
        );
        let provider = config.credentials_provider().expect("it was set");
        for _ in 0..2 {
            provider.provide_credentials().await.expect("credentials");
        }
        let told = told.lock().expect("notes");
        told.clone()
    }

    fn config(provider: SharedCredentialsProvider) -> SdkConfig {
        SdkConfig::builder().credentials_provider(provider).build()
    }

    fn note(told: &Arc<Mutex<Vec<Option<Timestamp>>>>) -> Renewal {
        let told = Arc::clone(told);
        Arc::new(move |expiry| told.lock().expect("notes").push(expiry))
    }
}
