//! Where the tokens of a request come from: the shared bucket, or what was reserved for a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::token_bucket::TokenBucket;

/// Tokens of one bucket that were taken in advance. Those that are left go back.
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

    /// Pays for a request. One that was not foreseen is paid by whoever comes next: it must not wait.
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

/// Who pays for a request.
#[derive(Clone, Debug)]
pub(crate) enum TokenSource {
    /// It waits until it is its turn.
    Shared(Arc<TokenBucket>),
    /// It was paid for.
    Reserved(Arc<ReservedTokens>),
}

impl TokenSource {
    /// Returns once the request may be sent.
    pub(crate) async fn acquire(&self) {
        match self {
            Self::Shared(bucket) => bucket.take().await,
            Self::Reserved(reserved) => reserved.consume(),
        }
    }

    /// Pays for a retry, which has been sent already.
    pub(crate) fn charge_retry(&self) {
        match self {
            Self::Shared(bucket) => bucket.overdraw(1),
            Self::Reserved(reserved) => reserved.consume(),
        }
    }
}
