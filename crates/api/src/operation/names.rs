//! The words that the status uses for results and for rotation.

use secret_rotation_core::aws_error::ErrorClass;
use secret_rotation_core::journal::ResultKind;

const APPLIED: &str = "Applied";

/// Whether rotation was on, as the status stores it.
pub(super) const ON: &str = "On";
pub(super) const OFF: &str = "Off";

/// Returns the word for a result.
///
/// An older release that finds an unknown word cannot count the operation. So there is no new word for a function
/// that cannot be invoked: it is written as a refusal, and its error code identifies it.
pub(super) const fn result_name(kind: ResultKind) -> &'static str {
    match kind {
        ResultKind::Applied => APPLIED,
        ResultKind::Refused(ErrorClass::CannotInvoke) => ErrorClass::Refused.name(),
        ResultKind::Refused(class) => class.name(),
    }
}

/// Returns the result that a word stands for; `None` if only a newer release knows the word.
pub(super) fn parse_result(name: &str) -> Option<ResultKind> {
    if name == APPLIED {
        return Some(ResultKind::Applied);
    }
    ErrorClass::parse(name)
        .filter(|class| *class != ErrorClass::CannotInvoke)
        .map(ResultKind::Refused)
}

/// Returns the words of all results, for the schema.
pub(super) fn results() -> Vec<&'static str> {
    let classes = ErrorClass::ALL.into_iter();
    let written = classes.filter(|class| *class != ErrorClass::CannotInvoke);
    std::iter::once(APPLIED)
        .chain(written.map(ErrorClass::name))
        .collect()
}
