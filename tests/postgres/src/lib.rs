//! A Postgres server of its own for a test program: Debian's, unprivileged, on a free loopback port, in a temporary folder.
