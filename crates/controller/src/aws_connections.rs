//! One connection to AWS per profile and region, kept as long as its rate limits stay the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secret_rotation_aws::{
    Account, Call, Endpoint, EventQueue, Observer, RateLimits, Renewal, SdkConfig,
};
use secret_rotation_core::names::{QueueArn, Region};
use secret_rotation_core::profile::Profile;

use crate::metrics::{CallCode, Metrics};
use crate::outage::RegionOutage;
use crate::profile_region::ProfileRegion;
use crate::read_health::ReadHealth;

/// All connections to AWS.
pub(crate) struct Connections {
    made: tokio::sync::Mutex<BTreeMap<ProfileRegion, Connection>>,
    queues: tokio::sync::Mutex<BTreeMap<QueueArn, EventQueue>>,
    /// The credentials of the process, which all connections share.
    ambient: tokio::sync::OnceCell<SdkConfig>,
    observer: Observer,
    renewed: Renewal,
    read_health: Arc<ReadHealth>,
}

/// A connection, and whether its region answers.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    limits: RateLimits,
    /// The connection.
    pub account: Account,
    /// Whether the region answers the steps of operations.
    pub outage: Arc<RegionOutage>,
}

impl Connections {
    /// Creates a pool without connections.
    pub(crate) fn new(metrics: Arc<Metrics>, read_health: Arc<ReadHealth>) -> Self {
        let (called, recorder) = (Arc::clone(&metrics), Arc::clone(&read_health));
        let observer: Observer = Arc::new(move |call: &Call| {
            recorder.record_call(call.class);
            called.aws_called(
                call.operation,
                CallCode::of(call.class),
                call.duration,
                call.retries,
            );
        });
        Self {
            made: tokio::sync::Mutex::new(BTreeMap::new()),
            queues: tokio::sync::Mutex::new(BTreeMap::new()),
            ambient: tokio::sync::OnceCell::new(),
            observer,
            renewed: Arc::new(move |expiry| metrics.credentials_expire(expiry)),
            read_health,
        }
    }

    /// Clears how calls ended: from now on, another replica makes them.
    pub(crate) fn forget_term(&self) {
        self.read_health.forget();
    }

    /// Returns the connection for a region of a profile.
    pub(crate) async fn of(&self, profile: &Profile, region: &Region) -> Connection {
        let profile_region = ProfileRegion {
            profile: profile.name.clone(),
            region: region.clone(),
        };
        let limits = RateLimits::from(profile.rate_limit);
        let mut made = self.made.lock().await;
        if let Some(known) = made
            .get(&profile_region)
            .filter(|known| known.limits == limits)
        {
            return known.clone();
        }
        let config = self.config(region).await;
        let observer = Arc::clone(&self.observer);
        let account = Account::with_config(config, region.clone(), limits, observer);
        let fresh = Connection {
            limits,
            account,
            outage: Arc::default(),
        };
        made.insert(profile_region, fresh.clone());
        fresh
    }

    /// Returns the connection to an event queue.
    pub(crate) async fn queue(&self, arn: &QueueArn) -> EventQueue {
        let mut queues = self.queues.lock().await;
        if let Some(known) = queues.get(arn) {
            return known.clone();
        }
        let config = self.config(arn.region()).await;
        let fresh = EventQueue::with_config(config, arn.clone(), Arc::clone(&self.observer));
        queues.insert(arn.clone(), fresh.clone());
        fresh
    }

    async fn config(&self, region: &Region) -> &SdkConfig {
        let ambient = || secret_rotation_aws::ambient(region, Arc::clone(&self.renewed));
        self.ambient.get_or_init(ambient).await
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

/// Checks the custom endpoint of the environment before any call is made, and logs it.
pub(crate) fn custom_endpoint(
    allowed: bool,
) -> Result<Option<Endpoint>, secret_rotation_aws::EndpointError> {
    let endpoint = Endpoint::discover(|name| std::env::var(name).ok(), allowed)?;
    if let Some(endpoint) = &endpoint {
        tracing::warn!(
            address = endpoint.address(),
            variable = endpoint.variable(),
            "custom AWS endpoint in use"
        );
    }
    Ok(endpoint)
}
