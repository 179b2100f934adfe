//! The `ft` command: looks at the runs in a store, and operates on them, beside the process that executes them.

mod archive;
mod cli;
mod commands;
mod failure;
mod human;
mod record;
mod session;
mod standing;
mod table;
mod value;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::failure::Exit;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            failure.tell();
            failure.exit().into()
        }
    }
}
