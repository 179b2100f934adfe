//! The real command beside real processes that execute runs.

mod carry;
mod command;
mod keys;
mod look;
mod operate;
mod program;
mod readme;
mod retention;
mod stage;
mod verify;
