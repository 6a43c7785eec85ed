//! Where the tokens of a request come from: the shared bucket, or what was reserved for a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::token_bucket::Bucket;

/// Tokens of one bucket that were taken in advance. Those that are left go back.
#[derive(Debug)]
pub(crate) struct Purse {
    bucket: Arc<Bucket>,
    tokens: AtomicU32,
}

impl Purse {
    pub(crate) fn new(bucket: &Arc<Bucket>, tokens: u32) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            tokens: AtomicU32::new(tokens),
        }
    }

    /// Pays for a request. One that was not foreseen is paid by whoever comes next: it must not wait.
    fn pay(&self) {
        let less = |tokens: u32| tokens.checked_sub(1);
        let paid = self
            .tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if paid.is_err() {
            self.bucket.spend(1);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.bucket.put_back(*self.tokens.get_mut());
    }
}

/// Who pays for a request.
#[derive(Clone, Debug)]
pub(crate) enum Payer {
    /// It waits until it is its turn.
    Turn(Arc<Bucket>),
    /// It was paid for.
    Purse(Arc<Purse>),
}

impl Payer {
    /// Returns once the request may be sent.
    pub(crate) async fn pay(&self) {
        match self {
            Self::Turn(bucket) => bucket.take().await,
            Self::Purse(purse) => purse.pay(),
        }
    }

    /// Pays for a retry, which has been sent already.
    pub(crate) fn pay_for_retry(&self) {
        match self {
            Self::Turn(bucket) => bucket.spend(1),
            Self::Purse(purse) => purse.pay(),
        }
    }
}
