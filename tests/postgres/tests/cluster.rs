//! The server that the other tests count on.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ft_test_postgres::{Cluster, Mode, or_skip, own, required};

#[test]
fn databases_are_new_and_empty_and_safe_against_a_power_cut() {
    let Some(cluster) = required("databases_are_new_and_empty_and_safe_against_a_power_cut") else { return };
    let (first, second) = (cluster.database(), cluster.guarded_database());
    assert_ne!(first, second);
    cluster.sql(&first, "CREATE TABLE t ()");
    assert_eq!(cluster.sql(&second, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    for setting in ["fsync", "synchronous_commit", "data_checksums"] {
        assert_eq!(cluster.sql(&first, &format!("SHOW {setting}")), "on", "{setting}");
    }
}

#[test]
fn a_server_is_stopped_started_and_paused_on_the_same_port() {
    let Some(cluster) = own("a_server_is_stopped_started_and_paused_on_the_same_port") else { return };
    let database = cluster.database();
    for mode in [Mode::Smart, Mode::Fast, Mode::Immediate] {
        cluster.stop(mode);
        assert!(TcpStream::connect(("127.0.0.1", cluster.port())).is_err(), "{mode:?}");
        cluster.start_again();
        assert_eq!(cluster.sql(&database, "SELECT 1"), "1", "{mode:?}");
    }
    cluster.pause();
    cluster.resume();
    assert_eq!(cluster.sql(&database, "SELECT 1"), "1");
    if or_skip("the certificate", cluster.tls()).is_some() {
        assert_eq!(cluster.sql(&database, "SHOW ssl"), "on");
    }
}

#[test]
fn no_server_outlives_a_program_that_is_killed() {
    let test = "no_server_outlives_a_program_that_is_killed";
    const KILLED: &str = "FT_TEST_POSTGRES_IS_KILLED";
    if std::env::var_os(KILLED).is_some() {
        live_until_killed();
    }
    if required(test).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path());
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(KILLED, "yes")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(program.stdout.take().unwrap());
    let port = std::io::BufRead::lines(output).map_while(Result::ok).find_map(|line| {
        let port = line.rsplit_once("port ")?.1.parse::<u16>();
        port.ok()
    });
    program.kill().unwrap();
    program.wait().unwrap();
    let port = port.expect("the program names its port");
    let began = Instant::now();
    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    while left() > 0 || TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(30), "{} folders are left, port {port}", left());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// With a server that is paused, which hears nothing.
fn live_until_killed() -> ! {
    let cluster = Cluster::start().unwrap();
    cluster.pause();
    println!("port {}", cluster.port());
    loop {
        std::thread::park();
    }
}

/// The server's account makes a folder of its own in it.
fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}
