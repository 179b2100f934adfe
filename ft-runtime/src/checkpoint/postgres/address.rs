//! Where a store is, and how to speak to it: the URL.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::checkpoint::error::StoreError;
use crate::checkpoint::url::without_password;

/// How long a process keeps its runs after it was last heard of.
const LEASE: Duration = Duration::from_secs(30);

/// The shortest lease: beyond it, a slow commit would look like a death.
const SHORTEST_LEASE: Duration = Duration::from_millis(200);

/// How long a request waits for a server that is away.
const STORE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server may take to let us in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be silent, at least, before it counts as dead: the kernel counts keepalives in seconds.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// The longest name of a schema: five bytes more make the name of its channel.
const LONGEST_SCHEMA: usize = 58;

/// What a URL says.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// What to connect to. Its `Debug` leaves the password out.
    pub(super) config: Config,
    /// The URL as everybody may see it: without the password.
    pub(super) shown: String,
    pub(super) schema: String,
    pub(super) lease: Duration,
    pub(super) store_timeout: Duration,
    pub(super) verify: Verify,
    /// Authorities to trust instead of those of the system.
    pub(super) authorities: Option<PathBuf>,
}

/// What a server's certificate has to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    Nothing,
    Authority,
    AuthorityAndName,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let shown = without_password(url);
        let bad = |reason: String| StoreError::BadUrl { store: shown.clone(), reason };
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut lease, mut store_timeout, mut schema) = (LEASE, STORE_TIMEOUT, String::from("ft"));
        let (mut authorities, mut mode) = (None, "prefer".to_owned());
        let mut theirs = String::from(base);
        let mut separator = '?';
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "ft_lease" | "ft_store_timeout" => {
                    let told = duration(value)
                        .ok_or_else(|| bad(format!("`{name}={value}` is no duration; write `30s`, `500ms` or `2m`")))?;
                    *if name == "ft_lease" { &mut lease } else { &mut store_timeout } = told;
                }
                "ft_schema" => schema = value.to_owned(),
                "sslmode" => mode = value.to_owned(),
                "sslrootcert" => authorities = Some(PathBuf::from(decoded(value))),
                _ if name.starts_with("ft_") => {
                    return Err(bad(format!(
                        "`{name}` is unknown; there are ft_lease, ft_schema and ft_store_timeout"
                    )));
                }
                _ => {
                    // Writing to a string does not fail.
                    let _ = write!(theirs, "{separator}{parameter}");
                    separator = '&';
                }
            }
        }
        if lease < SHORTEST_LEASE {
            return Err(bad(format!("`ft_lease` is {lease:?} and must be {SHORTEST_LEASE:?} or more")));
        }
        let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
        if schema.is_empty() || schema.len() > LONGEST_SCHEMA || !schema.chars().all(plain) || schema.starts_with("pg_")
        {
            return Err(bad(format!(
                "`ft_schema={schema}` must be 1 to {LONGEST_SCHEMA} of the characters a-z, 0-9 and _"
            )));
        }
        // The reason never repeats a value, and so no password.
        let mut config = Config::from_str(&theirs).map_err(|error| bad(chain(&error)))?;
        let (ssl, verify) = match (&*mode, &authorities) {
            ("disable", _) => (SslMode::Disable, Verify::Nothing),
            ("prefer" | "allow", _) => (SslMode::Prefer, Verify::Nothing),
            // As libpq has it: who names an authority wants it asked.
            ("require", None) => (SslMode::Require, Verify::Nothing),
            ("require", Some(_)) | ("verify-ca", _) => (SslMode::Require, Verify::Authority),
            ("verify-full", _) => (SslMode::Require, Verify::AuthorityAndName),
            _ => {
                return Err(bad(format!(
                    "`sslmode={mode}` is none of disable, allow, prefer, require, verify-ca and verify-full"
                )));
            }
        };
        config.ssl_mode(ssl);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        // A server that has vanished without a word has to be noticed while there is time for another connection.
        let silence = (lease.min(store_timeout) / 3).max(SHORTEST_SILENCE);
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(silence);
        }
        if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
            config.keepalives_idle(silence);
        }
        if config.get_application_name().is_none() {
            config.application_name("ft");
        }
        Ok(Self { config, shown, schema, lease, store_timeout, verify, authorities })
    }
}

/// `30s`, `500ms`, `2m`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().ok()?;
    let told = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        _ => return None,
    };
    (told <= Duration::from_secs(24 * 60 * 60) && !told.is_zero()).then_some(told)
}

/// A parameter's value, with `%2F` and the like resolved.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An error with what lies below it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let more = error.to_string();
        if !text.contains(&more) {
            // Writing to a string does not fail.
            let _ = write!(text, ": {more}");
        }
        below = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_ever_shown() {
        for query in ["", "?ft_lease=never", "?password=secret", "?password=secret&sslmode=yes", "?nonsense=1"] {
            let told = match Address::parse(&format!("postgres://me:secret@host/db{query}")) {
                Ok(address) => format!("{} {address:?}", address.shown),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!told.contains("secret"), "{query}: {told}");
        }
    }

    #[test]
    fn what_is_ours_is_read_and_the_rest_is_handed_on() {
        let url = "postgres://me@a,b/db?ft_lease=500ms&application_name=app&ft_schema=s_1&ft_store_timeout=2m";
        let address = Address::parse(url).unwrap();
        assert_eq!((address.lease, address.store_timeout), (Duration::from_millis(500), Duration::from_secs(120)));
        assert_eq!((&*address.schema, address.config.get_application_name()), ("s_1", Some("app")));
        assert_eq!(address.config.get_hosts().len(), 2);
        let plain = Address::parse("postgres://me@a/db").unwrap();
        assert_eq!((plain.lease, &*plain.schema, plain.verify), (LEASE, "ft", Verify::Nothing));
    }

    #[test]
    fn a_server_that_vanishes_is_noticed_while_there_is_time_for_another_connection() {
        let of = |query: &str| {
            let config = Address::parse(&format!("postgres://h/db?{query}")).unwrap().config;
            (config.get_tcp_user_timeout().copied(), config.get_keepalives_idle())
        };
        let seconds = Duration::from_secs;
        assert_eq!(of(""), (Some(seconds(10)), seconds(10)));
        assert_eq!(of("ft_store_timeout=6s"), (Some(seconds(2)), seconds(2)));
        assert_eq!(of("ft_lease=200ms"), (Some(seconds(1)), seconds(1)));
        assert_eq!(of("tcp_user_timeout=7&keepalives_idle=8"), (Some(seconds(7)), seconds(8)));
    }

    #[test]
    fn nonsense_in_a_url_is_named() {
        for (parameter, says) in [
            ("ft_lease=soon", "`30s`"),
            ("ft_lease=1ms", "200ms"),
            ("ft_lease=0s", "`30s`"),
            ("ft_shema=x", "ft_schema"),
            ("ft_schema=a-b", "a-z"),
            ("ft_schema=pg_x", "a-z"),
            ("sslmode=yes", "verify-full"),
            ("nonsense=1", "nonsense"),
        ] {
            let error = Address::parse(&format!("postgres://me@host/db?{parameter}")).unwrap_err();
            assert!(error.to_string().contains(says), "{parameter}: {error}");
        }
    }

    #[test]
    fn the_modes_of_tls_mean_what_they_mean_to_libpq() {
        let of = |query: &str| {
            let address = Address::parse(&format!("postgres://h/db?{query}")).unwrap();
            (address.config.get_ssl_mode(), address.verify)
        };
        assert_eq!(of(""), (SslMode::Prefer, Verify::Nothing));
        assert_eq!(of("sslmode=disable"), (SslMode::Disable, Verify::Nothing));
        assert_eq!(of("sslmode=require"), (SslMode::Require, Verify::Nothing));
        assert_eq!(of("sslmode=require&sslrootcert=a%2Fb"), (SslMode::Require, Verify::Authority));
        assert_eq!(of("sslmode=verify-ca"), (SslMode::Require, Verify::Authority));
        assert_eq!(of("sslmode=verify-full"), (SslMode::Require, Verify::AuthorityAndName));
        let authorities = Address::parse("postgres://h/db?sslrootcert=a%2Fb").unwrap().authorities;
        assert_eq!(authorities, Some(PathBuf::from("a/b")));
    }
}
