//! What to do about a reason: the paragraphs of `docs/reasons.md`, which a test of the API holds complete.

const REASONS: &str = include_str!("../../../docs/reasons.md");

/// The paragraph about a reason, on one line and without Markdown; `None` for an unknown one.
pub(crate) fn about(reason: &str) -> Option<String> {
    let mut lines = REASONS.lines();
    lines.find(|line| line.strip_prefix("### ") == Some(reason))?;
    let paragraph: Vec<_> = lines
        .take_while(|line| !line.starts_with('#'))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    Some(plain(&paragraph.join(" ")))
}

/// Without backticks, and links as the names of their pages.
fn plain(text: &str) -> String {
    let text = text.replace('`', "");
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        let Some((name, after)) = link.split_once("](") else {
            rest = link;
            continue;
        };
        plain.push_str("docs/");
        plain.push_str(name);
        rest = after.split_once(')').map_or(after, |(_, rest)| rest);
    }
    plain + rest
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
        assert!(
            approval.contains("See docs/approval.md for how"),
            "{approval}"
        );
    }
}
