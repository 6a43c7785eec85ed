//! The source of the tokens of a request: the shared bucket, or the tokens reserved for a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::token_bucket::TokenBucket;

/// Tokens of one bucket that were taken in advance. Unused tokens go back when they are dropped.
#[derive(Debug)]
pub(crate) struct ReservedTokens {
    bucket: Arc<TokenBucket>,
    tokens: AtomicU32,
}

impl ReservedTokens {
    pub(crate) fn new(bucket: &Arc<TokenBucket>, tokens: u32) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            tokens: AtomicU32::new(tokens),
        }
    }

    /// Takes one token. A request that was not reserved must not wait, so it overdraws the bucket.
    fn consume(&self) {
        let less = |tokens: u32| tokens.checked_sub(1);
        let paid = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if paid.is_err() {
            self.bucket.overdraw(1);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) == 0
    }
}

impl Drop for ReservedTokens {
    fn drop(&mut self) {
        self.bucket.put_back(*self.tokens.get_mut());
    }
}

/// The source of the tokens of a request.
#[derive(Clone, Debug)]
pub(crate) enum TokenSource {
    /// The request waits for a token of the shared bucket.
    Shared(Arc<TokenBucket>),
    /// The request uses reserved tokens.
    Reserved(Arc<ReservedTokens>),
}

impl TokenSource {
    /// Takes a token. Returns once the request may be sent.
    pub(crate) async fn acquire(&self) {
        match self {
            Self::Shared(bucket) => bucket.take().await,
            Self::Reserved(reserved) => reserved.consume(),
        }
    }

    /// Takes a token for a retry that has been sent already.
    pub(crate) fn charge_retry(&self) {
        match self {
            Self::Shared(bucket) => bucket.overdraw(1),
            Self::Reserved(reserved) => reserved.consume(),
        }
    }
}
