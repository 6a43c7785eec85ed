//! Maintenance windows, also compared with independent calendars: `croner` yields the local minutes of a schedule, and
//! `chrono-tz` the wall-clock time at each minute of UTC.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use secret_rotation_core::maintenance_window::{Opening, Window, WindowError, Windows};
use secret_rotation_core::time::AwsTime;

const HOUR: Duration = Duration::from_hours(1);

fn at(text: &str) -> AwsTime {
    AwsTime::new(text.parse().expect("a time"))
}

fn window(schedule: &str, duration: Duration, zone: &str) -> Window {
    Window::new(schedule, duration, zone).expect("a window")
}

fn windows(allow: Vec<Window>, deny: Vec<Window>) -> Windows {
    Windows::Readable { allow, deny }
}

fn closed_until(opens: &str, closes: &str) -> Opening {
    Opening::Closed {
        next: (at(opens), Some(at(closes))),
    }
}

fn open_until(closes: &str) -> Opening {
    Opening::Open {
        closes: Some(at(closes)),
    }
}

#[test]
fn a_policy_without_windows_is_always_open() {
    assert_eq!(
        Windows::default().at(at("2026-11-23T10:00:00Z")),
        Opening::Always
    );
}

#[test]
fn a_window_opens_on_its_minute_and_closes_with_its_duration() {
    let nights = windows(
        vec![window("0 2 * * 1-5", 2 * HOUR, "Europe/Berlin")],
        vec![],
    );
    let monday = closed_until("2026-11-23T01:00:00Z", "2026-11-23T03:00:00Z");
    assert_eq!(
        nights.at(at("2026-11-21T10:00:00Z")),
        monday,
        "Saturday waits for Monday"
    );
    assert_eq!(nights.at(at("2026-11-23T00:59:59Z")), monday);
    assert_eq!(
        nights.at(at("2026-11-23T01:00:00Z")),
        open_until("2026-11-23T03:00:00Z")
    );
    assert_eq!(
        nights.at(at("2026-11-23T02:59:59Z")),
        open_until("2026-11-23T03:00:00Z")
    );
    let tuesday = closed_until("2026-11-24T01:00:00Z", "2026-11-24T03:00:00Z");
    assert_eq!(nights.at(at("2026-11-23T03:00:00Z")), tuesday);
}

#[test]
fn a_denied_window_takes_precedence() {
    let freeze = window("0 0 20 11 *", 240 * HOUR, "UTC");
    let nightly = windows(vec![window("0 2 * * *", HOUR, "UTC")], vec![freeze.clone()]);
    let after_freeze = closed_until("2026-11-30T02:00:00Z", "2026-11-30T03:00:00Z");
    assert_eq!(nightly.at(at("2026-11-23T02:30:00Z")), after_freeze);
    let alone = windows(vec![], vec![freeze]);
    let next_year = closed_until("2026-11-30T00:00:00Z", "2027-11-20T00:00:00Z");
    assert_eq!(alone.at(at("2026-11-23T02:30:00Z")), next_year);
    assert_eq!(
        alone.at(at("2026-11-19T23:59:00Z")),
        open_until("2026-11-20T00:00:00Z")
    );
}

#[test]
fn overlapping_windows_are_one_window() {
    let chain = windows(
        vec![
            window("0 2 * * *", 2 * HOUR, "UTC"),
            window("0 3 * * *", 2 * HOUR, "UTC"),
        ],
        vec![window("30 4 * * *", HOUR, "UTC")],
    );
    assert_eq!(
        chain.at(at("2026-11-23T02:00:00Z")),
        open_until("2026-11-23T04:30:00Z")
    );
    let all_day = windows(vec![window("@daily", 24 * HOUR, "UTC")], vec![]);
    assert_eq!(
        all_day.at(at("2026-11-23T02:00:00Z")),
        Opening::Open { closes: None }
    );
}

#[test]
fn windows_that_can_never_open_report_it() {
    let never = windows(
        vec![window("0 2 * * *", HOUR, "UTC")],
        vec![window("@daily", 24 * HOUR, "UTC")],
    );
    let now = at("2026-11-23T02:00:00Z");
    assert_eq!(never.at(now), Opening::Never);
    assert!(never.problem(now).is_some());
    let unreadable = Windows::Unreadable {
        problem: "x".to_owned(),
    };
    assert_eq!(unreadable.at(now), Opening::Never);
    assert_eq!(unreadable.problem(now), Some("x"));
}

/// A rare window is found however far away it is, leap days included.
#[test]
fn the_rarest_day_is_found() {
    let leap = windows(vec![window("0 12 29 2 *", HOUR, "UTC")], vec![]);
    let next = closed_until("2028-02-29T12:00:00Z", "2028-02-29T13:00:00Z");
    assert_eq!(leap.at(at("2026-11-23T02:00:00Z")), next);
    let century = closed_until("2104-02-29T12:00:00Z", "2104-02-29T13:00:00Z");
    assert_eq!(leap.at(at("2096-03-01T02:00:00Z")), century);
}

#[test]
fn errors_show_what_to_write() {
    let error = |schedule: &str, zone: &str| {
        Window::new(schedule, HOUR, zone)
            .expect_err(schedule)
            .to_string()
    };
    for (schedule, part) in [
        ("", "it has 0"),
        ("0 2 * *", "it has 4"),
        ("0 0 2 * * *", "it has 6"),
        ("60 2 * * *", "60 is not a valid minute; write 0 to 59"),
        ("0 24 * * *", "24 is not a valid hour"),
        ("0 2 0 * *", "0 is not a valid day of month; write 1 to 31"),
        ("0 2 * 13 *", "13 is not a valid month"),
        ("0 2 * * 8", "8 is not a valid day of week"),
        ("0 2 * * mon-", "mon- is not a valid day of week"),
        ("0 5-2 * * *", "5-2 is not a valid hour"),
        ("*/0 * * * *", "*/0 is not a valid minute"),
        ("+5 * * * *", "+5 is not a valid minute"),
        ("0 2 30 2 *", "no day ever matches"),
        ("0 2 31 4,6,9,11 *", "no day ever matches"),
        ("@reboot", "@reboot is not a macro"),
        ("CRON_TZ=UTC 0 2 * * *", "timeZone"),
    ] {
        let error = error(schedule, "UTC");
        assert!(error.contains(part), "{schedule}: {error}");
    }
    assert!(error("@daily", "Europe/Berlyn").contains("Europe/Berlin"));
    assert_eq!(
        Window::new("@daily", Duration::ZERO, "UTC"),
        Err(WindowError::Duration)
    );
}

/// Both days on which clocks change, in three zones, minute by minute, with windows before, in and after the gap and
/// the repeated hour.
#[test]
fn daylight_saving_agrees_with_another_calendar() {
    let zones = [
        (
            "Europe/Berlin",
            ["2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z"],
        ),
        (
            "America/New_York",
            ["2026-03-07T12:00:00Z", "2026-10-31T12:00:00Z"],
        ),
        // This zone changes by half an hour only, and in the opposite season.
        (
            "Australia/Lord_Howe",
            ["2026-10-03T00:00:00Z", "2026-04-04T00:00:00Z"],
        ),
    ];
    let schedules = [
        "0 1 * * *",
        "30 1 * * *",
        "0 2 * * *",
        "15 2 * * 0",
        "30 2 * * *",
        "45 1,2,3 * * *",
        "*/20 2 * * *",
        "0 3 * * *",
        "0 */4 * * *",
        "0 0 * * *",
    ];
    for (zone, starts) in zones {
        for start in starts {
            for schedule in schedules {
                let opened = around(schedule, zone, start);
                for minutes in [7, 300] {
                    agree((schedule, &opened), minutes, zone, start);
                }
            }
        }
    }
}

/// Lists, ranges, steps, names, macros, and both kinds of days together, over a year.
#[test]
fn schedules_agree_with_another_parser() {
    for schedule in [
        "0 2 * * 1-5",
        "0 0 20 11 *",
        "5,35 4 1-7 * *",
        "0 12 * feb-apr,OCT mon",
        "0 9 13 * FRI",
        "0 9 */10 * *",
        "0 6 * * 7",
        "0 6 * * 0,3",
        "@monthly",
        "@weekly",
        "10 3 29 2 *",
    ] {
        let expected = fives(schedule, "2027-06-01T00:00:00Z", 366 * 24 * 12);
        let windows = windows(
            vec![window(schedule, Duration::from_mins(1), "UTC")],
            vec![],
        );
        let mut now = at("2027-06-01T00:00:00Z").minus(Duration::from_mins(1));
        for opening in expected {
            let opens =
                AwsTime::new(jiff::Timestamp::from_second(opening.timestamp()).expect("in range"));
            match windows.at(now) {
                Opening::Closed { next: (next, _) } => assert_eq!(next, opens, "{schedule}"),
                other @ (Opening::Always | Opening::Open { .. } | Opening::Never) => {
                    panic!("{schedule} at {now}: {other:?}")
                }
            }
            now = opens.plus(Duration::from_mins(1));
        }
    }
}

/// Returns the times of a schedule in UTC, five minutes apart. It has no other minutes.
fn fives(schedule: &str, start: &str, number: i64) -> Vec<DateTime<Utc>> {
    let cron: croner::Cron = schedule.parse().expect("croner reads it too");
    let start: DateTime<Utc> = start.parse().expect("a time");
    let times = (0..number).map(|n| start + TimeDelta::minutes(5 * n));
    times
        .filter(|time| cron.is_time_matching(time).expect("a date in range"))
        .collect()
}

const SPAN: i64 = 3 * 24 * 60;

/// Returns when a schedule opens its windows in the days around a change of clocks.
fn around(schedule: &str, zone: &str, start: &str) -> BTreeSet<DateTime<Utc>> {
    let tz: Tz = zone.parse().expect("a zone");
    let first: DateTime<Utc> = start.parse().expect("a time");
    let before = (first - TimeDelta::days(1)).to_rfc3339();
    openings(schedule, tz, &before, SPAN + 24 * 60)
}

fn agree(
    (schedule, opened): (&str, &BTreeSet<DateTime<Utc>>),
    minutes: u64,
    zone: &str,
    start: &str,
) {
    let length = TimeDelta::minutes(i64::try_from(minutes).expect("small"));
    let first: DateTime<Utc> = start.parse().expect("a time");
    let open = |now: DateTime<Utc>| {
        opened
            .range(now - length + TimeDelta::seconds(1)..=now)
            .next()
    };
    let windows = windows(
        vec![window(schedule, Duration::from_mins(minutes), zone)],
        vec![],
    );
    // The change comes 15 to 25 hours after the start: there no window may slip through. Elsewhere those minutes count at
    // which one opens or closes.
    let near = |minute: &i64| (14 * 60..28 * 60).contains(minute);
    let turns = |minute: &i64| {
        let now = first + TimeDelta::minutes(*minute);
        let mut turns = [0, 1].map(|one| now + TimeDelta::minutes(one)).into_iter();
        turns.any(|time| opened.contains(&time) || opened.contains(&(time - length)))
    };
    let some = |minute: &i64| minute % if near(minute) { 7 } else { 97 } == 0;
    for minute in (0..SPAN).filter(|minute| turns(minute) || some(minute)) {
        let now = first + TimeDelta::minutes(minute);
        let aws = AwsTime::new(jiff::Timestamp::from_second(now.timestamp()).expect("in range"));
        let ours = windows.at(aws);
        assert_eq!(
            ours.is_open(),
            open(now).is_some(),
            "{schedule} for {minutes} minutes in {zone} at {now}: {ours:?}"
        );
    }
}

/// Returns the minutes of UTC at which a window opens: the wall clock shows a minute of the schedule for the first
/// time, or has just skipped one.
fn openings(schedule: &str, zone: Tz, start: &str, minutes: i64) -> BTreeSet<DateTime<Utc>> {
    let cron: croner::Cron = schedule.parse().expect("croner reads it too");
    let named = |local: NaiveDateTime| {
        let as_utc = Utc.from_utc_datetime(&local);
        cron.is_time_matching(&as_utc).expect("a date in range")
    };
    let start: DateTime<Utc> = start.parse().expect("a time");
    let wall = |minute: i64| {
        let instant = start + TimeDelta::minutes(minute);
        (
            instant,
            zone.from_utc_datetime(&instant.naive_utc()).naive_local(),
        )
    };
    let mut shown = BTreeSet::new();
    let mut opened = BTreeSet::new();
    let (_, mut previous) = wall(-1);
    for minute in 0..minutes {
        let (instant, local) = wall(minute);
        let mut skipped = previous + TimeDelta::minutes(1);
        while skipped < local {
            if named(skipped) {
                opened.insert(instant);
            }
            skipped += TimeDelta::minutes(1);
        }
        if shown.insert(local) && named(local) {
            opened.insert(instant);
        }
        previous = local;
    }
    opened
}

/// A time that occurs twice is denied twice: here from 02:30 for ten minutes, on both sides of the change.
#[test]
fn a_denied_time_that_occurs_twice_is_denied_twice() {
    let deny = window("30 2 * * *", Duration::from_mins(10), "Europe/Berlin");
    let denied = windows(vec![], vec![deny.clone()]);
    let allowed = windows(vec![deny], vec![]);
    for (time, first, second) in [
        ("2026-10-25T00:35:00Z", true, false),
        ("2026-10-25T01:35:00Z", false, true),
    ] {
        assert!(!denied.at(at(time)).is_open(), "{time}");
        assert_eq!(allowed.at(at(time)).is_open(), first, "{time}");
        assert_eq!(!allowed.at(at(time)).is_open(), second, "{time}");
    }
    assert_eq!(
        denied.at(at("2026-10-25T00:35:00Z")),
        closed_until("2026-10-25T00:40:00Z", "2026-10-25T01:30:00Z")
    );
}
