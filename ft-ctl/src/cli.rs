//! What can be written on the command line.

use clap::{Parser, Subcommand};

use crate::commands::{cancel, delete, export, fork, gc, import, ls, resume, show, state, steps, verify};
use crate::failure::{EXIT_CODES, Failure};
use crate::session::Session;

/// Looks at the runs in a store, and operates on them, beside the process that executes them.
#[derive(Debug, Parser)]
#[command(name = "ft", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The store, as the program names it [default: FT_STORE, or sqlite:.ft/ft.db]
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,

    /// Answer with one JSON document instead of text for people
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List runs: all of them, or those that are stuck
    Ls(ls::Ls),
    /// Show where a run stands, why, and what to do
    Show(show::Show),
    /// Show the recorded steps of a run, with their values
    Steps(steps::Steps),
    /// Show the saved states of a run, with their values
    State(state::State),
    /// End a run for good, whoever executes it
    Cancel(cancel::Cancel),
    /// Let a parked run go on at its next call
    Resume(resume::Resume),
    /// Start a new run with the first steps of another one
    Fork(fork::Fork),
    /// Delete a run and all that is recorded of it; its name is free again
    Delete(delete::Delete),
    /// Delete runs by age and number: says what would go, and deletes with --yes
    Gc(gc::Gc),
    /// Check everything in the store for damage
    Verify(verify::Verify),
    /// Write runs, with all that is recorded of them, to a file
    Export(export::Export),
    /// Put the runs of such a file into the store, for their next call to go on with
    Import(import::Import),
}

impl Cli {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let session = Session::new(self.store, self.json);
        match self.command {
            Command::Ls(ls) => ls.run(&session),
            Command::Show(show) => show.run(&session),
            Command::Steps(steps) => steps.run(&session),
            Command::State(state) => state.run(&session),
            Command::Cancel(cancel) => cancel.run(&session),
            Command::Resume(resume) => resume.run(&session),
            Command::Fork(fork) => fork.run(&session),
            Command::Delete(delete) => delete.run(&session),
            Command::Gc(gc) => gc.run(&session),
            Command::Verify(verify) => verify.run(&session),
            Command::Export(export) => export.run(&session),
            Command::Import(import) => import.run(&session),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
