//! The estate of the benchmarks, as the simulator generates it.

/// The namespace of all policies.
pub(super) const NAMESPACE: &str = "bench";

/// The number of teams, each with a name prefix and a tag value of its own.
pub(super) const TEAMS: usize = 1000;

/// The part of the secrets that is stuck: one of this number.
pub(super) const STUCK: usize = 50;

/// Returns a scenario with so many secrets: names of 40 characters, three tags, AWSCURRENT and AWSPREVIOUS, rotation on,
/// 200 functions, and every 50th secret stuck.
pub(super) fn scenario(secrets: usize) -> String {
    generated(
        secrets,
        &format!("  exception: {{every: {STUCK}, state: stuck-valued}}\n"),
    )
}

/// Returns the same estate without stuck secrets.
pub(super) fn healthy(secrets: usize) -> String {
    generated(secrets, "")
}

fn generated(secrets: usize, more: &str) -> String {
    format!(
        "generate:
- count: {secrets}
  name: 'payments/team-{{n%{TEAMS}:03}}/secret-{{n:015}}'
  state: healthy
  function: 'rotate-{{n%200:03}}'
  tags: {{team: 'team-{{n%{TEAMS}:03}}', environment: production, service: 'service-{{n%5000:04}}'}}
{more}"
    )
}

/// Returns the name prefix of a team.
pub(super) fn prefix(team: usize) -> String {
    format!("payments/team-{:03}/", team % TEAMS)
}
