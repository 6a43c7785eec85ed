//! Suggestions: names that are similar to what was typed.

/// The number of names to suggest.
const OFFERED: usize = 8;

/// Sorts names by similarity to what was typed, then alphabetically.
pub(crate) fn nearest_first(typed: &str, names: &[String]) -> Vec<String> {
    let mut names: Vec<_> = names
        .iter()
        .map(|name| (similarity(typed, name), name))
        .collect();
    names.sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    names.into_iter().map(|(_, name)| name.clone()).collect()
}

/// Lists existing names, most similar first; `None` if there are none.
pub(crate) fn similar_names(typed: &str, names: &[String]) -> Option<String> {
    let mut names = nearest_first(typed, names);
    if names.is_empty() {
        return None;
    }
    let more = names.len().saturating_sub(OFFERED);
    names.truncate(OFFERED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Some(format!("{}{more}", names.join(", ")))
}

/// Returns the Jaro-Winkler similarity, which favors a common prefix. A part of a name counts as much as a typing
/// mistake.
fn similarity(typed: &str, name: &str) -> f64 {
    const PART: f64 = 0.9;
    let alike = strsim::jaro_winkler(typed, name);
    if !typed.is_empty() && name.contains(typed) {
        alike.max(PART)
    } else {
        alike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_most_similar_name_comes_first() {
        let there = names(&["search", "payments-eu", "payments", "billing"]);
        assert_eq!(
            similar_names("paymets", &there).as_deref(),
            Some("payments, payments-eu, search, billing")
        );
        assert_eq!(nearest_first("eu", &there)[0], "payments-eu");
    }

    #[test]
    fn without_names_there_is_no_suggestion() {
        assert_eq!(similar_names("x", &[]), None);
    }

    #[test]
    fn a_long_list_is_cut() {
        let there: Vec<_> = (0..20).map(|number| format!("app-{number:02}")).collect();
        let offer = similar_names("app", &there).expect("there are names");
        assert!(offer.ends_with("app-07 and 12 more"), "{offer}");
    }
}
