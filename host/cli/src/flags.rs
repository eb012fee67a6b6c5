//! Flags that several commands take: where the server is, and what the configuration is.
//!
//! Those that say what a key of the configuration says are defined there, with their help.

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use usher_config::{Flag, FlagForm, Overrides};

/// They win over the environment (`BAO_…`, then `VAULT_…`), which wins over the files.
#[derive(Args)]
pub(crate) struct Flags {
    /// Configuration file or directory, HCL or JSON; may be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
    #[command(flatten)]
    settings: SettingFlags,
}

impl Flags {
    /// The files, and what goes before them.
    pub(crate) fn into_parts(self) -> (Vec<PathBuf>, Overrides) {
        (self.config, self.settings.0)
    }
}

/// All that say what the configuration says.
struct SettingFlags(Overrides);

/// Where the server is and how to reach it.
pub(crate) struct ServerFlags(Overrides);

impl ServerFlags {
    /// What goes before the environment.
    pub(crate) fn into_overrides(self) -> Overrides {
        self.0
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        command.args(all().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(given(all(), matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ServerFlags {
    fn augment_args(command: Command) -> Command {
        command.args(usher_config::server_flags().map(argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServerFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(given(usher_config::server_flags(), matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn all() -> impl Iterator<Item = &'static Flag> {
    usher_config::server_flags().chain(usher_config::flags())
}

fn argument(flag: &'static Flag) -> Arg {
    // As of a field's comment: the help has no full stop at its end.
    let help = flag.help.trim_end_matches('.');
    let argument = Arg::new(flag.name).long(flag.name).value_name(flag.value).help(help);
    match flag.form {
        FlagForm::Text => argument,
        FlagForm::Number => argument.allow_negative_numbers(true),
        FlagForm::Switch => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(ValueParser::new(|text: &str| go_bool(text).map(|on| on.to_string()))),
    }
}

/// What was given of them.
fn given(flags: impl Iterator<Item = &'static Flag>, matches: &ArgMatches) -> Overrides {
    let mut overrides = Overrides::default();
    for flag in flags {
        if let Some(text) = matches.get_one::<String>(flag.name) {
            overrides.set(flag, text);
        }
    }
    overrides
}

/// Go's `strconv.ParseBool`, which the incumbents use for flags.
pub(crate) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct OfAll {
        #[command(flatten)]
        flags: Flags,
    }

    #[derive(Parser)]
    struct OfServer {
        #[command(flatten)]
        server: ServerFlags,
    }

    #[test]
    fn each_flag_of_the_configuration_is_taken_and_told_of() {
        let mut command = vec!["usher".to_owned()];
        let mut expected = Overrides::default();
        for flag in all() {
            let (given, meant) = match flag.form {
                FlagForm::Text => (format!("--{}=x", flag.name), "x"),
                FlagForm::Number => (format!("--{}=-1", flag.name), "-1"),
                FlagForm::Switch => (format!("--{}", flag.name), "true"),
            };
            command.push(given);
            expected.set(flag, meant);
        }
        let (_, overrides) = OfAll::parse_from(&command).flags.into_parts();
        assert_eq!(format!("{overrides:?}"), format!("{expected:?}"));

        let help = <OfAll as clap::CommandFactory>::command().render_help().to_string();
        for flag in all() {
            assert!(help.contains(&format!("--{}", flag.name)), "{}: {help}", flag.name);
            assert!(help.contains(&format!("<{}>", flag.value)), "{}: {help}", flag.name);
        }
    }

    #[test]
    fn a_switch_takes_what_go_takes_and_a_number_may_be_negative() {
        let parse = |flags: &[&str]| {
            let command = ["usher"].iter().chain(flags);
            let (_, overrides) = OfAll::try_parse_from(command).ok()?.flags.into_parts();
            Some(format!("{overrides:?}"))
        };
        assert_eq!(parse(&["--tls-skip-verify=T"]), parse(&["--tls-skip-verify"]));
        assert_ne!(parse(&["--tls-skip-verify=F"]), parse(&["--tls-skip-verify"]));
        assert_eq!(parse(&["--tls-skip-verify=no"]), None);
        assert!(parse(&["--log-rotate-max-files", "-1"]).is_some());
    }

    #[test]
    fn a_command_that_reads_no_configuration_takes_the_servers_flags_alone() {
        assert!(OfServer::try_parse_from(["usher", "--namespace", "team"]).is_ok());
        assert!(OfServer::try_parse_from(["usher", "--log-level", "debug"]).is_err());
    }
}
