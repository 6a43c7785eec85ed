//! The only requests of this crate that change something.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use secret_rotation_core::advance::Request;
use secret_rotation_core::names::{Arn, StageLabel, VersionId};
use secret_rotation_core::time::AwsTime;

use crate::account::Account;
use crate::errors::Rejected;
use crate::interceptor::Probe;
use crate::observer::Operation;
use crate::token_source::Payer;

/// A write that AWS accepted. For a rotation that means accepted, not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The `Date` header of the answer.
    pub at: AwsTime,
    /// AWS's request id, for support and the audit.
    pub request_id: Option<String>,
}

impl Account {
    /// Sends one request, once; see [`Ticket::apply`](crate::Ticket::apply).
    pub(crate) async fn send(
        &self,
        arn: &Arn,
        request: &Request,
        payer: &Payer,
    ) -> Result<Applied, Rejected> {
        match request {
            Request::Attach { label, version } => {
                self.move_label(arn, label, (None, Some(version)), payer)
                    .await
            }
            Request::Detach { label, version } => {
                self.move_label(arn, label, (Some(version), None), payer)
                    .await
            }
            Request::Move { label, from, to } => {
                self.move_label(arn, label, (Some(from), Some(to)), payer)
                    .await
            }
            Request::RestoreSecret => self.restore(arn, payer).await,
            Request::Rotate { token } => self.rotate(arn, token, payer).await,
        }
    }

    async fn move_label(
        &self,
        arn: &Arn,
        label: &StageLabel,
        (from, to): (Option<&VersionId>, Option<&VersionId>),
        payer: &Payer,
    ) -> Result<Applied, Rejected> {
        let text = |version: &VersionId| version.as_str().to_owned();
        let probe = self.probe(Operation::UpdateSecretVersionStage, payer);
        let request = self
            .writer()
            .update_secret_version_stage()
            .secret_id(arn.as_str())
            .version_stage(label.as_str())
            .set_remove_from_version_id(from.map(text))
            .set_move_to_version_id(to.map(text));
        let sending = request.customize().interceptor(probe.clone()).send();
        self.written(&probe, sending).await
    }

    async fn restore(&self, arn: &Arn, payer: &Payer) -> Result<Applied, Rejected> {
        let probe = self.probe(Operation::RestoreSecret, payer);
        let request = self.writer().restore_secret().secret_id(arn.as_str());
        let sending = request.customize().interceptor(probe.clone()).send();
        self.written(&probe, sending).await
    }

    async fn rotate(
        &self,
        arn: &Arn,
        token: &VersionId,
        payer: &Payer,
    ) -> Result<Applied, Rejected> {
        let probe = self.probe(Operation::RotateSecret, payer);
        let request = self
            .writer()
            .rotate_secret()
            .secret_id(arn.as_str())
            .client_request_token(token.as_str());
        let sending = request.customize().interceptor(probe.clone()).send();
        self.written(&probe, sending).await
    }

    async fn written<T, E>(
        &self,
        probe: &Probe,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<Applied, Rejected>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let answer = self.call(probe, sending).await?;
        Ok(Applied {
            at: answer.at,
            request_id: answer.request_id,
        })
    }
}
