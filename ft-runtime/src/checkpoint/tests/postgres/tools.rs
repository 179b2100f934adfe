//! What the tools need: opening a store that is there, looking at it, checking it, putting runs into it.

use super::{Behind, granted, step};
use crate::checkpoint::postgres::{Postgres, ReadOnly};
use crate::checkpoint::{Backend, Filter, Finding, Import, Store, StoreError};

/// Opens a store in every way that makes nothing.
fn openings(url: &str) -> [Option<StoreError>; 2] {
    [ReadOnly::open(url).err(), Postgres::open_existing(url).err()]
}

#[test]
fn a_store_that_is_not_there_is_refused_and_not_made() {
    let Some(behind) = Behind::new("a_store_that_is_not_there_is_refused_and_not_made") else { return };
    let shown = behind.url.replace(":any@", "@");
    assert_eq!(openings(&behind.url), [(); 2].map(|()| Some(StoreError::NoStore { url: shown.clone() })));
    let schemas = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{}'", behind.schema());
    assert_eq!(behind.sql(&schemas), "0");

    drop(behind.open());
    assert_eq!(openings(&behind.url), [None, None]);
    behind.sql("UPDATE ft_meta SET value = 99 WHERE name = 'schema'");
    for refused in openings(&behind.url) {
        assert!(matches!(refused, Some(StoreError::NewerSchema { found: 99, .. })), "{refused:?}");
    }
    behind.sql("DROP TABLE ft_meta");
    for refused in openings(&behind.url) {
        assert!(matches!(refused, Some(StoreError::ForeignSchema { .. })), "{refused:?}");
    }
}

#[test]
fn a_store_that_is_looked_at_has_no_owner_more_and_its_session_cannot_write() {
    let Some(behind) = Behind::new("a_store_that_is_looked_at_has_no_owner_more") else { return };
    let store = behind.open();
    granted(&store, "r");
    let role = format!("looks_{}", behind.schema());
    behind.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {s} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {s} TO {role}; \
         GRANT SELECT ON ALL SEQUENCES IN SCHEMA {s} TO {role}",
        s = behind.schema()
    ));
    // Neither does it need what makes commits safe.
    behind.sql(&format!("ALTER ROLE {role} SET synchronous_commit = off"));
    let looking = ReadOnly::open(&behind.url.replace("//ft:", &format!("//{role}:"))).unwrap();
    assert_eq!(looking.list(Filter::default()).wait(), store.list(Filter::default()).wait());
    assert_eq!(looking.export("r").wait(), store.export("r").wait());
    assert_eq!(looking.holders(vec!["r".into()]).wait(), store.holders(vec!["r".into()]).wait());
    assert_eq!(looking.verify().wait(), Ok(Vec::new()));
    assert_eq!(behind.sql("SELECT count(*) FROM ft_owner"), "1");
}

#[test]
fn a_password_is_not_shown_by_a_store_that_is_looked_at_or_is_not_there() {
    let Some((cluster, _)) = super::shared("a_password_is_not_shown_by_a_store_that_is_looked_at") else { return };
    let (word, url) = (ft_test_postgres::PASSWORD, cluster.guarded_database());
    let told = format!("{:?} {:?}", Store::open_read_only(&url), Store::open_existing(&url));
    assert!(told.contains("there is no store at") && !told.contains(word), "{told}");
    drop(Postgres::open_as_new_owner(&url).unwrap());
    let told = format!("{:?} {:?}", Store::open_read_only(&url).unwrap(), Store::open_existing(&url).unwrap());
    assert!(!told.contains(word), "{told}");
}

#[test]
fn what_is_wrong_below_the_runs_is_found_with_its_run() {
    let Some(behind) = Behind::new("what_is_wrong_below_the_runs_is_found_with_its_run") else { return };
    let store = behind.open();
    for run in ["a", "b", "c", "d"] {
        let token = granted(&store, run).token;
        store.append(vec![step(run, token, "s")]).wait().unwrap();
    }
    assert_eq!(store.verify().wait(), Ok(Vec::new()));
    behind.sql("UPDATE ft_run SET status = 'odd' WHERE run = 'a'");
    behind.sql("DELETE FROM ft_run WHERE run = 'b'");
    behind.sql("UPDATE ft_run SET token = 900 WHERE run = 'c'");
    behind.sql("DROP INDEX ft_step_key");
    let mut found = ReadOnly::open(&behind.url).unwrap().verify().wait().unwrap();
    found.sort();
    let found: Vec<(Option<&str>, &str)> =
        found.iter().map(|Finding { run, what, .. }| (run.as_deref(), &**what)).collect();
    let expected = [
        (None, "its index ft_step_key is missing or not valid"),
        (Some("a"), "the row of run `a`: unknown status `odd`"),
        (Some("b"), "it has steps, and no row of its own"),
        (Some("c"), "its token is larger than the last one that the store says it has granted"),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn whoever_raises_the_last_token_and_whoever_takes_one_wait_for_each_other() {
    let test = "whoever_raises_the_last_token_and_whoever_takes_one_wait_for_each_other";
    let Some(behind) = Behind::new(test) else { return };
    let store = behind.open();
    let origin = granted(&store, "origin").token;
    let copy = store.export("origin").await.unwrap().unwrap();
    let import = |into: &str, token: u64| {
        let mut import = Import::new(copy.clone());
        (import.into, import.copy.run.token) = (into.into(), token);
        store.import(import)
    };
    let last = || behind.sql("SELECT last_value FROM ft_token").parse::<u64>().unwrap();
    let other = behind.connect().await;

    // As one that claims does: it has written to the table of runs, and taken tokens.
    other.batch_execute("BEGIN; LOCK TABLE ft_run IN ROW EXCLUSIVE MODE; SELECT nextval('ft_token')").await.unwrap();
    let raises = import("raises", origin + 10);
    behind.until_somebody_waits();
    assert_eq!(last(), origin + 1);
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(raises.await.unwrap().token, origin + 11);

    // As one that raises it does.
    other.batch_execute("BEGIN; LOCK TABLE ft_run IN EXCLUSIVE MODE").await.unwrap();
    let takes = import("takes", origin);
    behind.until_somebody_waits();
    assert_eq!(last(), origin + 11, "not before the other one has raised it");
    other.batch_execute("SELECT setval('ft_token', 900); COMMIT").await.unwrap();
    assert_eq!(takes.await.unwrap().token, 901);
}
