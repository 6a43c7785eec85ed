//! What the tests of this crate share besides builders: random cases, plans as text, and operations that run against a
//! simulated AWS.

#![allow(unreachable_pub, reason = "a module of a test program")]

pub mod arbitrary;
pub mod planning;
pub mod shell;
pub mod world;

use proptest::prelude::ProptestConfig;

/// Returns the number of cases of a property, or the value of `PROPTEST_CASES`.
pub fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|asked| asked.parse().ok()).unwrap_or(usual),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
