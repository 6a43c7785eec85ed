//! The page `docs/reasons.md`: second-level headings are groups, third-level headings are entries.

const PAGE: &str = include_str!("../../../../docs/reasons.md");

/// What the page says about one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The word.
    pub name: String,
    /// The heading of its group.
    pub group: String,
    /// Its paragraph, as plain text on one line.
    pub text: String,
}

/// Returns all entries of the page in order.
pub(crate) fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut group = String::new();
    let mut within = false;
    for line in PAGE.lines() {
        if let Some(name) = line.strip_prefix("### ") {
            within = true;
            entries.push(Entry {
                name: name.trim().to_owned(),
                group: group.clone(),
                text: String::new(),
            });
        } else if let Some(heading) = line.strip_prefix("## ") {
            within = false;
            heading.trim().clone_into(&mut group);
        } else if let Some(entry) = entries.last_mut().filter(|_| within) {
            append(&mut entry.text, &plain(line));
        }
    }
    entries
}

/// Returns the paragraph about a reason as plain text on one line; `None` for an unknown reason.
pub(crate) fn about(reason: &str) -> Option<String> {
    let mut entries = entries().into_iter();
    entries
        .find(|entry| entry.name == reason)
        .map(|entry| entry.text)
}

fn append(text: &mut String, line: &str) {
    if !text.is_empty() && !line.is_empty() {
        text.push(' ');
    }
    text.push_str(line);
}

/// Removes markup: backticks go, and of a link only its text stays.
fn plain(line: &str) -> String {
    let (mut text, mut rest) = (String::new(), line);
    while let Some((before, label, after)) = link(rest) {
        text.push_str(before);
        text.push_str(label);
        rest = after;
    }
    text.push_str(rest);
    text.replace('`', "").trim().to_owned()
}

/// Returns what precedes the first link, its text, and what follows it.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (before, tail) = text.split_once("](")?;
    let (before, label) = before.rsplit_once('[')?;
    let (_, after) = tail.split_once(')')?;
    Some((before, label, after))
}

#[cfg(test)]
mod tests {
    use secret_rotation_core::advance::Phase;
    use secret_rotation_core::block::BlockReason;
    use secret_rotation_core::operation::Failure;

    use super::*;

    #[test]
    fn links_become_their_text_and_backticks_are_removed() {
        assert_eq!(
            plain("See [windows.md](windows.md) for `allow`, and a[0]."),
            "See windows.md for allow, and a[0]."
        );
    }

    #[test]
    fn every_reason_has_a_paragraph() {
        let blocks = BlockReason::ALL.map(BlockReason::name).to_vec();
        let phases = Phase::ALL.map(Phase::name).to_vec();
        let failures = Failure::ALL.map(Failure::name).to_vec();
        for reason in [blocks, phases, failures].concat() {
            assert!(
                about(reason).is_some_and(|text| text.len() > 20),
                "{reason}"
            );
        }
        assert_eq!(about("Nonsense"), None);
    }

    #[test]
    fn a_paragraph_is_plain_text() {
        let window = about("OutsideWindow").expect("it exists");
        let beginning = "No maintenance window is open. status.nextWindow shows when";
        assert!(window.starts_with(beginning), "{window}");
        let approval = about("AwaitingApproval").expect("it exists");
        let ending = "The page Approval describes who may decide";
        assert!(approval.contains(ending), "{approval}");
    }
}
