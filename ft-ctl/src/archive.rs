//! The file of `ft export`: runs with all that is recorded of them.
//!
//! ```text
//! magic "FTEXPORT" | format u16 | then frames: kind u8 | length u64 | crc32 u32 | payload
//! ```
//!
//! Numbers are little-endian, the payload of a frame is MessagePack with field names, and its checksum covers kind, length
//! and payload. A run is a frame `R`, then one `S` for each step, one `V` for each version of a saved state, one `I` if its
//! arguments were recorded, and one `O` if it has an output. The last frame, `E`, says how many frames came before it: a file without it is not whole.
//! Values are the sealed bytes of the store.

mod bytes;
mod parts;

use std::io::{self, Read, Write};

use ft_runtime::checkpoint::RunCopy;
use ft_runtime::checkpoint::envelope::MAX_LEN;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::parts::{Run, State, Step, Value};

const MAGIC: [u8; 8] = *b"FTEXPORT";
const FORMAT: u16 = 1;

/// A sealed value and what stands around it.
const MAX_FRAME: u64 = MAX_LEN + (1 << 20);

/// Writes runs.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    out: W,
    frames: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    frames: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&FORMAT.to_le_bytes())?;
        Ok(Self { out, frames: 0 })
    }

    pub(crate) fn write(&mut self, copy: &RunCopy) -> io::Result<()> {
        self.frame(b'R', &Run::from(&copy.run))?;
        copy.steps.iter().try_for_each(|step| self.frame(b'S', &Step::from(step)))?;
        copy.states.iter().try_for_each(|state| self.frame(b'V', &State::from(state)))?;
        copy.input.iter().try_for_each(|input| self.frame(b'I', &Value::from(&**input)))?;
        copy.output.iter().try_for_each(|output| self.frame(b'O', &Value::from(&**output)))
    }

    /// Says that this is all.
    pub(crate) fn end(mut self) -> io::Result<W> {
        let end = End { frames: self.frames };
        self.frame(b'E', &end)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn frame(&mut self, kind: u8, part: &impl Serialize) -> io::Result<()> {
        let payload = rmp_serde::to_vec_named(part).map_err(io::Error::other)?;
        let len = (payload.len() as u64).to_le_bytes();
        self.out.write_all(&[kind])?;
        self.out.write_all(&len)?;
        self.out.write_all(&checksum(kind, len, &payload).to_le_bytes())?;
        self.out.write_all(&payload)?;
        self.frames += 1;
        Ok(())
    }
}

/// What keeps a file from being read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// The operating system.
    Io(io::Error),
    /// It is something else than the file of an export.
    NotOurs,
    /// A newer ft has written it.
    Newer(u16),
    /// It is not what was written.
    Damaged(String),
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early".into()),
            _ => Self::Io(error),
        }
    }
}

/// Reads runs, one after the other.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    input: R,
    frames: u64,
    /// The run whose frame was read behind those of the one before.
    next: Option<Run>,
    ended: bool,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(mut input: R) -> Result<Self, Unreadable> {
        let mut magic = [0; MAGIC.len()];
        match input.read_exact(&mut magic) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Unreadable::NotOurs),
            read => read?,
        }
        if magic != MAGIC {
            return Err(Unreadable::NotOurs);
        }
        let mut format = [0; 2];
        input.read_exact(&mut format)?;
        match u16::from_le_bytes(format) {
            FORMAT => Ok(Self { input, frames: 0, next: None, ended: false }),
            newer => Err(Unreadable::Newer(newer)),
        }
    }

    /// The next run; `None` behind the last one of a whole file.
    pub(crate) fn read(&mut self) -> Result<Option<RunCopy>, Unreadable> {
        let run = match self.next.take() {
            Some(run) => run,
            None if self.ended => return Ok(None),
            None => match self.frame()? {
                (b'R', payload) => part(&payload)?,
                (b'E', payload) => return self.end(&payload).map(|()| None),
                (kind, _) => return Err(unexpected(kind)),
            },
        };
        let mut copy = RunCopy::new(run.into_record().ok_or_else(|| damaged("a run in it makes no sense"))?);
        loop {
            match self.frame()? {
                (b'S', payload) => copy.steps.push(part::<Step>(&payload)?.into_record()),
                (b'V', payload) => copy.states.push(part::<State>(&payload)?.into_record()),
                (b'I', payload) if copy.input.is_none() => copy.input = Some(part::<Value>(&payload)?.into_sealed()),
                (b'O', payload) if copy.output.is_none() => copy.output = Some(part::<Value>(&payload)?.into_sealed()),
                (b'R', payload) => {
                    self.next = Some(part(&payload)?);
                    return Ok(Some(copy));
                }
                (b'E', payload) => return self.end(&payload).map(|()| Some(copy)),
                (kind, _) => return Err(unexpected(kind)),
            }
        }
    }

    fn end(&mut self, payload: &[u8]) -> Result<(), Unreadable> {
        self.ended = true;
        let End { frames } = part(payload)?;
        // That of the end is among those that were read.
        if frames + 1 != self.frames {
            return Err(damaged(format!("it should hold {frames} records and holds {}", self.frames - 1)));
        }
        match self.input.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(damaged("there is something behind its end")),
        }
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), Unreadable> {
        let (mut kind, mut len, mut crc) = ([0], [0; 8], [0; 4]);
        self.input.read_exact(&mut kind)?;
        self.input.read_exact(&mut len)?;
        self.input.read_exact(&mut crc)?;
        let bytes = u64::from_le_bytes(len);
        if bytes > MAX_FRAME {
            return Err(damaged(format!("a record in it is {bytes} bytes long")));
        }
        // Grows with what is there, not with what the length says.
        let mut payload = Vec::new();
        (&mut self.input).take(bytes).read_to_end(&mut payload)?;
        if (payload.len() as u64) < bytes {
            return Err(damaged("it ends too early"));
        }
        if checksum(kind[0], len, &payload) != u32::from_le_bytes(crc) {
            return Err(damaged(format!("the checksum of record {} is not that of its bytes", self.frames + 1)));
        }
        self.frames += 1;
        Ok((kind[0], payload))
    }
}

fn checksum(kind: u8, len: [u8; 8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[kind]);
    crc.update(&len);
    crc.update(payload);
    crc.finalize()
}

fn part<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Unreadable> {
    rmp_serde::from_slice(payload).map_err(|error| damaged(format!("a record in it makes no sense: {error}")))
}

fn unexpected(kind: u8) -> Unreadable {
    damaged(format!("a record of kind `{}` stands where none can be", kind.escape_ascii()))
}

fn damaged(what: impl Into<String>) -> Unreadable {
    Unreadable::Damaged(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ft_runtime::checkpoint::envelope::seal;
    use ft_runtime::checkpoint::{
        Arguments, Claim, Fingerprint as _, Lease, Newest, RunRecord, SaveState, StateRecord, StepRecord,
    };
    use std::sync::Arc;

    fn run(id: &str, steps: u64) -> RunCopy {
        let mut claim = Claim::new(id, "work");
        claim.arguments = Arguments::default().with("order", 42.fingerprint().ok());
        let mut copy = RunCopy::new(RunRecord::started(&claim, "owner", 7));
        copy.run.owner = None;
        copy.run.steps = steps;
        for seq in 1..=steps {
            let step = ft_runtime::checkpoint::Step::new(Lease::new(id, 7), format!("step#{seq}"), *b"sealed");
            copy.steps.push(StepRecord::new(seq, step));
        }
        let value = Arc::new(Newest::default());
        let state = SaveState::new(Lease::new(id, 7), "state", "u32", value);
        copy.states.push(StateRecord::new(state, (3, Arc::from(*b"state")), steps));
        let sealed = seal(&1, 0, &copy.run.place_of_output()).unwrap();
        copy.output = (steps == 2).then(|| sealed.into());
        copy
    }

    fn written(runs: &[RunCopy]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        runs.iter().for_each(|run| writer.write(run).unwrap());
        writer.end().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<RunCopy>, Unreadable> {
        let mut reader = Reader::new(bytes)?;
        let mut runs = Vec::new();
        while let Some(run) = reader.read()? {
            runs.push(run);
        }
        Ok(runs)
    }

    #[test]
    fn what_is_written_is_read() {
        let runs = [run("a", 0), run("b", 2), run("c", 1)];
        assert_eq!(read(&written(&runs)).unwrap(), runs);
        assert_eq!(read(&written(&[])).unwrap(), []);
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_found() {
        let bytes = written(&[run("a", 1), run("b", 2)]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit} went unseen");
        }
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "length {len} went unseen");
        }
        assert!(read(&[&*bytes, b"R"].concat()).is_err());
    }

    #[test]
    fn a_run_that_was_cut_out_is_missed() {
        let (one, two) = (written(&[run("a", 0)]), written(&[run("a", 0), run("b", 0)]));
        // Without the frames of `b`, the end of the two follows those of `a`.
        let head = one.len() - written(&[]).len() + MAGIC.len() + 2;
        let tail = written(&[]).len() - MAGIC.len() - 2;
        let cut = [&two[..head], &two[two.len() - tail..]].concat();
        assert!(matches!(read(&cut), Err(Unreadable::Damaged(what)) if what == "it should hold 4 records and holds 2"));
    }

    #[test]
    fn a_file_of_something_else_or_of_a_newer_ft_is_told_apart() {
        assert!(matches!(read(b"SQLite format 3\0"), Err(Unreadable::NotOurs)));
        assert!(matches!(read(b""), Err(Unreadable::NotOurs)));
        let mut newer = written(&[]);
        newer[8] = 2;
        assert!(matches!(read(&newer), Err(Unreadable::Newer(2))));
    }
}
