//! The API server as the user reaches it: with the user's kubeconfig, namespace and permissions.
//!
//! Every error has a hint; see [`errors`].

mod check_request;
mod client;
mod clock;
mod connection;
mod errors;
pub(crate) mod events;
mod kind;
mod kubeconfig;
mod options;
mod suggest;
pub(crate) mod wait;

pub(crate) use self::check_request::{request_check, suspended};
pub(crate) use self::client::Cluster;
pub(crate) use self::errors::ApiRequest;
pub(crate) use self::kind::{Kind, type_and_name};
pub(crate) use self::options::ClusterOptions;
pub(crate) use self::suggest::similar_names;
