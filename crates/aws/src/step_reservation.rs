//! The reservation for one step of an operation. It holds all tokens of the step before the first read, so no request
//! waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secret_rotation_core::advance::{Request, Write};
use secret_rotation_core::aws_error::AwsError;
use secret_rotation_core::names::{Arn, ObjectKey};
use secret_rotation_core::secret::Look;

use crate::account::Account;
use crate::apply::Applied;
use crate::errors::CallError;
use crate::step_queue::StepNeed;
use crate::token_source::{ReservedTokens, TokenSource};

/// The right to take one step at once: its reads, and the write that may follow. Unused tokens go back when it is
/// dropped.
pub struct StepReservation {
    account: Account,
    reads: Arc<ReservedTokens>,
    writes: Arc<ReservedTokens>,
}

impl Account {
    /// Reserves the tokens for one step of an operation, or keeps a position in the queue for it.
    ///
    /// # Errors
    ///
    /// Returns the time to wait if the tokens are not available yet. The operation holds no tokens and no reads
    /// meanwhile, so nothing becomes stale.
    pub fn reserve_step(
        &self,
        who: &ObjectKey,
        need: StepNeed,
    ) -> Result<StepReservation, Duration> {
        let need = self.step_queue().reserve(who, need)?;
        Ok(StepReservation {
            account: self.clone(),
            reads: Arc::new(ReservedTokens::new(self.reads(), need.reads)),
            writes: Arc::new(ReservedTokens::new(self.writes(), u32::from(need.write))),
        })
    }

    /// Gives up the position of an operation that takes no step after all.
    pub fn leave_queue(&self, who: &ObjectKey) {
        self.step_queue().leave(who);
    }

    /// Returns the next operations and the time until their turn. Call it after a step, because unused tokens may have
    /// come back.
    pub fn next_in_queue(&self) -> Vec<(ObjectKey, Duration)> {
        self.step_queue().next()
    }
}

impl StepReservation {
    /// Returns the account.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Reads one secret by its full ARN or its name, like [`Account::look`] without the versions.
    ///
    /// # Errors
    ///
    /// Returns an [`AwsError`] if the call fails. A secret that does not exist is not an error.
    pub async fn look(&self, secret_id: &str) -> Result<Look, AwsError> {
        self.account.look_paid(secret_id, &self.read_tokens()).await
    }

    /// Adds the list of versions to a look. [`Look::at`] stays that of `DescribeSecret`, the oldest part of the look.
    ///
    /// # Errors
    ///
    /// Returns an [`AwsError`] if a call fails.
    pub async fn list_versions(&self, look: &mut Look, arn: &Arn) -> Result<(), AwsError> {
        let (client, read_tokens) = (self.account.look_client(), self.read_tokens());
        let versions = self
            .account
            .versions(&client, arn.as_str(), &read_tokens)
            .await?;
        look.versions = Some(versions);
        Ok(())
    }

    /// Returns whether the step has a token for a write, and takes one if it is available now. This step has begun and
    /// holds fresh reads, so it goes before waiting operations.
    pub fn may_write(&mut self) -> bool {
        if self.writes.is_empty() && self.account.writes().try_take_all(1) {
            self.writes = Arc::new(ReservedTokens::new(self.account.writes(), 1));
        }
        !self.writes.is_empty()
    }

    /// Takes a position in the queue for a step with a write. Returns the time until the operation should come back.
    pub fn queue_write(&self, who: &ObjectKey) -> Duration {
        let need = StepNeed {
            reads: 2,
            write: true,
            begun: true,
        };
        let booked = self.account.reserve_step(who, need);
        booked.err().unwrap_or_default()
    }

    /// Sends one write once, without a retry and without a wait before it. It takes at most ten seconds.
    ///
    /// The request names the secret by its full ARN. A rotation carries its token and nothing else, because rules or a
    /// function would change the configuration of the secret.
    ///
    /// # Errors
    ///
    /// Returns a [`CallError`] if the call fails. AWS may have applied the write nevertheless.
    pub async fn apply(&self, write: &Write) -> Result<Applied, CallError> {
        self.send(write.arn(), write.request()).await
    }

    pub(crate) async fn send(&self, arn: &Arn, request: &Request) -> Result<Applied, CallError> {
        let read_tokens = TokenSource::Reserved(Arc::clone(&self.writes));
        self.account.send(arn, request, &read_tokens).await
    }

    fn read_tokens(&self) -> TokenSource {
        TokenSource::Reserved(Arc::clone(&self.reads))
    }
}

impl fmt::Debug for StepReservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepReservation")
            .field("region", self.account.region())
            .finish_non_exhaustive()
    }
}
