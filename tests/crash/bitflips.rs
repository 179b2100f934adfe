//! Damage to what is stored: every bit flipped and every length cut, in every kind of value and in what says where it
//! stands. The answer is `Corrupt`, or an older version of a saved state; never another value, and never a step that
//! runs once more.

use std::cell::Cell;
use std::fmt;
use std::path::Path;

use ft_runtime::checkpoint::{Checkpoint, CheckpointError, Saved, Store, StoreError};
use ft_runtime::{Rejected, site};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::recorder::scratch;

type Outcome<T> = Result<T, Failure>;

/// Why a run did not end.
#[derive(Debug, PartialEq)]
enum Failure {
    /// It was told to stop.
    Stopped,
    /// A step returned what was never recorded.
    Wrong(Receipt),
    /// A stored value was found to be damaged, or a row to make no sense.
    Corrupt,
    /// Anything else that the engine said.
    Refused(String),
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        let Rejected::Checkpoint(error) = &rejected else { return Failure::Refused(rejected.to_string()) };
        match &**error {
            CheckpointError::Corrupt { .. } | CheckpointError::Store(StoreError::Damaged { .. }) => Failure::Corrupt,
            other => Failure::Refused(other.to_string()),
        }
    }
}

/// A value with something to hit: numbers, text, a fraction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Receipt {
    number: u32,
    payee: String,
    rate: f64,
}

fn receipt(number: u32) -> Receipt {
    Receipt { number, payee: format!("payee {number}"), rate: f64::from(number) / 3.0 }
}

/// Keys of the steps. No two differ in one bit only, or damage to one would be refused by the database.
const KEYS: [u32; 3] = [10, 21, 32];

#[test]
fn bitflips_in_a_recorded_step_are_corrupt_and_the_step_does_not_run_again() {
    let bench = Bench::new();
    assert_eq!(bench.steps(true), Err(Failure::Stopped), "the steps are recorded, the run stays open");
    for seq in 1..=KEYS.len() {
        bench.damage(&Value::of_step("value", seq), &Err(Failure::Corrupt), || bench.steps(false));
    }
    assert_eq!(bench.steps(false), Err(Failure::Stopped), "once repaired, every step is there again");
}

#[test]
fn bitflips_in_what_a_recorded_step_is_called_are_corrupt_and_the_step_does_not_run_again() {
    let bench = Bench::new();
    assert_eq!(bench.steps(true), Err(Failure::Stopped));
    for seq in 1..=KEYS.len() {
        bench.damage(&Value::of_step("key", seq), &Err(Failure::Corrupt), || bench.steps(false));
        bench.damage(&Value::of_step("input", seq), &Err(Failure::Corrupt), || bench.steps(false));
    }
    assert_eq!(bench.steps(false), Err(Failure::Stopped));
}

/// A row that goes to another run leaves a hole, or for the newest one a number that is not reached.
#[test]
fn bitflips_in_the_run_of_a_recorded_step_leave_a_hole_that_is_found() {
    let bench = Bench::new();
    assert_eq!(bench.steps(true), Err(Failure::Stopped));
    for seq in 1..=KEYS.len() {
        let intact = bench.read(&Value::of_step("run", seq));
        for bit in 0..intact.len() * 8 {
            let row = |run: &[u8]| format!("seq = {seq} and hex(run) = '{}'", hex(run));
            let damaged = flipped(&intact, bit);
            bench.write(&Value { row: row(&intact), ..Value::of_step("run", seq) }, &damaged);
            assert_eq!(bench.steps(false), Err(Failure::Corrupt), "bit {bit} of the run of row {seq}");
            bench.write(&Value { row: row(&damaged), ..Value::of_step("run", seq) }, &intact);
        }
    }
    assert_eq!(bench.steps(false), Err(Failure::Stopped));
}

#[test]
fn values_that_change_places_are_corrupt() {
    let bench = Bench::new();
    assert_eq!(bench.steps(true), Err(Failure::Stopped));
    let (first, second) = (Value::of_step("value", 1), Value::of_step("value", 2));
    bench.swap(&first, &second);
    assert_eq!(bench.steps(false), Err(Failure::Corrupt));
    bench.swap(&first, &second);
    assert_eq!(bench.steps(false), Err(Failure::Stopped));

    // The same step of another run, whose arguments may well be the same.
    let copied = "insert into ft_step select 'result', seq, key, schema, input, value, token, version, recorded_at \
                  from ft_step where run = 'steps' and seq = 1";
    assert_eq!(bench.result(true), Ok(receipt(7)));
    assert_eq!(bench.db.execute(copied, []), Ok(1));
    bench.db.execute("update ft_run set status = 'running' where run = 'result'", []).expect("a run goes on");
    assert_eq!(bench.result(false), Err(Failure::Corrupt));
}

#[test]
fn bitflips_in_a_result_are_corrupt() {
    let bench = Bench::new();
    assert_eq!(bench.result(true), Ok(receipt(7)));
    let value = Value { table: "ft_run", column: "output", row: "run = 'result'".into() };
    bench.damage(&value, &Err(Failure::Corrupt), || bench.result(false));
    assert_eq!(bench.result(false), Ok(receipt(7)));
}

#[test]
fn bitflips_in_the_newest_state_give_the_one_before() {
    let bench = Bench::new();
    assert_eq!(bench.state(true), Ok(Receipt::default()));
    bench.damage(&bench.generation(0), &Ok(receipt(1)), || bench.state(false));
    bench.damage(&bench.generation(1), &Ok(receipt(2)), || bench.state(false));
    assert_eq!(bench.state(false), Ok(receipt(2)));
}

/// What was saved first, written over what was saved last.
#[test]
fn older_states_in_the_place_of_newer_ones_are_not_believed() {
    let bench = Bench::new();
    assert_eq!(bench.state(true), Ok(Receipt::default()));
    let (older, newer) = (bench.generation(1), bench.generation(0));
    let (first, last) = (bench.read(&older), bench.read(&newer));
    bench.write(&newer, &first);
    assert_eq!(bench.state(false), Ok(receipt(1)), "the version before, by its own right");
    bench.write(&older, &last);
    assert_eq!(bench.state(false), Err(Failure::Corrupt));
    bench.write(&older, &first);
    bench.write(&newer, &last);
    assert_eq!(bench.state(false), Ok(receipt(2)));
}

#[test]
fn results_that_change_places_are_corrupt() {
    let bench = Bench::new();
    assert_eq!(bench.result(true), Ok(receipt(7)));
    assert_eq!(bench.db.execute("update ft_run set run = 'other' where run = 'result'", []), Ok(1));
    let call = Checkpoint::new().run("other").named("result").calls::<Outcome<Receipt>>().at(site!("result").enter());
    let answer = crate::block_on(bench.store.scope(call.run(async { panic!("a finished run began again") })));
    assert_eq!(answer, Err(Failure::Corrupt));
}

#[test]
fn bitflips_in_every_version_of_a_state_are_corrupt_and_never_a_fresh_start() {
    let bench = Bench::new();
    assert_eq!(bench.state(true), Ok(Receipt::default()));
    let older = bench.generation(1);
    let intact = bench.read(&older);
    bench.write(&older, &flipped(&intact, intact.len() * 8 - 1));
    bench.damage(&bench.generation(0), &Err(Failure::Corrupt), || bench.state(false));
}

/// A store, and a second connection that damages it behind the store's back.
struct Bench {
    store: Store,
    db: Connection,
    _dir: tempfile::TempDir,
}

/// Where one value is stored.
struct Value {
    table: &'static str,
    column: &'static str,
    row: String,
}

impl Value {
    fn of_step(column: &'static str, seq: usize) -> Self {
        Self { table: "ft_step", column, row: format!("run = 'steps' and seq = {seq}") }
    }
}

impl Bench {
    fn new() -> Self {
        let dir = scratch();
        let path = dir.path().join("ft.db");
        let store = Store::open(&url(&path)).expect("a store");
        let db = Connection::open(path).expect("a second connection");
        Self { store, db, _dir: dir }
    }

    /// Takes the steps, and stops before the run ends.
    fn steps(&self, may_run: bool) -> Outcome<()> {
        let ran = Cell::new(0);
        let call = Checkpoint::new().run("steps").named("steps").calls::<Outcome<()>>().at(site!("steps").enter());
        let outcome = crate::block_on(self.store.scope(call.run(async {
            for number in KEYS {
                let step = Checkpoint::new().step("pay").key(&number).input(&number).at(site!("pay").enter());
                let body = async {
                    ran.set(ran.get() + 1);
                    Ok(receipt(number))
                };
                let value = step.calls::<Outcome<Receipt>>().run(body).await?;
                if value != receipt(number) {
                    return Err(Failure::Wrong(value));
                }
            }
            Err(Failure::Stopped)
        })));
        assert!(may_run || ran.get() == 0, "a recorded step ran again");
        outcome
    }

    /// A run that ends.
    fn result(&self, may_run: bool) -> Outcome<Receipt> {
        let call =
            Checkpoint::new().run("result").named("result").calls::<Outcome<Receipt>>().at(site!("result").enter());
        crate::block_on(self.store.scope(call.run(async {
            assert!(may_run, "a finished run began again");
            Ok(receipt(7))
        })))
    }

    /// What the saved state is when the run begins; `write` commits two versions of it. The run stays open.
    fn state(&self, write: bool) -> Outcome<Receipt> {
        let found = Cell::new(None);
        let call = Checkpoint::new().run("state").named("state").calls::<Outcome<()>>().at(site!("state").enter());
        let outcome = crate::block_on(self.store.scope(call.run(async {
            let mut state = Saved::<Receipt>::load("state").await?;
            found.set(Some(state.clone()));
            for number in (1..=2).filter(|_| write) {
                *state = receipt(number);
                state.commit().await?;
            }
            Err(Failure::Stopped)
        })));
        match (found.take(), outcome) {
            (Some(state), Err(Failure::Stopped)) => Ok(state),
            (_, Err(error)) => Err(error),
            (_, Ok(())) => unreachable!("the run stops before its end"),
        }
    }

    /// A version of the saved state; 0 is the newest.
    fn generation(&self, back: u32) -> Value {
        let sql = format!("select generation from ft_state order by generation desc limit 1 offset {back}");
        let generation: i64 = self.db.query_row(&sql, [], |row| row.get(0)).expect("two versions are kept");
        Value { table: "ft_state", column: "value", row: format!("generation = {generation}") }
    }

    /// Damages one value in every way, and asks each time for an answer that must be `expected`. Puts it back.
    fn damage<T: fmt::Debug + PartialEq>(&self, value: &Value, expected: &Outcome<T>, answer: impl Fn() -> Outcome<T>) {
        let intact = self.read(value);
        let mut dice = fastrand::Rng::with_seed(crate::seed());
        // All of them from 200 cycles on, which is what CI asks for.
        let often = crate::cycles() as f64 / 200.0;
        let flips = (0..intact.len() * 8).map(|bit| (format!("bit {bit} flipped"), flipped(&intact, bit)));
        let cuts = (0..intact.len()).map(|len| (format!("cut to {len} bytes"), intact[..len].to_vec()));
        let (mut believed, mut other) = (Vec::new(), Vec::new());
        for (what, damaged) in flips.chain(cuts).filter(|_| dice.f64() < often) {
            self.write(value, &damaged);
            match answer() {
                answer if answer == *expected => {}
                answer @ (Ok(_) | Err(Failure::Wrong(_))) => believed.push(format!("{what}: {answer:?}")),
                answer => other.push(format!("{what}: {answer:?}")),
            }
        }
        self.write(value, &intact);
        let at = format!("{}.{}, seed {}", value.table, value.column, crate::seed());
        if let Some(first) = believed.first() {
            panic!("{at}: a damaged value was believed, {} times; {first}", believed.len());
        }
        assert!(other.is_empty(), "{at}: {} answers are not {expected:?}; {}", other.len(), other[0]);
    }

    fn swap(&self, one: &Value, other: &Value) {
        let (first, second) = (self.read(one), self.read(other));
        self.write(one, &second);
        self.write(other, &first);
    }

    fn read(&self, Value { table, column, row }: &Value) -> Vec<u8> {
        let sql = format!("select cast({column} as blob) from {table} where {row}");
        self.db.query_row(&sql, [], |row| row.get(0)).expect("the value is there")
    }

    fn write(&self, Value { table, column, row }: &Value, bytes: &[u8]) {
        let text = matches!(*column, "key" | "run");
        let kind = if text { "text" } else { "blob" };
        let changed =
            self.db.execute(&format!("update {table} set {column} = cast(?1 as {kind}) where {row}"), [bytes]);
        assert_eq!(changed, Ok(1));
    }
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}
