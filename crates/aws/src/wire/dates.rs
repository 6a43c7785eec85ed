//! The effects of `Date` headers and of panics.

use secret_rotation_core::advance::Request;
use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::names::VersionId;
use secret_rotation_core::secret::Seen;
use serde_json::json;

use super::sweeping::Known;
use super::{DATE, Fake, PENDING, Reply, Sent, arn, date, secret, stuck};
use crate::{Account, Operation};

/// An hour and a half later than [`DATE`].
const LATER: &str = "Mon, 24 Nov 2025 17:30:00 GMT";

/// Dates that must not be trusted, and no date.
const ABSURD: [Option<&str>; 7] = [
    Some("Fri, 31 Dec 9999 23:59:59 GMT"),
    Some("Mon, 01 Jan 0001 00:00:00 GMT"),
    Some("Mon, 24 Nov 2025 16:"),
    Some(""),
    Some(LATER),
    Some("Mon, 24 Nov 2025 14:00:00 GMT"),
    None,
];

fn described() -> Reply {
    Reply::ok(&secret("a", "VersionIdsToStages", &stuck()))
}

/// Returns a script that answers with these dates. It repeats the last date.
fn dated(dates: &'static [Option<&'static str>]) -> impl Fn(&Sent, usize) -> Reply + Send + Sync {
    move |_, before| {
        let last = dates.last().copied().flatten();
        described().dated(dates.get(before).copied().unwrap_or(last))
    }
}

async fn look(account: &Account) -> Result<String, ErrorClass> {
    let look = account.look(arn("a").as_str(), false).await;
    look.map(|look| look.at.to_string())
        .map_err(|error| error.class)
}

fn rotate() -> Request {
    let token = VersionId::parse(PENDING).expect("a version");
    Request::Rotate { token }
}

#[tokio::test(start_paused = true)]
async fn a_read_with_an_absurd_date_is_repeated_and_other_requests_are_not_affected() {
    for absurd in ABSURD {
        let fake = Fake::new(move |_, before| match before {
            1 | 4 => described().dated(absurd),
            _ => described(),
        });
        for sent in [1, 3, 4, 6, 7] {
            let seen = look(&fake.account).await;
            assert_eq!(seen, Ok(date().to_string()), "{absurd:?}");
            assert_eq!(fake.sent().len(), sent, "{absurd:?}");
        }
        assert!(fake.send(&rotate()).await.is_ok());
        assert_eq!(fake.account.now(), Some(date()), "{absurd:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lists_and_lists_of_versions_with_absurd_dates_are_repeated_too() {
    let fake = Fake::new(|sent, before| {
        let absurd = before % 2 == 0;
        let reply = match sent.operation.as_str() {
            "ListSecrets" => {
                let listed = secret("a", "SecretVersionsToStages", &stuck());
                Reply::ok(&json!({"SecretList": [listed]}))
            }
            "DescribeSecret" => described(),
            _ => Reply::ok(&json!({"Versions": [], "ARN": arn("a").as_str(), "Name": "a"})),
        };
        reply.dated(if absurd { ABSURD[0] } else { Some(DATE) })
    });
    let inventory = Known::new().everything(&fake.account).await;
    assert_eq!(
        (inventory.gap, inventory.time, inventory.secrets.len()),
        (None, Some(date()), 1)
    );
    assert_eq!(fake.sent().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn an_absence_with_an_absurd_date_is_read_again() {
    let gone = || Reply::error("ResourceNotFoundException", "");
    let fake = Fake::new(move |_, before| match before {
        0 => gone().dated(Some(LATER)),
        _ => described(),
    });
    let seen = fake.account.look("a", false).await.expect("a look");
    assert!(matches!(seen.secret, Seen::Present(_)));
}

#[tokio::test(start_paused = true)]
async fn a_changed_clock_of_aws_costs_two_more_requests_once() {
    let fake = Fake::new(dated(&[Some(LATER)]));
    assert_eq!(
        look(&fake.account).await.as_deref(),
        Ok("2025-11-24T17:30:00Z")
    );
    assert_eq!(fake.sent().len(), 3);
    assert!(look(&fake.account).await.is_ok());
    assert_eq!(fake.sent().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn of_two_alternating_clocks_the_agreed_one_counts() {
    let fake =
        Fake::new(|_, before| described().dated(Some(if before % 2 == 0 { LATER } else { DATE })));
    for _ in 0..10 {
        assert_eq!(look(&fake.account).await, Ok(date().to_string()));
    }
    assert_eq!(fake.sent().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_is_read_again() {
    let fake = Fake::without_time(|_, _| described());
    assert_eq!(fake.account.now(), None);
    assert_eq!(look(&fake.account).await, Ok(date().to_string()));
    assert_eq!(fake.sent().len(), 2);
    for absurd in ABSURD {
        let fake = Fake::without_time(move |_, before| match before {
            0 => described().dated(absurd),
            _ => described(),
        });
        assert_eq!(
            look(&fake.account).await,
            Ok(date().to_string()),
            "{absurd:?}"
        );
        assert_eq!(fake.sent().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_never_have_a_date_are_reported_as_malformed() {
    for (date_check, date) in [(true, None), (false, None), (false, Some("soon"))] {
        let script = move |_: &Sent, _| described().dated(date);
        let fake = if date_check {
            Fake::new(script)
        } else {
            Fake::without_time(script)
        };
        let error = fake.account.look(arn("a").as_str(), false).await;
        let error = error.expect_err("no time");
        assert_eq!(error.class, ErrorClass::Malformed);
        assert_eq!(error.code.as_deref(), Some("NoUsableDate"));
        assert_eq!(fake.sent().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_has_an_absurd_date_is_not_sent_again_and_does_not_change_the_clock() {
    for absurd in ABSURD {
        let fake = Fake::new(move |_, _| Reply::ok(&json!({})).dated(absurd));
        let rejected = fake.send(&rotate()).await;
        let rejected = rejected.expect_err("no time");
        assert_eq!(
            (rejected.error.class, rejected.at),
            (ErrorClass::Malformed, None)
        );
        assert_eq!(fake.sent().len(), 1);
        assert_eq!(fake.account.now(), Some(date()));
    }
}

/// The `Date` of a refused signature corrects the clock, so the next signature is valid and no sweep is lost.
#[tokio::test(start_paused = true)]
async fn a_signature_by_a_wrong_local_clock_is_corrected_at_once() {
    let fake = Fake::without_time(|_, before| match before {
        0 | 1 => Reply::error("InvalidSignatureException", "Signature expired"),
        _ => described(),
    });
    assert_eq!(look(&fake.account).await, Ok(date().to_string()));
    let signed: Vec<_> = fake.sent().into_iter().map(|sent| sent.signed).collect();
    assert_ne!(signed[0], "20251124T160000Z", "by the local clock");
    assert_eq!(signed[2], "20251124T160000Z", "by AWS's own clock");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_is_not_repeated_because_of_its_date() {
    let throttled = || Reply::error("ThrottlingException", "").dated(None);
    let fake = Fake::new(move |_, _| throttled());
    assert_eq!(look(&fake.account).await, Err(ErrorClass::Throttled));
    assert_eq!(fake.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_call_is_an_error_of_that_call_only() {
    let fake = Fake::new(|_, before| match before {
        0..3 => Reply::Panic,
        _ => described(),
    });
    for _ in 0..3 {
        assert_eq!(look(&fake.account).await, Err(ErrorClass::Unexpected));
    }
    assert_eq!(look(&fake.account).await, Ok(date().to_string()));
    let calls = fake.calls();
    assert_eq!(calls.len(), 4, "each call is counted");
    assert_eq!(calls[0].operation, Operation::DescribeSecret);
}
