//! The command line with names from the cluster.

use std::ffi::OsString;

use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::names::{self, Wanted};
use crate::kubernetes::ClusterOptions;

/// Returns the command line with names from the cluster that `words` name.
pub(crate) fn command(command_line: Command, words: &[OsString]) -> Command {
    let options = options(words);
    let with = move |command: Command, id: &'static str, wanted: Wanted| {
        let options = options.clone();
        let look =
            move |typed: &std::ffi::OsStr| candidates(&options, wanted, &typed.to_string_lossy());
        command.mut_arg(id, |arg| arg.add(ArgValueCompleter::new(look)))
    };
    NAME_ARGUMENTS.iter().fold(command_line, |all, place| {
        all.mut_subcommand(place.command, |one| with(one, place.argument, place.wanted))
    })
}

/// An argument whose value is the name of something.
struct NameArgument {
    command: &'static str,
    argument: &'static str,
    wanted: Wanted,
}

const fn name_argument(
    command: &'static str,
    argument: &'static str,
    wanted: Wanted,
) -> NameArgument {
    NameArgument {
        command,
        argument,
        wanted,
    }
}

const NAME_ARGUMENTS: [NameArgument; 23] = [
    name_argument("status", "name", Wanted::Policies),
    name_argument("describe", "name", Wanted::Everything),
    name_argument("check", "name", Wanted::Policies),
    name_argument("suspend", "name", Wanted::Policies),
    name_argument("resume", "name", Wanted::Policies),
    name_argument("approve", "name", Wanted::Undecided),
    name_argument("deny", "name", Wanted::Undecided),
    name_argument("history", "secret", Wanted::Secrets),
    name_argument("history", "policy", Wanted::Policies),
    name_argument("rotate", "secret", Wanted::Secrets),
    name_argument("rotate", "policy", Wanted::Policies),
    name_argument("clear", "secret", Wanted::Secrets),
    name_argument("clear", "policy", Wanted::Policies),
    name_argument("promote", "secret", Wanted::Secrets),
    name_argument("promote", "policy", Wanted::Policies),
    name_argument("undo", "secret", Wanted::Secrets),
    name_argument("undo", "policy", Wanted::Policies),
    name_argument("revert", "secret", Wanted::Secrets),
    name_argument("revert", "policy", Wanted::Policies),
    name_argument("restore", "secret", Wanted::Secrets),
    name_argument("restore", "policy", Wanted::Policies),
    name_argument("release", "secret", Wanted::Secrets),
    name_argument("release", "policy", Wanted::Policies),
];

fn candidates(options: &ClusterOptions, wanted: Wanted, typed: &str) -> Vec<CompletionCandidate> {
    let names = names::fetch(options, wanted);
    let fitting = names
        .into_iter()
        .filter(|(name, _)| name.starts_with(typed));
    fitting
        .map(|(name, help)| CompletionCandidate::new(name).help(Some(help.into())))
        .collect()
}

/// Returns the cluster flags of an incomplete command line, even if it is invalid otherwise.
fn options(words: &[OsString]) -> ClusterOptions {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let value = |long: &str, short: Option<&str>| {
        let of = |(index, word): (usize, &std::borrow::Cow<'_, str>)| {
            if let Some(value) = word
                .strip_prefix(long)
                .and_then(|rest| rest.strip_prefix('='))
            {
                return Some(value.to_owned());
            }
            if word == long || Some(word.as_ref()) == short {
                return words.get(index + 1).map(ToString::to_string);
            }
            let value = short.and_then(|short| word.strip_prefix(short));
            value.filter(|_| !word.starts_with("--")).map(str::to_owned)
        };
        words.iter().enumerate().find_map(of)
    };
    ClusterOptions {
        kubeconfig: value("--kubeconfig", None).map(Into::into),
        context: value("--context", None),
        namespace: value("--namespace", Some("-n")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap_complete::engine;

    use super::*;
    use crate::cli::Cli;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn every_argument_with_a_name_exists() {
        command(Cli::command(), &words("x")).debug_assert();
        let arguments = Cli::command();
        for place in &NAME_ARGUMENTS {
            let found = arguments.find_subcommand(place.command);
            let found = found.and_then(|found| {
                found
                    .get_arguments()
                    .find(|one| one.get_id() == place.argument)
            });
            assert!(found.is_some(), "{} {}", place.command, place.argument);
        }
    }

    #[test]
    fn the_cluster_is_read_from_an_incomplete_command_line() {
        let options = options(&words(
            "x --context=prod status -n team --kubeconfig /k --bogus -",
        ));
        assert_eq!(options.context.as_deref(), Some("prod"));
        assert_eq!(options.namespace.as_deref(), Some("team"));
        assert_eq!(options.kubeconfig, Some("/k".into()));
        assert_eq!(
            super::options(&words("x -nteam")).namespace.as_deref(),
            Some("team")
        );
    }

    #[test]
    fn commands_and_flags_are_completed_without_a_cluster() {
        let all = |text: &str| {
            let words = words(text);
            let last = words.len() - 1;
            let found = engine::complete(&mut command(Cli::command(), &words), words, last, None);
            let values = found.expect("it completes").into_iter();
            values
                .map(|one| one.get_value().to_string_lossy().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(all("x stat"), ["status"]);
        assert_eq!(all("x clear --rot"), ["--rotate"]);
        assert!(!all("x ").contains(&"__complete".to_owned()));
    }
}
