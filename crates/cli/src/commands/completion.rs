//! `completion`: shell completion of commands, flags and, from the cluster itself, names.
//!
//! Shells call the plugin back: by itself with `COMPLETE=<shell>`, through kubectl with the hidden command
//! `__complete`, whose answer has the form that kubectl expects of its plugins.

mod names;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::engine::{self, ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::CommandError;
use crate::cli::Arguments;
use crate::kubernetes::ClusterOptions;
use crate::ui::output;

use self::names::Wanted;

/// The name of the binary.
const BINARY: &str = "kubectl-secret_rotation";

/// The variable by which a shell asks.
const VARIABLE: &str = "COMPLETE";

/// What `kubectl` looks for on the path, beside the plugin.
const KUBECTL: &str =
    include_str!("../../../../deploy/completion/kubectl_complete-secret_rotation");

/// Tells kubectl that no file names are meant.
const NO_FILES: &str = ":4";

/// Flags of `completion`.
#[derive(Args, Clone, Debug)]
pub struct CompletionArgs {
    /// The shell; kubectl prints the script that kubectl calls.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Flags of `__complete`.
#[derive(Args, Clone, Debug)]
pub struct CompleteArgs {
    /// What has been typed behind the name of the plugin; the last word is to be completed.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Whom completion is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Elvish.
    Elvish,
    /// Fish.
    Fish,
    /// Powershell.
    Powershell,
    /// Zsh.
    Zsh,
    /// kubectl, which completes its plugins in every shell.
    Kubectl,
}

/// Prints the script of a shell.
pub(crate) fn run(arguments: &CompletionArgs) -> Result<ExitCode, CommandError> {
    let shell: &dyn EnvCompleter = match arguments.shell {
        Shell::Bash => &Bash,
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Zsh => &Zsh,
        Shell::Kubectl => {
            output::print(KUBECTL)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "secret_rotation", BINARY, BINARY, &mut script)?;
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints candidates as kubectl expects them: one a line with its meaning behind a tab, then what to do with them.
pub(crate) fn complete(arguments: &CompleteArgs) -> Result<ExitCode, CommandError> {
    let mut words = vec![OsString::from(BINARY)];
    words.extend(arguments.words.iter().cloned());
    if words.len() == 1 {
        words.push(OsString::new());
    }
    let last = words.len() - 1;
    let found = engine::complete(&mut command(&words), words, last, None)?;
    let lines = found.iter().map(|candidate| {
        let value = candidate.get_value().to_string_lossy();
        match candidate.get_help() {
            Some(help) => format!("{value}\t{help}\n"),
            None => format!("{value}\n"),
        }
    });
    output::print(&format!("{}{NO_FILES}\n", lines.collect::<String>()))?;
    Ok(ExitCode::SUCCESS)
}

/// The command line with live names, in the cluster that the words name.
pub fn command(words: &[OsString]) -> Command {
    let options = options(words);
    let with = move |command: Command, id: &'static str, wanted: Wanted| {
        let options = options.clone();
        let look =
            move |typed: &std::ffi::OsStr| candidates(&options, wanted, &typed.to_string_lossy());
        command.mut_arg(id, |arg| arg.add(ArgValueCompleter::new(look)))
    };
    NAME_ARGUMENTS
        .iter()
        .fold(Arguments::command(), |all, place| {
            all.mut_subcommand(place.command, |one| with(one, place.argument, place.wanted))
        })
}

/// An argument of a command that is the name of something.
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
    let names = names::look(options, wanted);
    let fitting = names
        .into_iter()
        .filter(|(name, _)| name.starts_with(typed));
    fitting
        .map(|(name, help)| CompletionCandidate::new(name).help(Some(help.into())))
        .collect()
}

/// The cluster that a command line names so far, whatever else is wrong with it.
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
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn every_place_with_a_name_exists() {
        command(&words("x")).debug_assert();
        let arguments = Arguments::command();
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
    fn the_cluster_is_read_from_half_a_command_line() {
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
            let found = engine::complete(&mut command(&words), words, last, None);
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
