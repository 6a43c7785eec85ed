//! The simulator against AWS's own word, fact by fact, through the Rust SDK and the AWS CLI.
//!
//! Not a test of the controller: where AWS is silent the simulator has a switch, and only its default is looked at.
//!
//! How the sources are named:
//!
//! - *API reference, X*: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_X.html>; the same text is
//!   botocore's `secretsmanager/2017-10-17/service-2.json`
//! - *User Guide, x*: <https://docs.aws.amazon.com/secretsmanager/latest/userguide/x.html>
//! - *PCS User Guide*: AWS Parallel Computing Service User Guide, "Rotate a cluster secret"
//! - *LocalStack recording*: answers of AWS itself, recorded with
//!   <https://github.com/localstack/localstack/tree/master/tests/aws/services/secretsmanager>
//! - *Terraform provider*: <https://github.com/hashicorp/terraform-provider-aws>, `internal/service/secretsmanager`, and its
//!   acceptance tests against AWS
//! - *Sample functions*: <https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas>
//! - *SDK source*: the crates `aws-sdk-secretsmanager` and `aws-smithy-*`

#![expect(
    clippy::disallowed_methods,
    reason = "the oracle is judged on every operation, also on those that the product never calls"
)]
#![expect(
    clippy::doc_markdown,
    reason = "the names of documents and projects are no code"
)]

mod account;
mod describing;
mod kinds;
mod labels;
mod listing;
mod machine;
mod queues;
mod rotating;
mod runbook;
mod schedules;
mod values;
mod versions;
mod wire;
