//! Every reason and every state has a paragraph in `docs/reasons.md`, and every paragraph has a reason or a state.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use secret_rotation_api::health::Health;
use secret_rotation_api::operation::ApprovedReason;
use secret_rotation_api::readiness::{ReadyReason, ReconcilingReason};
use secret_rotation_api::reasons::{conditions, sentence};
use secret_rotation_core::advance::Phase;
use secret_rotation_core::block::BlockReason;
use secret_rotation_core::operation::Failure;
use secret_rotation_core::survey::State;

fn of_conditions() -> impl Iterator<Item = &'static str> {
    let ready = ReadyReason::ALL.map(ReadyReason::name);
    let reconciling = ReconcilingReason::ALL.map(ReconcilingReason::name);
    let health = Health::ALL.map(Health::name);
    let approved = ApprovedReason::ALL.map(ApprovedReason::name);
    ready
        .into_iter()
        .chain(reconciling)
        .chain(health)
        .chain(approved)
}

fn reasons() -> BTreeSet<&'static str> {
    let blocked = BlockReason::ALL.map(BlockReason::name);
    let phases = Phase::ALL.map(Phase::name);
    let failures = Failure::ALL.map(Failure::name);
    of_conditions()
        .chain(blocked)
        .chain(phases)
        .chain(failures)
        .chain(State::ALL.map(State::name))
        .collect()
}

#[test]
fn every_reason_has_a_paragraph_in_the_documentation() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reasons.md");
    let page = fs::read_to_string(page).expect("the page exists");
    let sections: BTreeMap<_, _> = page
        .split("\n### ")
        .skip(1)
        .map(|section| {
            let (title, text) = section.split_once('\n').expect("a title and a text");
            let text = text.split("\n## ").next().unwrap_or_default().trim();
            (title, text)
        })
        .collect();
    let documented: BTreeSet<_> = sections.keys().copied().collect();
    assert_eq!(documented, reasons());
    for (title, text) in sections {
        assert!(text.len() >= 40 && text.ends_with('.'), "{title}: {text}");
    }
}

/// The list of conditions for the reference contains each reason that is chosen somewhere, and no other.
#[test]
fn every_reason_belongs_to_a_condition() {
    let listed: BTreeSet<_> = conditions()
        .into_iter()
        .flat_map(|condition| [condition.if_true, condition.otherwise].concat())
        .collect();
    let phases = Phase::ALL.map(Phase::name);
    let failures = Failure::ALL.map(Failure::name);
    let chosen: BTreeSet<_> = of_conditions().chain(phases).chain(failures).collect();
    assert_eq!(listed, chosen);
}

#[test]
fn a_stalled_policy_is_one_of_those_that_are_not_ready() {
    let conditions = conditions();
    let of = |name| conditions.iter().find(|one| one.name == name);
    let (ready, stalled) = (of("Ready"), of("Stalled"));
    let ready = ready.expect("policies have it");
    let stalled = stalled.expect("policies have it");
    assert!(
        stalled
            .if_true
            .iter()
            .all(|reason| ready.otherwise.contains(reason))
    );
}

/// The sentences that people read in status, in events and in the list of all words.
#[test]
fn every_reason_is_one_sentence() {
    for reason in reasons() {
        let sentence = sentence(reason).unwrap_or_else(|| panic!("{reason} has none"));
        assert!(
            sentence.len() > 10 && sentence.len() < 60 && !sentence.ends_with('.'),
            "{reason}: {sentence}"
        );
    }
    assert_eq!(sentence("Nonsense"), None);
}
