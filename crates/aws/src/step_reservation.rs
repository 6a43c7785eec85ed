//! What one step of an operation may ask of AWS: paid for before it reads anything, so that nothing in it waits.

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

/// The right to take one step at once: its reads, and the write that may follow. What is left goes back when it is dropped.
pub struct StepReservation {
    account: Account,
    reads: Arc<ReservedTokens>,
    writes: Arc<ReservedTokens>,
}

impl Account {
    /// Pays for one step of an operation, or says when to come back for it; the place in the line is kept meanwhile.
    ///
    /// # Errors
    ///
    /// How long to wait. Nothing is held meanwhile, so nothing grows stale.
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

    /// Gives up the place of an operation that takes no step after all.
    pub fn leave_queue(&self, who: &ObjectKey) {
        self.step_queue().leave(who);
    }

    /// Who is next, and in how long: to be asked after a step, whose tokens may have come back.
    pub fn next_in_queue(&self) -> Vec<(ObjectKey, Duration)> {
        self.step_queue().next()
    }
}

impl StepReservation {
    /// The account that is asked.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Looks at one secret, by whole ARN or by name, as [`Account::look`] without the versions.
    pub async fn look(&self, secret_id: &str) -> Result<Look, AwsError> {
        self.account.look_paid(secret_id, &self.read_tokens()).await
    }

    /// Adds the list of versions to a look. `at` stays that of `DescribeSecret`, the oldest part of the look.
    pub async fn list_versions(&self, look: &mut Look, arn: &Arn) -> Result<(), AwsError> {
        let (client, read_tokens) = (self.account.look_client(), self.read_tokens());
        let versions = self
            .account
            .versions(&client, arn.as_str(), &read_tokens)
            .await?;
        look.versions = Some(versions);
        Ok(())
    }

    /// Whether a write is paid for, or can be paid at once: this step has begun and holds fresh reads, so it goes before
    /// those who wait.
    pub fn may_write(&mut self) -> bool {
        if self.writes.is_empty() && self.account.writes().try_take_all(1) {
            self.writes = Arc::new(ReservedTokens::new(self.account.writes(), 1));
        }
        !self.writes.is_empty()
    }

    /// Takes a place in the line for a step that writes, and says when to come back for it.
    pub fn book_write(&self, who: &ObjectKey) -> Duration {
        let need = StepNeed {
            reads: 2,
            write: true,
            begun: true,
        };
        let booked = self.account.reserve_step(who, need);
        booked.err().unwrap_or_default()
    }

    /// Sends one write, once: no retry of any kind, no wait before it, and at most ten seconds.
    ///
    /// The secret is named by its whole ARN. A rotation carries its token and nothing else: rules or a function
    /// would change the secret's configuration.
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
        f.debug_struct("Ticket")
            .field("region", self.account.region())
            .finish_non_exhaustive()
    }
}
