//! The show: starts the servers and the importer, kills what is to be killed when the witness says so, and reports.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Failure;
use crate::options::{Options, Protection};
use crate::progress::{Progress, grouped};
use crate::report::Report;
use crate::tally::Tally;
use crate::unicode;
use crate::witness::Witness;

/// The server is killed at this share of the records, the importer at that one.
const SERVER_DIES: u64 = 35;
const IMPORTER_DIES: u64 = 60;
/// Nothing new in the witness for so long is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(options: &Options) -> Result<Report, Failure> {
    let mut work = Work::create(options.keep.as_deref())?;
    let show = tokio::select! {
        report = show(options, &work) => report,
        interrupt = tokio::signal::ctrl_c() => return Err(interrupt.map_or_else(Failure::from, |()| Interrupted.into())),
    };
    let failed = !matches!(&show, Ok(report) if report.is_good() || report.broken.is_some());
    work.keep |= failed;
    if work.keep {
        eprintln!("witness, store, results and logs: {}", work.dir.display());
    }
    show
}

async fn show(options: &Options, work: &Work) -> Result<Report, Failure> {
    let records = unicode::table()?;
    let share = |percent: u64| records.len() as u64 * percent / 100;
    let mut watch = Watch {
        witness: Witness::open(&work.witness())?,
        progress: Progress::new(records.len() as u64),
        heard: (0, Instant::now()),
    };

    let mut server_a = Process::server("a", work, options).await?;
    let mut server_b = Process::server("b", work, options).await?;
    let servers = [server_a.address.clone(), server_b.address.clone()];
    watch.progress.say("servers a and b are up; a is slow and fails some requests");

    let mut importer = Importer::start(1, work, options.broken, &servers)?;
    watch.progress.now("two servers");
    watch.until(share(SERVER_DIES), &mut importer, &mut [&mut server_a, &mut server_b]).await?;
    server_a.process.kill().await?;
    let server_killed_at = watch.witness.effects;
    watch.progress.say(&format!("server a is killed for good, {} records are in", grouped(server_killed_at)));

    watch.progress.now("one server");
    watch.until(share(IMPORTER_DIES), &mut importer, &mut [&mut server_b]).await?;
    let first_life = importer.kill().await?;
    watch.witness.follow()?;
    let resumed_at = watch.witness.effects;
    watch.progress.say(&format!("the importer is killed, {} records are in; it starts again", grouped(resumed_at)));

    watch.progress.now("one server, resumed");
    let mut importer = Importer::start(2, work, options.broken, &servers)?;
    watch.until(u64::MAX, &mut importer, &mut [&mut server_b]).await?;
    let tally = first_life.and(importer.end().await?);
    server_b.process.kill().await?;

    watch.witness.follow()?;
    drop(watch.progress);
    Ok(Report::new(&records, &watch.witness, tally, (server_killed_at, resumed_at), options.broken))
}

/// Follows the witness and the processes.
struct Watch {
    witness: Witness,
    progress: Progress,
    /// The last news: how many lines there were, and since when.
    heard: (u64, Instant),
}

impl Watch {
    /// Returns when the witness holds `effects` effects, or when the importer has ended, whichever is first.
    async fn until(
        &mut self,
        effects: u64,
        importer: &mut Importer,
        servers: &mut [&mut Server],
    ) -> Result<(), Failure> {
        self.heard.1 = Instant::now();
        while self.witness.effects < effects {
            let ended = importer.process.try_wait()?;
            self.witness.follow()?;
            while let Ok(news) = importer.news.try_recv() {
                self.progress.say(&news);
            }
            self.progress.at(self.witness.executed.len() as u64);
            match ended {
                Some(status) if status.success() && effects == u64::MAX => return Ok(()),
                Some(status) => {
                    return Err(format!("the importer ended too early, {status}:\n{}", said(&importer.log)).into());
                }
                None => {}
            }
            for server in &mut *servers {
                if let Some(status) = server.process.try_wait()? {
                    return Err(
                        format!("server {} ended by itself, {status}:\n{}", server.name, said(&server.log)).into()
                    );
                }
            }
            let lines = self.witness.effects + self.witness.resent;
            if lines != self.heard.0 {
                self.heard = (lines, Instant::now());
            } else if self.heard.1.elapsed() > PATIENCE {
                return Err(format!("nothing has happened for {PATIENCE:?}").into());
            }
            // Progress decides; this is only how often it is looked at.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// A child process: this very program in another role. It is killed when this value is dropped, and ends by itself
/// when its stdin does, that is when this process has died.
struct Process;

impl Process {
    fn start(args: &[&str], log: &Path) -> io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        // A group of its own: Ctrl-C is for this process, which then ends the others.
        #[cfg(unix)]
        command.process_group(0);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(true)
            .spawn()
    }

    async fn server(name: &'static str, work: &Work, options: &Options) -> Result<Server, Failure> {
        let witness = work.witness();
        let log = work.dir.join(format!("server-{name}.log"));
        let seed = options.seed.to_string();
        let mut process = Self::start(&["serve", name, path(&witness)?, &seed], &log)?;
        let mut line = String::new();
        BufReader::new(stdout(&mut process)?).read_line(&mut line).await?;
        match line.trim_end() {
            "" => Err(format!("server {name} did not start:\n{}", said(&log)).into()),
            address => Ok(Server { name, process, address: address.to_owned(), log }),
        }
    }
}

struct Server {
    name: &'static str,
    process: Child,
    address: String,
    log: PathBuf,
}

struct Importer {
    process: Child,
    tally: JoinHandle<io::Result<Tally>>,
    news: mpsc::Receiver<String>,
    log: PathBuf,
}

impl Importer {
    fn start(life: u32, work: &Work, broken: Option<Protection>, servers: &[String; 2]) -> Result<Self, Failure> {
        let log = work.dir.join(format!("importer-{life}.log"));
        let broken = broken.map_or_else(|| "nothing".into(), |broken| broken.to_string());
        let mut process = Process::start(&["import", path(&work.dir)?, &broken, &servers[0], &servers[1]], &log)?;
        let (tell, news) = mpsc::channel(16);
        let tally = tokio::spawn(Tally::listen(stdout(&mut process)?, tell));
        Ok(Self { process, tally, news, log })
    }

    /// `SIGKILL`: no destructor, no flush, nothing.
    async fn kill(mut self) -> Result<Tally, Failure> {
        self.process.kill().await?;
        self.end().await
    }

    async fn end(self) -> Result<Tally, Failure> {
        Ok(self.tally.await??)
    }
}

/// The folder in which everything happens. It goes in the end, unless somebody wants to look into it.
struct Work {
    dir: PathBuf,
    keep: bool,
}

impl Work {
    fn create(keep: Option<&Path>) -> Result<Self, Failure> {
        let dir = match keep {
            Some(dir) => dir.to_owned(),
            None => {
                std::env::temp_dir().join(format!("ft-quickstart-{}-{:08x}", std::process::id(), fastrand::u32(..)))
            }
        };
        let cannot = |error: io::Error| format!("the work folder {} cannot be used: {error}", dir.display());
        fs::create_dir_all(&dir).map_err(cannot)?;
        if fs::read_dir(&dir).map_err(cannot)?.next().is_some() {
            return Err(format!("the work folder {} is not empty; name a new one", dir.display()).into());
        }
        Ok(Self { dir, keep: keep.is_some() })
    }

    fn witness(&self) -> PathBuf {
        self.dir.join("witness")
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.keep
            && !std::thread::panicking()
            && let Err(error) = fs::remove_dir_all(&self.dir)
        {
            eprintln!("{} could not be removed: {error}", self.dir.display());
        }
    }
}

/// For the children: the supervisor holds the other end of stdin, and when it is gone, however it went, so are they.
pub(crate) fn die_with_it() {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(1);
    });
}

/// Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; servers and importer are stopped")]
pub(crate) struct Interrupted;

/// What a child left on its stderr.
fn said(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_else(|error| format!("{}: {error}", log.display()))
}

fn path(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| format!("{} is not Unicode; name another folder", path.display()).into())
}

fn stdout(process: &mut Child) -> io::Result<ChildStdout> {
    process.stdout.take().ok_or_else(|| io::Error::other("the child has no stdout"))
}
