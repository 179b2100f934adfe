//! URLs of stores, as they may be shown.

use std::fmt::Write as _;

/// The URL with its password left out, wherever that stands. What is no URL with a host stays as it is.
pub(super) fn without_password(url: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let Some((scheme, rest)) = base.split_once("://") else {
        return url.to_owned();
    };
    let mut shown = format!("{scheme}://");
    // The last `@` ends what may be a password that is not escaped.
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            shown.push_str(user.split_once(':').map_or(user, |(user, _)| user));
            shown.push('@');
            shown.push_str(host);
        }
        None => shown.push_str(rest),
    }
    let open = query.split('&').filter(|parameter| !parameter.is_empty() && !parameter.contains("password"));
    for (place, parameter) in open.enumerate() {
        // Writing to a string does not fail.
        let _ = write!(shown, "{}{parameter}", if place == 0 { '?' } else { '&' });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_left_out_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://me:secret@host:5433/db?ft_schema=x", "postgres://me@host:5433/db?ft_schema=x"),
            ("postgresql://me:se@cr:et@host/db", "postgresql://me@host/db"),
            ("redis://:secret@host?password=secret&a=b&sslpassword=secret&c=d", "redis://@host?a=b&c=d"),
            ("postgres://host/db", "postgres://host/db"),
            ("sqlite:/a@b:c/ft.db", "sqlite:/a@b:c/ft.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
