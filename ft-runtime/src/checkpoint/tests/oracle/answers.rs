//! What a store answers, told in numbers that mean the same on every store.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::asked::{OWNERS, Op, RUNS, Recording, Token};
use crate::checkpoint::envelope::{self, Envelope, Place};
use crate::checkpoint::tests::World;
use crate::checkpoint::{
    Abandoned, Appended, Arguments, Backend, Claim, Claimed, Collected, Filter, Finish, Fork, Gc, Granted, InputHash,
    Lease, Left, Newest, Renewed, RunRecord, SaveState, StateRecord, Step, StepRecord, StoreError, Ticket,
};

/// One store, the owners that use it, and what its tokens and owners stand for.
pub(super) struct Actor {
    owners: Vec<Arc<dyn Backend>>,
    /// Every owner there was, in the order in which they came.
    names: Vec<String>,
    /// Every grant there was, in order: the run, its token and its incarnation.
    grants: Vec<(String, u64, u64)>,
    /// A number for each version of a state.
    generation: u64,
    world: World,
}

/// A request under way.
enum Asked {
    Claimed(String, Ticket<Claimed>),
    Appended(Vec<String>, Ticket<Vec<Appended>>),
    Done(&'static str, Ticket<()>),
    Released(Ticket<()>),
    Renewed(Ticket<Renewed>),
    Told(&'static str, Ticket<bool>),
    Forked(Ticket<RunRecord>),
    Collected(bool, Ticket<Collected>),
    Listed(Ticket<Vec<RunRecord>>),
    Abandoned(Ticket<Vec<RunRecord>>),
    Nothing,
}

impl Actor {
    pub(super) fn new(world: World) -> Self {
        let mut actor = Self { owners: Vec::new(), names: Vec::new(), grants: Vec::new(), generation: 0, world };
        for _ in 0..OWNERS {
            let owner = actor.enter();
            actor.owners.push(owner);
        }
        actor
    }

    fn enter(&mut self) -> Arc<dyn Backend> {
        let owner = self.world.owner();
        self.names.push(owner.owner().to_owned());
        owner
    }

    /// Does it, and tells the kinds of the answers, and everything: the answers, and what the store holds by then.
    pub(super) fn answer(&mut self, op: &Op) -> (Vec<String>, String) {
        let asked: Vec<Asked> = match op {
            Op::Burst(ops) => ops.iter().map(|op| self.ask(op)).collect(),
            op => vec![self.ask(op)],
        };
        let mut kinds = Vec::new();
        let mut all = String::new();
        for asked in asked {
            all.push_str(&self.hear(asked, &mut kinds));
            all.push('\n');
        }
        let held = self.held();
        (kinds, all + &held)
    }

    fn ask(&mut self, op: &Op) -> Asked {
        let run = |number: usize| RUNS[number];
        match op {
            &Op::Claim { owner, run: number, function, version, upgrades, argument, again, max, keep, input, at } => {
                let arguments =
                    Arguments::default().with("n", argument.map(|argument| InputHash::from_bytes([argument; 16])));
                let claim = Claim {
                    run: run(number).into(),
                    function: ["work", "other"][usize::from(function)].into(),
                    version,
                    upgrades,
                    arguments,
                    again,
                    max_recoveries: max,
                    keep_unfinished: Duration::from_millis(keep),
                    input: input.then(|| at.to_le_bytes().into()),
                    at,
                };
                Asked::Claimed(run(number).into(), self.owners[owner].claim(claim))
            }
            Op::Append { owner, steps, at } => {
                let steps: Vec<_> = steps.iter().map(|step| self.step(step, *at)).collect();
                let runs = steps.iter().map(|step| step.lease.run.to_string()).collect();
                Asked::Appended(runs, self.owners[*owner].append(steps))
            }
            &Op::Save { owner, run: number, token, name, bad, twice, at } => {
                self.generation += 1;
                let value = Arc::new(Newest::default());
                value.put(self.generation, self.generation.to_string().into_bytes().into());
                let name = ["s", "t"][usize::from(name)];
                let state = SaveState {
                    bad: bad.then_some(self.generation - 1),
                    at,
                    ..SaveState::new(self.lease(run(number), token), name, "T", value)
                };
                if twice {
                    drop(self.owners[owner].put_state(state.clone()));
                }
                Asked::Done("save", self.owners[owner].put_state(state))
            }
            &Op::Finish { owner, run: number, token, keep, at } => {
                let lease = self.lease(run(number), token);
                let finish = Finish { expires_at: keep.map(|keep| at + keep), at, ..Finish::new(lease, *b"output") };
                Asked::Done("finish", self.owners[owner].finish(finish))
            }
            &Op::Release { owner, run: number, token, failed, at } => {
                let left = if failed { Left::Failed } else { Left::Interrupted };
                Asked::Released(self.owners[owner].release(self.lease(run(number), token), at, left))
            }
            &Op::Renew { owner } => Asked::Renewed(self.owners[owner].renew()),
            &Op::Delete { owner, run: number } => Asked::Told("delete", self.owners[owner].delete(run(number))),
            &Op::Cancel { owner, run: number, at } => Asked::Told("cancel", self.owners[owner].cancel(run(number), at)),
            &Op::Resume { owner, run: number, at } => Asked::Told("resume", self.owners[owner].resume(run(number), at)),
            &Op::Fork { owner, run: number, from, into, at } => {
                let mut fork = Fork::new(run(number), key(from), run(into));
                fork.at = at;
                Asked::Forked(self.owners[owner].fork(fork))
            }
            &Op::Gc { owner, prefix, dry, limit, older, most, at } => {
                let mut gc = Gc { at, ..Gc::new().prefix(prefix).dry_run(dry).limit(limit) };
                if let Some((status, age)) = older {
                    gc = gc.older_than(status, Duration::from_millis(age));
                }
                if let Some((status, number)) = most {
                    gc = gc.at_most(status, number);
                }
                Asked::Collected(dry, self.owners[owner].gc(gc))
            }
            &Op::List { owner, prefix, status, after, limit } => {
                let after = after.map(|after| run(after).to_owned());
                Asked::Listed(self.owners[owner].list(Filter { prefix: prefix.into(), status, after, limit }))
            }
            &Op::Abandoned { owner, function, after, limit, at } => {
                let functions = function.map(|other| vec![["work", "other"][usize::from(other)].to_owned()]);
                let after = after.map(|after| (at - 1_000_000, run(after).to_owned()));
                let abandoned = Abandoned { functions, after, limit, at };
                Asked::Abandoned(self.owners[owner].abandoned(abandoned))
            }
            &Op::Die { owner } => {
                // First it dies: the new one is another process.
                drop(self.owners.remove(owner));
                let new = self.enter();
                self.owners.insert(owner, new);
                Asked::Nothing
            }
            Op::Burst(_) => unreachable!("a burst has no bursts in it"),
        }
    }

    fn lease(&self, run: &str, token: Token) -> Lease {
        let mut granted = self.grants.iter().rev().filter(|(of, ..)| of == run).map(|(_, token, _)| *token);
        let token = match token {
            Token::Last => granted.next(),
            Token::Before => granted.nth(1),
            Token::Never => None,
        };
        Lease::new(run, token.unwrap_or_default())
    }

    fn step(&self, &Recording { run, token, key: number, value, sealed }: &Recording, at: i64) -> Step {
        let (run, key, input) = (RUNS[run], key(number), InputHash::from_bytes([number; 16]));
        let lease = self.lease(run, token);
        let incarnation = self.grants.iter().find(|(_, granted, _)| *granted == lease.token).map_or(0, |grant| grant.2);
        let place = Place::Step { incarnation, run, key, input };
        let value = match sealed {
            true => envelope::seal(&value, 0, &place).expect("a number is sealed"),
            false => value.to_le_bytes().to_vec(),
        };
        Step { input, at, ..Step::new(lease, key, value) }
    }

    /// Waits for one answer.
    fn hear(&mut self, asked: Asked, kinds: &mut Vec<String>) -> String {
        let mut kind = |kind: &str| kinds.push(kind.to_owned());
        match asked {
            Asked::Claimed(run, ticket) => {
                let answer = ticket.wait();
                kind(claimed(&answer, self.grants.iter().any(|(of, ..)| *of == run)));
                if let Ok(Claimed::Granted(granted)) = &answer {
                    granted.forgotten.iter().for_each(|run| kind(&format!("claim: forgets {}", run.status.as_str())));
                    self.learn(run.clone(), granted.token, granted.incarnation);
                }
                self.tell(answer.map(|claimed| match claimed {
                    Claimed::Granted(granted) => self.granted(&run, granted),
                    Claimed::Busy { owner } => format!("busy {:?}", self.owner(Some(&owner))),
                    other => format!("{other:?}"),
                }))
            }
            Asked::Appended(runs, ticket) => {
                let answer = ticket.wait();
                let answers = answer.iter().flatten().zip(runs).map(|(appended, run)| match appended {
                    Appended::Recorded { .. } => {
                        kind("append: recorded");
                        format!("{appended:?}")
                    }
                    Appended::Already(record) => {
                        kind("append: already");
                        format!("already {}", self.recorded(&run, record.clone()))
                    }
                    Appended::Cancelled => {
                        kind("append: cancelled");
                        String::from("cancelled")
                    }
                    Appended::Fenced { owner } => {
                        kind(if owner.is_some() { "append: fenced" } else { "append: nobody's" });
                        format!("fenced by {:?}", self.owner(owner.as_deref()))
                    }
                });
                let answers: Vec<_> = answers.collect();
                self.tell(answer.map(|_| answers))
            }
            Asked::Done(what, ticket) => {
                let answer = ticket.wait();
                kind(&format!("{what}: {}", outcome(&answer)));
                self.tell(answer)
            }
            Asked::Released(ticket) => self.tell(ticket.wait()),
            Asked::Renewed(ticket) => {
                // What it has lost is said where the kernel does not watch over owners.
                let answer = ticket.wait().map(drop);
                kind(&format!("renew: {}", outcome(&answer)));
                self.tell(answer)
            }
            Asked::Told(what, ticket) => {
                let answer = ticket.wait();
                match &answer {
                    Ok(answer) => kind(&format!("{what}: {answer}")),
                    Err(_) => kind(&format!("{what}: {}", outcome(&answer))),
                }
                self.tell(answer)
            }
            Asked::Forked(ticket) => {
                let answer = ticket.wait();
                kind(&format!("fork: {}", outcome(&answer)));
                if let Ok(record) = &answer {
                    self.learn(record.run.clone(), record.token, record.incarnation);
                }
                self.tell(answer.map(|record| self.run(record)))
            }
            Asked::Collected(dry, ticket) => {
                let answer = ticket.wait();
                kind(match &answer {
                    Ok(collected) if collected.more => "gc: leaves some",
                    Ok(collected) if collected.runs.is_empty() => "gc: nothing",
                    Ok(_) if dry => "gc: only says",
                    Ok(_) => "gc: deletes",
                    Err(_) => "gc: fails",
                });
                self.tell(answer.map(|Collected { runs, more }| (self.runs(runs), more)))
            }
            Asked::Listed(ticket) => {
                let answer = ticket.wait();
                kind(if answer.as_ref().is_ok_and(|runs| runs.is_empty()) { "list: none" } else { "list: some" });
                self.tell(answer.map(|runs| self.runs(runs)))
            }
            Asked::Abandoned(ticket) => {
                let answer = ticket.wait();
                kind(if answer.as_ref().is_ok_and(|runs| runs.is_empty()) {
                    "abandoned: none"
                } else {
                    "abandoned: some"
                });
                self.tell(answer.map(|runs| self.runs(runs)))
            }
            Asked::Nothing => String::new(),
        }
    }

    /// Everything that the store holds.
    fn held(&self) -> String {
        let store = &self.owners[0];
        let runs = store.list(Filter::default()).wait();
        let mut held = self.tell(runs.map(|runs| self.runs(runs)));
        for run in RUNS {
            let steps = store.steps(run).wait();
            let steps = steps.map(|steps| steps.into_iter().map(|step| self.recorded(run, step)).collect::<Vec<_>>());
            held += &format!("\n{run}: {}", self.tell(steps));
            held += &(self.tell(store.output(run).wait()) + &self.tell(store.input(run).wait()));
            for name in ["s", "t"] {
                let states = store.states(run, name).wait();
                held += &self.tell(states.map(|states| self.states(states)));
            }
        }
        held
    }

    /// A grant: its token is larger than every one before.
    fn learn(&mut self, run: String, token: u64, incarnation: u64) {
        let last = self.grants.last().map_or(0, |(_, token, _)| *token);
        assert!(token > last, "token {token} was granted after token {last}");
        self.grants.push((run, token, incarnation));
    }

    fn number(&self, token: u64) -> Option<usize> {
        self.grants.iter().position(|(_, granted, _)| *granted == token)
    }

    fn owner(&self, name: Option<&str>) -> Option<Option<usize>> {
        name.map(|name| self.names.iter().position(|known| known == name))
    }

    fn granted(&self, run: &str, granted: Granted) -> String {
        let Granted { token, attempts, incarnation, recorded, steps, created_at, mut forgotten, .. } = granted;
        forgotten.sort_by(|a, b| a.run.cmp(&b.run));
        let steps: Vec<_> = steps.into_iter().map(|step| self.recorded(run, step)).collect();
        let numbers = (self.number(token), attempts, self.number(incarnation), recorded, created_at);
        format!("granted {numbers:?} {forgotten:?} {steps:?}")
    }

    fn runs(&self, runs: Vec<RunRecord>) -> Vec<String> {
        runs.into_iter().map(|run| self.run(run)).collect()
    }

    fn run(&self, record: RunRecord) -> String {
        let numbers = (self.number(record.token), self.number(record.incarnation));
        let owner = self.owner(record.owner.as_deref());
        format!("{numbers:?} {owner:?} {:?}", RunRecord { token: 0, incarnation: 0, owner: None, ..record })
    }

    fn recorded(&self, run: &str, record: StepRecord) -> String {
        let token = self.number(record.token);
        // The start of the run under which the value can be read.
        let value = self.grants.iter().rev().filter(|(of, ..)| of == run).find_map(|&(_, _, incarnation)| {
            let place = Place::Step { incarnation, run, key: &record.key, input: record.input };
            let value = Envelope::parse(&record.value, &place).ok()?;
            Some((self.number(incarnation), value.payload().to_vec()))
        });
        let raw = if value.is_some() { Arc::default() } else { Arc::clone(&record.value) };
        format!("{token:?} {value:?} {:?}", StepRecord { token: 0, value: raw, ..record })
    }

    fn states(&self, states: Vec<StateRecord>) -> Vec<String> {
        let told = states.into_iter().map(|state| (self.number(state.token), StateRecord { token: 0, ..state }));
        told.map(|told| format!("{told:?}")).collect()
    }

    fn tell<T: Debug>(&self, answer: Result<T, StoreError>) -> String {
        match answer {
            Err(StoreError::Fenced { run, owner }) => format!("fenced {run} {:?}", self.owner(owner.as_deref())),
            Err(StoreError::RunBusy { run, owner }) => format!("busy {run} {:?}", self.owner(Some(&owner))),
            answer => format!("{answer:?}"),
        }
    }
}

fn key(number: u8) -> &'static str {
    ["k0", "k1", "k2", "k3", "k4", "k5"][usize::from(number)]
}

fn claimed(answer: &Result<Claimed, StoreError>, known: bool) -> &'static str {
    match answer {
        Ok(Claimed::Granted(granted)) if granted.token != granted.incarnation => "claim: goes on",
        Ok(Claimed::Granted(_)) if known => "claim: starts again",
        Ok(Claimed::Granted(_)) => "claim: starts",
        Ok(Claimed::Finished(_)) => "claim: finished",
        Ok(Claimed::Cancelled) => "claim: cancelled",
        Ok(Claimed::Parked { now: true, .. }) => "claim: parks",
        Ok(Claimed::Parked { now: false, .. }) => "claim: parked",
        Ok(Claimed::Busy { .. }) => "claim: busy",
        Ok(Claimed::OtherFunction { .. }) => "claim: other function",
        Ok(Claimed::OtherArguments { .. }) => "claim: other arguments",
        Ok(Claimed::OtherVersion { .. }) => "claim: other version",
        Err(_) => "claim: fails",
    }
}

/// How an operation ended that has only one good answer.
fn outcome<T>(answer: &Result<T, StoreError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(StoreError::Fenced { owner: Some(_), .. }) => "fenced",
        Err(StoreError::Fenced { owner: None, .. }) => "nobody's",
        Err(StoreError::RunCancelled { .. }) => "cancelled",
        Err(StoreError::RunBusy { .. }) => "busy",
        Err(StoreError::NoSuchStep { .. }) => "no such step",
        Err(StoreError::RunExists { .. }) => "run exists",
        Err(StoreError::Unreadable { .. }) => "unreadable",
        Err(_) => "fails",
    }
}
