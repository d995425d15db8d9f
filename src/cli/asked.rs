//! Arguments of a verb that was typed: all verbs have some two hundred, whose description takes clap longer than many a plan.

use std::ops::Deref;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// `T`, described to clap when the process's command line may need it.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T> Deref for Asked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Args> Args for Asked<T> {
    fn augment_args(command: Command) -> Command {
        let needs_it = |argument| {
            argument == command.get_name() || argument == "help" || argument == "completions"
        };
        if std::env::args_os().skip(1).any(needs_it) {
            T::augment_args(command)
        } else {
            command
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Args> FromArgMatches for Asked<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}
