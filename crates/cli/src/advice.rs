//! What to do about a reason: the paragraphs of `docs/reasons.md`, which a test of the API holds complete.

use crate::explain;

/// The paragraph about a reason, as plain text on one line; `None` for an unknown one.
pub(crate) fn about(reason: &str) -> Option<String> {
    let mut entries = explain::entries().into_iter();
    entries
        .find(|entry| entry.name == reason)
        .map(|entry| entry.text)
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::advance::Phase;
    use secret_rotation_core::operation::Failure;
    use secret_rotation_core::plan::BlockReason;

    use super::*;

    #[test]
    fn every_reason_has_its_advice() {
        let blocks = BlockReason::ALL.map(BlockReason::reason).to_vec();
        let phases = Phase::ALL.map(Phase::reason).to_vec();
        let failures = Failure::ALL.map(Failure::reason).to_vec();
        for reason in [blocks, phases, failures].concat() {
            assert!(
                about(reason).is_some_and(|text| text.len() > 20),
                "{reason}"
            );
        }
        assert_eq!(about("Nonsense"), None);
    }

    #[test]
    fn advice_is_plain_text() {
        let window = about("OutsideWindow").expect("it is there");
        let beginning = "No maintenance window is open. status.nextWindow tells when";
        assert!(window.starts_with(beginning), "{window}");
        let approval = about("AwaitingApproval").expect("it is there");
        assert!(approval.contains("See approval.md for how"), "{approval}");
    }
}
