//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

pub(crate) const HELP: &str = "\
Imports 34,924 real records through an HTTP service that fails, and survives kill -9

usage: cargo run --example quickstart [-- OPTIONS]

  --break checkpoint  forget the recorded steps at the crash: thousands of requests are sent again
  --break key         send no idempotency key: what was executed and not answered is executed twice
  --keep DIR          use DIR (new or empty) as work folder and leave it there: witness, store, results, logs
  --seed N            which faults server a has (default 1)
  --help              this text

What happens: two servers start on loopback. Server a is slow and fails some requests; at 35 % of the
records it is killed for good. At 60 % the importer is killed with SIGKILL and started again.

What is counted, from the file to which the servers sync every effect before they answer it:
  lost      records without an effect
  repeated  effects executed once too often: under two keys, or twice under one
  re-sent   requests that were sent again and answered from the servers' record, not executed

Exit code: 0 if nothing was lost or repeated, 1 if something was, 2 if the command line is wrong, 130 after Ctrl-C.
";

/// A protection that `--break` switches off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Protection {
    Checkpoint,
    Key,
}

impl Protection {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "checkpoint" => Some(Self::Checkpoint),
            "key" => Some(Self::Key),
            _ => None,
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checkpoint => "checkpoint",
            Self::Key => "key",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) broken: Option<Protection>,
    pub(crate) keep: Option<PathBuf>,
    pub(crate) seed: u64,
}

/// What the program was called for.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Show(Options),
    /// The supervisor's own calls, not for people.
    Serve {
        name: String,
        witness: PathBuf,
        seed: u64,
    },
    Import {
        work: PathBuf,
        broken: Option<Protection>,
        servers: [String; 2],
    },
}

impl Command {
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut args = args.into_iter().map(|arg| arg.into_string().map_err(|arg| format!("{arg:?} is not Unicode")));
        let mut next = || args.next().transpose();
        let mut options = Options { broken: None, keep: None, seed: 1 };
        while let Some(arg) = next()? {
            let mut value = |what: &str| next()?.ok_or_else(|| format!("{arg} needs {what}"));
            match arg.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--break" => {
                    let name = value("the name of a protection: checkpoint or key")?;
                    let broken = Protection::parse(&name).ok_or_else(|| {
                        format!("--break {name}: it is `checkpoint` or `key` that can be switched off")
                    })?;
                    if options.broken.replace(broken).is_some() {
                        return Err("--break can be given once: one protection at a time".into());
                    }
                }
                "--keep" => options.keep = Some(value("a folder")?.into()),
                "--seed" => options.seed = number("--seed", &value("a number")?)?,
                "serve" => {
                    let (name, witness) = (value("a name")?, value("a witness")?.into());
                    return Ok(Self::Serve { name, witness, seed: number("serve", &value("a seed")?)? });
                }
                "import" => {
                    let (work, broken) = (value("a work folder")?.into(), Protection::parse(&value("a protection")?));
                    return Ok(Self::Import { work, broken, servers: [value("address a")?, value("address b")?] });
                }
                _ => return Err(format!("unknown argument {arg:?}")),
            }
        }
        Ok(Self::Show(options))
    }
}

fn number(what: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{what}: {text:?} is not a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_wrong_command_line_is_refused_with_the_word_that_is_wrong() {
        for (line, wrong) in [
            ("--brake key", "--brake"),
            ("--break keys", "keys"),
            ("--break", "--break needs"),
            ("--break key --break checkpoint", "once"),
            ("--seed x", "\"x\""),
            ("--keep", "--keep needs"),
            ("now", "now"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(wrong), "{line}: {error}");
        }
    }

    #[test]
    fn options_are_taken_in_any_order() {
        let Ok(Command::Show(options)) = parse("--seed 7 --break key --keep here") else { panic!("not the show") };
        assert_eq!((options.seed, options.broken, options.keep), (7, Some(Protection::Key), Some("here".into())));
        assert!(matches!(parse("--seed 7 --help"), Ok(Command::Help)));
    }
}
