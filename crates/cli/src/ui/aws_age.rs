//! Ages and waits by AWS's clock, as columns show them.

use secret_rotation_core::clock::AwsTime;

use crate::ui::duration;

/// What stands where nothing is known.
const UNKNOWN: &str = "-";

/// How long ago something was; a dash if nobody knows.
pub(crate) fn since(then: Option<AwsTime>, now: AwsTime) -> String {
    then.map_or_else(dash, |then| {
        duration::since(then.timestamp(), now.timestamp())
    })
}

/// In how long something will be: `18d`, or `overdue` if it should have been.
pub(crate) fn until(then: Option<AwsTime>, now: AwsTime) -> String {
    let Some(then) = then else { return dash() };
    duration::until(then.timestamp(), now.timestamp()).unwrap_or_else(|| "overdue".to_owned())
}

/// What stands where nothing is known.
pub(crate) fn dash() -> String {
    UNKNOWN.to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_should_have_been_is_overdue_and_what_nobody_knows_is_a_dash() {
        let now = AwsTime::new("2026-11-23T10:00:00Z".parse().expect("a time"));
        let day = Duration::from_hours(24);
        assert_eq!(
            [
                None,
                Some(now.plus(day * 18)),
                Some(now),
                Some(now.minus(day))
            ]
            .map(|then| until(then, now)),
            ["-", "18d", "overdue", "overdue"]
        );
        assert_eq!(
            [None, Some(now.minus(day * 2))].map(|then| since(then, now)),
            ["-", "2d"]
        );
    }
}
