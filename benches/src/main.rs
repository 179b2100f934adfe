//! What ft costs, beside code written by hand and its peers, all of them in one run.
//!
//! ```text
//! cargo run --release -p ft-benches -- overhead [PATTERN]    instructions and allocations of one call
//! cargo run --release -p ft-benches -- contended [PATTERN]   many threads and tasks on one policy
//! cargo run --release -p ft-benches -- store [PATTERN]       durable records, beside the database and the disk alone
//! cargo run --release -p ft-benches -- size                  bytes of futures and services
//! ```
//!
//! # Reading `overhead`
//!
//! `case  who  instructions  allocations  ratio_to_ours`, tab-separated, one row for each way to do the same thing.
//!
//! - `instructions` is what the policy adds to the *bare* call: the same function, future or service without it, which
//!   is measured too (rows `bare.*`, these in full). A negative number is no mistake: a refused call does not run what
//!   the bare one runs.
//! - `allocations` are those of one call, in full.
//! - `ratio_to_ours` divides by the first row of the case that is ours: `ft` is the attribute, `ft call` the policy
//!   value, `ft layer` the tower layer, in that order.
//! - `hand` is minimal code for the same job, written by hand: the practical limit, not a product.
//!
//! Instructions are callgrind's: valgrind runs this program once more. Only what happens inside `meter::counted` is
//! counted, once for n calls and once for 2 n; the difference is n calls without what comes before and after them. So
//! the figures are the same on a busy machine; they are comparable between compilers and machines of one kind only.
//! Layers, pools and policies are built outside; inputs and functions are hidden from the optimiser, and every future
//! is polled through a pointer, as an executor does. Futures that suspend are polled once more, by hand, with nothing
//! of a runtime's scheduler in between.
//!
//! Without valgrind the column `instructions` says `-`, a line on standard error says why, and the exit code is 2; it
//! is 1 when something went wrong, and 0 otherwise.
//!
//! # Reading `contended`
//!
//! `case  who  threads_1  threads_2  tasks_64  ratio_to_ours`: nanoseconds for one call, medians of several rounds. One
//! or two threads of their own on one policy, and 64 tasks on a runtime of two workers. All cases take turns in each
//! round, so that a machine that is busy for a while is busy for all of them; the ratios hold, the times are only as
//! good as the machine was quiet.

//!
//! # Reading `store`
//!
//! `case  who  per_second  p50_us  p99_us  ratio_to_raw  quartiles`. A case is so many producers that each record one step
//! of 200 bytes after the other. The rate is the median over the rounds, and the ratio is that of two rates in the same
//! round, its median and its quartiles: the disk of a shared machine has phases, and only ratios outlive them. `raw` is
//! the same database with the same settings and a table of nothing but values; `fdatasync` an append to a file and its
//! sync, the floor of all of them. `FT_BENCH_DIR` chooses the disk; on a file system in memory a sync costs nothing, and
//! the figures say nothing. What a mark that is not due costs, `overhead mark` says.

mod alloc;
mod bulkhead;
mod callgrind;
mod chaos;
mod circuit_breaker;
mod coalesce;
mod contended;
mod failover;
mod fallback;
mod hedge;
mod meter;
mod rate_limiter;
mod retry;
mod size;
mod stack;
mod store;
mod timeout;
mod work;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["overhead"] => callgrind::overhead(""),
        ["overhead", pattern] => callgrind::overhead(pattern),
        ["contended"] => contended(""),
        ["contended", pattern] => contended(pattern),
        ["store"] => store::run(""),
        ["store", pattern] => store::run(pattern),
        ["size"] => {
            size::run(&meter::runtime(), |sizes| {
                work::sizes(sizes);
                retry::sizes(sizes);
                circuit_breaker::sizes(sizes);
                rate_limiter::sizes(sizes);
                bulkhead::sizes(sizes);
                timeout::sizes(sizes);
                failover::sizes(sizes);
                fallback::sizes(sizes);
                hedge::sizes(sizes);
                coalesce::sizes(sizes);
                chaos::sizes(sizes);
                stack::sizes(sizes);
            });
            ExitCode::SUCCESS
        }
        // What `overhead` starts, under valgrind or without.
        [callgrind::CHILD, pattern] => {
            meter::run(pattern, every_case);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: ft-benches overhead [PATTERN] | contended [PATTERN] | store [PATTERN] | size");
            ExitCode::FAILURE
        }
    }
}

fn every_case(meter: &mut meter::Meter) {
    work::measure(meter);
    retry::measure(meter);
    circuit_breaker::measure(meter);
    rate_limiter::measure(meter);
    bulkhead::measure(meter);
    timeout::measure(meter);
    failover::measure(meter);
    fallback::measure(meter);
    hedge::measure(meter);
    coalesce::measure(meter);
    chaos::measure(meter);
    stack::measure(meter);
    store::measure(meter);
}

fn contended(pattern: &str) -> ExitCode {
    contended::run(pattern, |cases| {
        work::contended(cases);
        retry::contended(cases);
        circuit_breaker::contended(cases);
        rate_limiter::contended(cases);
        bulkhead::contended(cases);
        stack::contended(cases);
    });
    ExitCode::SUCCESS
}
