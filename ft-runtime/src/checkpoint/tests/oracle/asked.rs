//! What is asked, in terms that mean the same on every store.

use fastrand::Rng;

use crate::checkpoint::{RunStatus, UnixMillis};

/// One operation. Runs and owners are numbers; a token is one of those that the run was granted.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Claim {
        owner: usize,
        run: usize,
        function: u8,
        version: u32,
        argument: Option<u8>,
        again: bool,
        max: u32,
        keep: u64,
        /// With the arguments themselves.
        upgrades: bool,
        input: bool,
        at: UnixMillis,
    },
    Append {
        owner: usize,
        steps: Vec<Recording>,
        at: UnixMillis,
    },
    Save {
        owner: usize,
        run: usize,
        token: Token,
        name: u8,
        bad: bool,
        twice: bool,
        at: UnixMillis,
    },
    Finish {
        owner: usize,
        run: usize,
        token: Token,
        keep: Option<i64>,
        at: UnixMillis,
    },
    Release {
        owner: usize,
        run: usize,
        token: Token,
        failed: bool,
        at: UnixMillis,
    },
    Renew {
        owner: usize,
    },
    Delete {
        owner: usize,
        run: usize,
    },
    Cancel {
        owner: usize,
        run: usize,
        at: UnixMillis,
    },
    Resume {
        owner: usize,
        run: usize,
        at: UnixMillis,
    },
    Fork {
        owner: usize,
        run: usize,
        from: u8,
        into: usize,
        at: UnixMillis,
    },
    Gc {
        owner: usize,
        prefix: &'static str,
        dry: bool,
        limit: u32,
        older: Option<(RunStatus, u64)>,
        most: Option<(RunStatus, u32)>,
        at: UnixMillis,
    },
    List {
        owner: usize,
        prefix: &'static str,
        status: Option<RunStatus>,
        after: Option<usize>,
        limit: u32,
    },
    Abandoned {
        owner: usize,
        function: Option<bool>,
        after: Option<usize>,
        limit: u32,
        at: UnixMillis,
    },
    /// The process of an owner ends, and a new one takes its place.
    Die {
        owner: usize,
    },
    /// Writes that are enqueued one after the other before any of them is waited for.
    Burst(Vec<Op>),
}

/// One step of an append.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub(super) run: usize,
    pub(super) token: Token,
    pub(super) key: u8,
    pub(super) value: u32,
    /// Sealed for its place; otherwise bytes that nobody can read.
    pub(super) sealed: bool,
}

/// With which right something is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token {
    /// That of the run's last grant.
    Last,
    /// That of the grant before.
    Before,
    /// One that was never granted.
    Never,
}

pub(super) const OWNERS: usize = 3;

/// So few that one claim forgets all whose time is over, and that there are never too many.
pub(super) const RUNS: [&str; 5] = ["a%", "a_b", "a_c", "b", "fork"];

const HOUR: i64 = 60 * 60 * 1000;

/// A sequence of operations.
pub(super) fn sequence(dice: &mut Rng, length: usize) -> Vec<Op> {
    let mut clock = 1_700_000_000_000;
    (0..length).map(|_| any(dice, &mut clock)).collect()
}

fn any(dice: &mut Rng, clock: &mut UnixMillis) -> Op {
    let owner = dice.usize(..OWNERS);
    match dice.u8(..100) {
        0..8 => {
            let writes = (0..dice.usize(2..8)).map(|_| write(dice, owner, clock)).collect();
            Op::Burst(writes)
        }
        8..12 => Op::Die { owner },
        12..14 => Op::Renew { owner },
        14..18 => Op::Abandoned {
            owner,
            function: dice.bool().then(|| dice.bool()),
            after: dice.bool().then(|| dice.usize(..RUNS.len())),
            limit: dice.u32(..4),
            at: tick(dice, clock),
        },
        18..23 => Op::List {
            owner,
            prefix: dice.choice(["", "a", "a_", "%"]).unwrap_or_default(),
            status: dice.bool().then(|| status(dice)),
            after: dice.bool().then(|| dice.usize(..RUNS.len())),
            limit: dice.u32(..4),
        },
        _ => write(dice, owner, clock),
    }
}

fn write(dice: &mut Rng, owner: usize, clock: &mut UnixMillis) -> Op {
    let at = tick(dice, clock);
    // The last one is mostly left to forks, which need a name that is free.
    let rarely = usize::from(dice.u8(..3) == 0);
    let run = dice.usize(..RUNS.len() - 1 + rarely);
    let token = token(dice);
    match dice.u8(..100) {
        0..34 => Op::Claim {
            owner,
            run,
            function: u8::from(dice.u8(..16) == 0),
            version: u32::from(dice.u8(..16) == 0),
            argument: dice.bool().then(|| u8::from(dice.u8(..6) == 0)),
            again: dice.u8(..6) == 0,
            max: dice.choice([0, 1, 1, 10]).unwrap_or_default(),
            keep: dice.choice([1_000, 3_600_000, 7_200_000, u64::MAX]).unwrap_or_default(),
            upgrades: dice.bool(),
            input: dice.bool(),
            at,
        },
        34..62 => {
            let step = |dice: &mut Rng| {
                let run = if dice.u8(..5) == 0 { dice.usize(..RUNS.len()) } else { run };
                Recording { run, token, key: dice.u8(..6), value: dice.u32(..1000), sealed: dice.u8(..4) != 0 }
            };
            Op::Append { owner, steps: (0..dice.usize(1..4)).map(|_| step(dice)).collect(), at }
        }
        62..71 => {
            Op::Save { owner, run, token, name: dice.u8(..2), bad: dice.u8(..5) == 0, twice: dice.u8(..5) == 0, at }
        }
        71..79 => {
            Op::Finish { owner, run, token, keep: dice.choice([None, Some(0), Some(1_000), Some(HOUR)]).flatten(), at }
        }
        79..84 => Op::Release { owner, run, token, failed: dice.bool(), at },
        84..86 => Op::Delete { owner, run },
        86..89 => Op::Cancel { owner, run, at },
        89..91 => Op::Resume { owner, run, at },
        91..96 => {
            let into = if dice.bool() { RUNS.len() - 1 } else { dice.usize(..RUNS.len()) };
            Op::Fork { owner, run, from: dice.u8(..6), into, at }
        }
        _ => Op::Gc {
            owner,
            prefix: dice.choice(["", "a_"]).unwrap_or_default(),
            dry: dice.u8(..3) == 0,
            limit: dice.choice([0, 1, 2, 1000]).unwrap_or_default(),
            older: dice.bool().then(|| (status(dice), dice.u64(..4_000_000))),
            most: dice.bool().then(|| (status(dice), dice.u32(..3))),
            at,
        },
    }
}

/// Time goes on, now and then by much; and somebody may set the clock back.
fn tick(dice: &mut Rng, clock: &mut UnixMillis) -> UnixMillis {
    *clock += match dice.u8(..40) {
        0 => dice.i64(0..3 * HOUR),
        1 => -dice.i64(0..HOUR),
        _ => dice.i64(0..500),
    };
    *clock
}

fn token(dice: &mut Rng) -> Token {
    match dice.u8(..20) {
        0 => Token::Never,
        1 | 2 => Token::Before,
        _ => Token::Last,
    }
}

fn status(dice: &mut Rng) -> RunStatus {
    dice.choice(RunStatus::ALL).unwrap_or(RunStatus::Running)
}
