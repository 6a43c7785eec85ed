//! Tests of the live view by its pictures and keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::connections::Source;
use super::model::{Choice, Model, Page, Sort};
use super::update::{Effect, Message, update};
use super::view::draw;
use super::watch::{ClusterUpdate, Scope};
use crate::CommandError;
use crate::testing;
use crate::ui::style::Style;

const UNICODE: Style = Style {
    unicode: true,
    color: false,
};

fn model(style: Style) -> Model {
    let scope = Scope {
        namespace: None,
        name: None,
    };
    let mut model = Model::new("prod", "team-payments", scope, style);
    model.now = testing::now();
    apply_update(
        &mut model,
        ClusterUpdate::Policies(vec![testing::payments(), testing::search()]),
    );
    apply_update(&mut model, ClusterUpdate::Operations(testing::operations()));
    model
}

fn apply_update(model: &mut Model, change: ClusterUpdate) -> Option<Effect> {
    update(model, Message::ClusterUpdate(change))
}

fn press(model: &mut Model, code: KeyCode) -> Option<Effect> {
    update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_text(model: &mut Model, text: &str) {
    for letter in text.chars() {
        press(model, KeyCode::Char(letter));
    }
}

/// Draws, and updates the model with the size of the picture, as the screen does.
fn picture(model: &mut Model, width: u16, height: u16) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let mut drawn = None;
    terminal
        .draw(|frame| drawn = Some(draw(frame, model)))
        .expect("it draws");
    update(model, drawn.expect("it was drawn"));
    terminal.backend().clone()
}

fn text(model: &mut Model, width: u16, height: u16) -> String {
    let picture = picture(model, width, height).to_string();
    let lines = picture
        .lines()
        .map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

fn open_first_secret(model: &mut Model) -> Option<Effect> {
    press(model, KeyCode::Down);
    press(model, KeyCode::Enter)
}

#[test]
fn the_list_at_80_by_24() {
    insta::assert_snapshot!(text(&mut model(UNICODE), 80, 24));
}

#[test]
fn the_list_at_160_by_50() {
    insta::assert_snapshot!(text(&mut model(UNICODE), 160, 50));
}

#[test]
fn the_list_at_40_by_10() {
    insta::assert_snapshot!(text(&mut model(UNICODE), 40, 10));
}

#[test]
fn an_open_secret_at_80_by_24() {
    let mut model = model(UNICODE);
    open_first_secret(&mut model);
    insta::assert_snapshot!(text(&mut model, 80, 24));
}

#[test]
fn an_open_secret_at_160_by_50() {
    let mut model = model(UNICODE);
    open_first_secret(&mut model);
    insta::assert_snapshot!(text(&mut model, 160, 50));
}

#[test]
fn an_open_secret_at_40_by_10() {
    let mut model = model(UNICODE);
    open_first_secret(&mut model);
    insta::assert_snapshot!(text(&mut model, 40, 10));
}

#[test]
fn an_open_policy_at_80_by_24() {
    let mut model = model(UNICODE);
    press(&mut model, KeyCode::Enter);
    insta::assert_snapshot!(text(&mut model, 80, 24));
}

#[test]
fn the_help_at_80_by_24() {
    let mut model = model(UNICODE);
    press(&mut model, KeyCode::Char('?'));
    insta::assert_snapshot!(text(&mut model, 80, 24));
}

#[test]
fn a_lost_connection_is_on_every_page() {
    let mut model = model(UNICODE);
    apply_update(
        &mut model,
        ClusterUpdate::Lost(
            Source::Server,
            CommandError::new("the API server cannot be reached"),
        ),
    );
    for open in [false, true] {
        if open {
            open_first_secret(&mut model);
        }
        let picture = text(&mut model, 80, 24);
        let banner =
            "CONNECTION LOST since 2026-11-23T10:00:00Z, the data may be outdated: the API se";
        assert_eq!(picture.lines().nth(1), Some(banner), "{picture}");
    }
    apply_update(&mut model, ClusterUpdate::Alive);
    assert_eq!(model.connections.loss(), None);
    assert!(!text(&mut model, 80, 24).contains("LOST"));
}

#[test]
fn versions_with_a_common_beginning_stay_distinguishable() {
    let mut policy = testing::payments();
    let status = policy.status.as_mut().expect("a status");
    let finding = &mut status.findings[0];
    finding.current_version_id = Some("terraform-20261101094233000000000001".into());
    finding.pending_version_id = Some("terraform-20261120101500000000000002".into());
    let mut model = model(UNICODE);
    apply_update(&mut model, ClusterUpdate::Policies(vec![policy]));
    let list = text(&mut model, 160, 50);
    assert!(list.contains("terraf..000001  terraf..000002"), "{list}");
}

#[test]
fn without_symbols_the_picture_is_ascii() {
    let ascii = Style {
        unicode: false,
        color: false,
    };
    let mut model = model(ascii);
    let list = text(&mut model, 160, 50);
    assert!(list.is_ascii(), "{list}");
}

#[test]
fn colors_can_be_turned_off() {
    let colors = |picture: &TestBackend| {
        let cells = picture.buffer().content().iter();
        cells
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
            .count()
    };
    assert_eq!(colors(&picture(&mut model(UNICODE), 80, 24)), 0);
    let colored = Style {
        color: true,
        ..UNICODE
    };
    assert!(colors(&picture(&mut model(colored), 80, 24)) > 0);
}

#[test]
fn the_selection_follows_its_secret() {
    let mut model = model(UNICODE);
    press(&mut model, KeyCode::Char('j'));
    let chosen = model.chosen.clone();
    assert!(matches!(&chosen, Some(Choice::Secret(key)) if key.secret == "payments/db/main"));
    press(&mut model, KeyCode::Char('s'));
    assert_eq!(model.sort, Sort::Name);
    assert_eq!(model.chosen, chosen);
    let views = model.views();
    let names: Vec<_> = views[0]
        .rows
        .iter()
        .map(|row| row.key.secret.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "payments/api-key",
            "payments/batch",
            "payments/db/main",
            "payments/ledger",
            "payments/ledger"
        ]
    );
}

#[test]
fn the_selection_stays_within_the_list() {
    let mut model = model(UNICODE);
    press(&mut model, KeyCode::Char('G'));
    press(&mut model, KeyCode::Down);
    assert!(matches!(&model.chosen, Some(Choice::Policy { name, .. }) if name == "search"));
    press(&mut model, KeyCode::Char('g'));
    press(&mut model, KeyCode::Up);
    assert!(matches!(&model.chosen, Some(Choice::Policy { name, .. }) if name == "payments"));
    apply_update(&mut model, ClusterUpdate::Policies(Vec::new()));
    assert_eq!(press(&mut model, KeyCode::Enter), None);
}

#[test]
fn a_filter_keeps_rows_that_contain_its_text() {
    let mut model = model(UNICODE);
    press(&mut model, KeyCode::Char('/'));
    type_text(&mut model, "outsidew");
    let views = model.views();
    assert_eq!((views.len(), views[0].rows.len()), (1, 1));
    // While the filter is edited, letters are text.
    type_text(&mut model, "q");
    assert!(text(&mut model, 80, 24).contains("Nothing contains \"outsidewq\""));
    press(&mut model, KeyCode::Backspace);
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.views().len(), 1);
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.views().len(), 2);
}

#[test]
fn enter_opens_a_secret_and_escape_goes_back() {
    let mut model = model(UNICODE);
    let effect = open_first_secret(&mut model);
    assert!(matches!(
        effect,
        Some(Effect::Read { choice: Choice::Secret(_), operations }) if operations == ["payments-x7k2m4q9ab"]
    ));
    assert!(matches!(model.page, Page::Open(_)));
    // Events of an open item are read again only after a change.
    assert_eq!(apply_update(&mut model, ClusterUpdate::Alive), None);
    assert_eq!(
        apply_update(&mut model, ClusterUpdate::Operations(testing::operations())),
        None
    );
    assert!(matches!(
        apply_update(&mut model, ClusterUpdate::Operations(Vec::new())),
        Some(Effect::Read { .. })
    ));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.page, Page::List);
}

#[test]
fn late_events_belong_to_the_item_that_was_open() {
    let mut model = model(UNICODE);
    let Some(Effect::Read { choice, .. }) = open_first_secret(&mut model) else {
        panic!("it asks for events");
    };
    press(&mut model, KeyCode::Esc);
    press(&mut model, KeyCode::Up);
    press(&mut model, KeyCode::Enter);
    update(&mut model, Message::Events(choice, Ok(Vec::new())));
    assert!(text(&mut model, 160, 60).contains("being read"));
    let open = model.chosen.clone().expect("it is open");
    update(&mut model, Message::Events(open, Ok(Vec::new())));
    assert!(text(&mut model, 160, 60).contains("no recent events"));
}

#[test]
fn an_open_page_scrolls_no_further_than_its_end() {
    let mut model = model(UNICODE);
    open_first_secret(&mut model);
    picture(&mut model, 40, 10);
    press(&mut model, KeyCode::Char('G'));
    assert_eq!(model.scroll, model.max_scroll);
    assert!(model.max_scroll > 0);
    press(&mut model, KeyCode::Char('k'));
    assert_eq!(model.scroll, model.max_scroll - 1);
}

#[test]
fn an_open_secret_that_recovers_is_no_longer_shown() {
    let mut model = model(UNICODE);
    open_first_secret(&mut model);
    apply_update(&mut model, ClusterUpdate::Policies(vec![testing::search()]));
    assert!(text(&mut model, 80, 24).contains("It is no longer reported"));
}

#[test]
fn keys_request_checks_and_switch_namespaces() {
    let mut model = model(UNICODE);
    press(&mut model, KeyCode::Down);
    assert_eq!(
        press(&mut model, KeyCode::Char('r')),
        Some(Effect::Check {
            namespace: "team-payments".to_owned(),
            name: "payments".to_owned()
        })
    );
    let home = Scope {
        namespace: Some("team-payments".to_owned()),
        name: None,
    };
    assert_eq!(
        press(&mut model, KeyCode::Char('a')),
        Some(Effect::Watch(home.clone()))
    );
    let denied = CommandError::new("you do not have permission to list them");
    update(&mut model, Message::Moved(Err(denied)));
    assert_eq!(model.scope.namespace, None);
    assert!(text(&mut model, 80, 24).contains("you do not have permission to list them"));
    update(&mut model, Message::Moved(Ok(home.clone())));
    assert_eq!(model.scope, home);
}

#[test]
fn q_and_control_c_quit_from_everywhere() {
    for prepare in [
        |_: &mut Model| {},
        |model: &mut Model| {
            open_first_secret(model);
        },
        |model: &mut Model| {
            press(model, KeyCode::Char('?'));
        },
    ] {
        let mut model = model(UNICODE);
        prepare(&mut model);
        assert_eq!(press(&mut model, KeyCode::Char('q')), Some(Effect::Quit));
    }
    let mut model = model(UNICODE);
    press(&mut model, KeyCode::Char('/'));
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(
        update(&mut model, Message::Key(control_c)),
        Some(Effect::Quit)
    );
}
