//! The writes: the only requests of this crate that change a secret.

use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use secret_rotation_core::advance::Request;
use secret_rotation_core::names::{Arn, StageLabel, VersionId};
use secret_rotation_core::time::AwsTime;

use crate::account::Account;
use crate::errors::CallError;
use crate::interceptor::CallInterceptor;
use crate::observer::Operation;
use crate::token_source::TokenSource;

/// A write that AWS accepted. An accepted rotation is not finished yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The `Date` header of the answer.
    pub at: AwsTime,
    /// AWS's request id, for AWS Support and the audit record.
    pub request_id: Option<String>,
}

impl Account {
    /// Sends one request, once; see [`StepReservation::apply`](crate::StepReservation::apply).
    pub(crate) async fn send(
        &self,
        arn: &Arn,
        request: &Request,
        tokens: &TokenSource,
    ) -> Result<Applied, CallError> {
        match request {
            Request::Attach { label, version } => {
                self.move_label(arn, label, (None, Some(version)), tokens)
                    .await
            }
            Request::Detach { label, version } => {
                self.move_label(arn, label, (Some(version), None), tokens)
                    .await
            }
            Request::Move { label, from, to } => {
                self.move_label(arn, label, (Some(from), Some(to)), tokens)
                    .await
            }
            Request::RestoreSecret => self.restore(arn, tokens).await,
            Request::Rotate { token } => self.rotate(arn, token, tokens).await,
        }
    }

    async fn move_label(
        &self,
        arn: &Arn,
        label: &StageLabel,
        (from, to): (Option<&VersionId>, Option<&VersionId>),
        tokens: &TokenSource,
    ) -> Result<Applied, CallError> {
        let text = |version: &VersionId| version.as_str().to_owned();
        let interceptor = self.interceptor(Operation::UpdateSecretVersionStage, tokens);
        let request = self
            .write_client()
            .update_secret_version_stage()
            .secret_id(arn.as_str())
            .version_stage(label.as_str())
            .set_remove_from_version_id(from.map(text))
            .set_move_to_version_id(to.map(text));
        let sending = request.customize().interceptor(interceptor.clone()).send();
        self.written(&interceptor, sending).await
    }

    async fn restore(&self, arn: &Arn, tokens: &TokenSource) -> Result<Applied, CallError> {
        let interceptor = self.interceptor(Operation::RestoreSecret, tokens);
        let request = self.write_client().restore_secret().secret_id(arn.as_str());
        let sending = request.customize().interceptor(interceptor.clone()).send();
        self.written(&interceptor, sending).await
    }

    async fn rotate(
        &self,
        arn: &Arn,
        token: &VersionId,
        tokens: &TokenSource,
    ) -> Result<Applied, CallError> {
        let interceptor = self.interceptor(Operation::RotateSecret, tokens);
        let request = self
            .write_client()
            .rotate_secret()
            .secret_id(arn.as_str())
            .client_request_token(token.as_str());
        let sending = request.customize().interceptor(interceptor.clone()).send();
        self.written(&interceptor, sending).await
    }

    async fn written<T, E>(
        &self,
        interceptor: &CallInterceptor,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<Applied, CallError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let answer = self.call(interceptor, sending).await?;
        Ok(Applied {
            at: answer.at,
            request_id: answer.request_id,
        })
    }
}
