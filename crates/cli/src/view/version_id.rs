//! Short version ids that still distinguish the versions of one secret.

use crate::ui::duration::dash;

/// The number of characters shown of a UUID, as of a git commit.
const OF_UUID: usize = 8;

/// The number of characters shown at either end of other ids: generated ids may share their beginning or their end.
const AT_EACH_END: usize = 6;

/// The text between the ends.
const GAP: &str = "..";

/// Shortens a version id to the beginning of a UUID, or to both ends of anything else.
pub(crate) fn short(id: &str) -> String {
    let letters = id.chars().count();
    if is_uuid(id) {
        return id.chars().take(OF_UUID).collect();
    }
    if letters <= 2 * AT_EACH_END + GAP.len() {
        return id.to_owned();
    }
    let head: String = id.chars().take(AT_EACH_END).collect();
    let tail: String = id.chars().skip(letters - AT_EACH_END).collect();
    format!("{head}{GAP}{tail}")
}

/// Shortens the versions of one secret. Different ids stay complete if they would look the same.
pub(crate) fn distinguish(ids: [Option<&str>; 2]) -> [Option<String>; 2] {
    let [a, b] = ids.map(|id| id.map(short));
    if a == b && ids[0] != ids[1] {
        return ids.map(|id| id.map(str::to_owned));
    }
    [a, b]
}

/// Returns the current and the pending version of a secret in short, a dash for each that does not exist.
pub(crate) fn distinguish_or_dash(current: Option<&str>, pending: Option<&str>) -> [String; 2] {
    distinguish([current, pending]).map(|id| id.unwrap_or_else(dash))
}

/// Returns whether the id has the shape of a UUID, in upper or lower case.
fn is_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(a: &str, b: &str) -> [String; 2] {
        distinguish([Some(a), Some(b)]).map(Option::unwrap_or_default)
    }

    #[test]
    fn a_version_that_does_not_exist_is_a_dash() {
        let id = "6f1c2d3e-0000-4000-8000-000000000001";
        assert_eq!(distinguish_or_dash(Some(id), None), ["6f1c2d3e", "-"]);
    }

    #[test]
    fn a_uuid_is_cut_like_a_commit() {
        let id = "6f1c2d3e-0000-4000-8000-000000000001";
        assert_eq!(
            distinguish([Some(id), None]),
            [Some("6f1c2d3e".to_owned()), None]
        );
        assert_eq!(both(id, id), ["6f1c2d3e", "6f1c2d3e"]);
    }

    #[test]
    fn ids_with_a_common_beginning_stay_distinguishable() {
        assert_eq!(
            both(
                "terraform-20261101094233000000000001",
                "terraform-20261120101500000000000002"
            ),
            ["terraf..000001", "terraf..000002"]
        );
        assert_eq!(both("key-1", "key-2"), ["key-1", "key-2"]);
    }

    #[test]
    fn ids_that_would_look_the_same_are_shown_in_full() {
        for (a, b) in [
            (
                "00000000-0000-4000-8000-000000000001",
                "00000000-0000-4000-8000-000000000002",
            ),
            (
                "terraform-20261101094233000000000001",
                "terraform-20261120101500000000000001",
            ),
        ] {
            assert_eq!(both(a, b), [a, b]);
        }
    }
}
