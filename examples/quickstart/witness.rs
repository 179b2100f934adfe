//! The witness: one file that the servers share with nobody. Every effect is a line in it, on disk before it is answered.
//!
//! ```text
//! effect <key> <code> <server> <hash>      the enrichment was executed
//! again  <key> <code> <server> <hash>      the same key came again and was answered from here
//! ```

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the disk at most; more than that wait for a place here.
const QUEUE: usize = 1024;

/// One effect to be recorded, or recorded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effect {
    pub(crate) key: String,
    pub(crate) code: u32,
    pub(crate) hash: u64,
}

/// What the record says to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Accepted {
    /// Executed now.
    New,
    /// The key is on record with the same effect: nothing was executed.
    Again,
    /// The key is on record with another effect: somebody used it twice.
    Conflict,
}

/// A server's hand on the witness: `accept` answers once the effect is durable.
#[derive(Clone)]
pub(crate) struct Ledger {
    queue: mpsc::Sender<(Effect, oneshot::Sender<Accepted>)>,
}

impl Ledger {
    /// Opens the witness and starts the thread that writes to it. The process ends if the disk fails: a server that
    /// cannot keep its record must not answer.
    pub(crate) fn open(path: &Path, server: &str) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut writer = Writer { file, server: server.to_owned(), read_to: 0, known: HashMap::new() };
        let (queue, mut waiting) = mpsc::channel::<(Effect, oneshot::Sender<Accepted>)>(QUEUE);
        std::thread::spawn(move || {
            let mut batch = Vec::new();
            // Group commit: whatever came in during the last sync shares the next one.
            while waiting.blocking_recv_many(&mut batch, QUEUE) > 0 {
                let (effects, callers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                match writer.commit(effects) {
                    Ok(answers) => {
                        for (caller, answer) in callers.into_iter().zip(answers) {
                            // A caller that has gone away does not want its answer any more.
                            let _ = caller.send(answer);
                        }
                    }
                    Err(error) => {
                        eprintln!("the witness cannot be written: {error}");
                        std::process::exit(1);
                    }
                }
            }
        });
        Ok(Self { queue })
    }

    pub(crate) async fn accept(&self, effect: Effect) -> io::Result<Accepted> {
        let (caller, answer) = oneshot::channel();
        let gone = || io::Error::other("the witness thread has ended");
        self.queue.send((effect, caller)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

/// The thread behind a [`Ledger`].
struct Writer {
    file: File,
    server: String,
    read_to: u64,
    known: HashMap<String, Effect>,
}

impl Writer {
    fn commit(&mut self, effects: Vec<Effect>) -> io::Result<Vec<Accepted>> {
        // The kernel's lock: it goes when its holder is killed.
        self.file.lock()?;
        let answers = self.commit_locked(effects);
        self.file.unlock()?;
        answers
    }

    fn commit_locked(&mut self, effects: Vec<Effect>) -> io::Result<Vec<Accepted>> {
        self.catch_up()?;
        let mut lines = String::new();
        let mut answers = Vec::with_capacity(effects.len());
        for effect in effects {
            let (answer, word) = match self.known.get(&effect.key) {
                None => (Accepted::New, "effect"),
                Some(known) if *known == effect => (Accepted::Again, "again"),
                Some(_) => {
                    answers.push(Accepted::Conflict);
                    continue;
                }
            };
            answers.push(answer);
            let Effect { key, code, hash } = &effect;
            lines += &format!("{word} {key} {code:04X} {} {hash:016x}\n", self.server);
            self.known.insert(effect.key.clone(), effect);
        }
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()?;
        self.read_to += lines.len() as u64;
        Ok(answers)
    }

    /// Learns what the other server wrote. Under the lock nobody is writing, so half a line at the end was left by a
    /// server that was killed at it: never acknowledged, it is cut off.
    fn catch_up(&mut self) -> io::Result<()> {
        let text = read_from(&mut self.file, self.read_to)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..whole].lines() {
            if let Some((Word::Effect, effect, _)) = parse(line) {
                self.known.insert(effect.key.clone(), effect);
            }
        }
        self.read_to += whole as u64;
        if whole < text.len() {
            self.file.set_len(self.read_to)?;
        }
        Ok(())
    }
}

/// The supervisor's eye on the witness: follows it as it grows, and holds everything it says.
#[derive(Debug)]
pub(crate) struct Witness {
    file: File,
    read_to: u64,
    /// For each code point the keys under which its effect was executed; one is as it should be.
    pub(crate) executed: HashMap<u32, Vec<String>>,
    pub(crate) effects: u64,
    /// Requests answered from the record.
    pub(crate) resent: u64,
    pub(crate) by_server: HashMap<String, u64>,
}

impl Witness {
    /// Opens the witness, or an empty one where there is none yet.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        Ok(Self { file, read_to: 0, executed: HashMap::new(), effects: 0, resent: 0, by_server: HashMap::new() })
    }

    /// Reads what was added since the last time.
    pub(crate) fn follow(&mut self) -> io::Result<()> {
        let text = read_from(&mut self.file, self.read_to)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..whole].lines() {
            match parse(line) {
                Some((Word::Effect, effect, server)) => {
                    self.effects += 1;
                    *self.by_server.entry(server).or_default() += 1;
                    self.executed.entry(effect.code).or_default().push(effect.key);
                }
                Some((Word::Again, ..)) => self.resent += 1,
                None => {
                    return Err(io::Error::other(format!("not a line of the witness: {line:?}")));
                }
            }
        }
        self.read_to += whole as u64;
        Ok(())
    }
}

enum Word {
    Effect,
    Again,
}

fn parse(line: &str) -> Option<(Word, Effect, String)> {
    let mut words = line.split(' ');
    let word = match words.next()? {
        "effect" => Word::Effect,
        "again" => Word::Again,
        _ => return None,
    };
    let key = words.next()?.to_owned();
    let code = u32::from_str_radix(words.next()?, 16).ok()?;
    let server = words.next()?.to_owned();
    let hash = u64::from_str_radix(words.next()?, 16).ok()?;
    Some((word, Effect { key, code, hash }, server))
}

fn read_from(file: &mut File, offset: u64) -> io::Result<String> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(offset))?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(key: &str, code: u32) -> Effect {
        Effect { key: key.into(), code, hash: 7 }
    }

    fn path(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("ft-witness-{name}-{}-{:016x}", std::process::id(), fastrand::u64(..)))
    }

    #[tokio::test]
    async fn a_key_accepted_by_one_server_is_known_to_the_other() -> io::Result<()> {
        let path = path("shared");
        let (a, b) = (Ledger::open(&path, "a")?, Ledger::open(&path, "b")?);
        assert_eq!(a.accept(effect("k1", 0x41)).await?, Accepted::New);
        assert_eq!(b.accept(effect("k1", 0x41)).await?, Accepted::Again);
        assert_eq!(b.accept(effect("k1", 0x42)).await?, Accepted::Conflict);
        assert_eq!(b.accept(effect("k2", 0x41)).await?, Accepted::New);
        assert_eq!(a.accept(effect("k2", 0x41)).await?, Accepted::Again);

        let mut witness = Witness::open(&path)?;
        witness.follow()?;
        assert_eq!((witness.effects, witness.resent), (2, 2));
        assert_eq!(witness.executed[&0x41], ["k1", "k2"], "one record executed under two keys is seen");
        std::fs::remove_file(path)
    }

    #[tokio::test]
    async fn half_a_line_of_a_killed_server_is_cut_off_and_its_key_is_new() -> io::Result<()> {
        let path = path("torn");
        std::fs::write(&path, "effect k1 0041 a 0000000000000007\neffect k2 00")?;
        let b = Ledger::open(&path, "b")?;
        assert_eq!(b.accept(effect("k2", 0x42)).await?, Accepted::New);
        assert_eq!(b.accept(effect("k1", 0x41)).await?, Accepted::Again);
        let text = std::fs::read_to_string(&path)?;
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "effect k1 0041 a 0000000000000007",
                "effect k2 0042 b 0000000000000007",
                "again k1 0041 b 0000000000000007"
            ]
        );
        std::fs::remove_file(path)
    }

    #[test]
    fn half_a_line_is_not_counted_before_its_end_is_there() -> io::Result<()> {
        let path = path("growing");
        std::fs::write(&path, "effect k1 0041 a 07\neffect k2 ")?;
        let mut witness = Witness::open(&path)?;
        witness.follow()?;
        assert_eq!(witness.effects, 1);
        OpenOptions::new().append(true).open(&path)?.write_all(b"0042 a 07\n")?;
        witness.follow()?;
        assert_eq!(witness.effects, 2);
        std::fs::remove_file(path)
    }
}
