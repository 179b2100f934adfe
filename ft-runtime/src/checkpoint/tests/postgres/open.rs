//! What is refused at the opening, and what is shown.

use std::thread;

use ft_test_postgres::{PASSWORD, or_skip, own};

use super::{Behind, granted, schema, shared};
use crate::checkpoint::postgres::Postgres;
use crate::checkpoint::{Backend, Filter, Store, StoreError};

fn refused(url: &str) -> StoreError {
    Postgres::open_as_new_owner(url).map(drop).unwrap_err()
}

#[test]
fn many_processes_may_open_a_new_store_at_once() {
    let Some(behind) = Behind::new("many_processes_may_open_a_new_store_at_once") else { return };
    thread::scope(|scope| {
        for n in 0..8 {
            let behind = &behind;
            scope.spawn(move || granted(&behind.open(), &format!("r{n}")));
        }
    });
    let store = behind.open();
    assert_eq!(store.list(Filter::default()).wait().unwrap().len(), 8);
    assert_eq!(behind.sql("SELECT value FROM ft_meta WHERE name = 'schema'"), "1");
}

#[test]
fn one_url_opened_twice_in_a_process_is_one_store() {
    let Some(url) = schema("one_url_opened_twice_in_a_process_is_one_store") else { return };
    let (first, second) = (Store::open(&url).unwrap(), Store::open(&url).unwrap());
    assert_eq!(first.owner(), second.owner());
}

#[test]
fn a_store_is_opened_by_a_role_that_may_not_create_anything() {
    let Some(behind) = Behind::new("a_store_is_opened_by_a_role_that_may_not_create_anything") else { return };
    drop(behind.open());
    let role = format!("plain_{}", behind.schema());
    behind.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {s} TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA {s} TO {role}; \
         GRANT ALL ON ALL SEQUENCES IN SCHEMA {s} TO {role}",
        s = behind.schema()
    ));
    let store = Postgres::open_as_new_owner(&behind.url.replace("//ft:", &format!("//{role}:"))).unwrap();
    granted(&store, "r");
}

#[test]
fn a_newer_schema_and_one_of_another_program_are_refused_and_stay_as_they_were() {
    let Some(behind) = Behind::new("a_newer_schema_and_one_of_another_program_are_refused") else { return };
    drop(behind.open());
    behind.sql("UPDATE ft_meta SET value = 99 WHERE name = 'schema'");
    let shown = behind.url.replace(":any@", "@");
    assert_eq!(refused(&behind.url), StoreError::NewerSchema { path: shown.clone().into(), found: 99, supported: 1 });

    let other = Behind::new("another program's").unwrap();
    let named = other.schema().to_owned();
    other.cluster.sql(&other.url, &format!("CREATE SCHEMA {named}; CREATE TABLE {named}.orders ()"));
    let store = other.url.replace(":any@", "@");
    assert_eq!(refused(&other.url), StoreError::ForeignSchema { store, schema: named });
}

#[test]
fn a_server_that_does_not_survive_a_power_cut_is_refused() {
    let Some((cluster, _)) = shared("a_server_that_does_not_survive_a_power_cut_is_refused") else { return };
    let url = cluster.database();
    let name = url.rsplit('/').next().unwrap();
    drop(Postgres::open_as_new_owner(&url).unwrap());
    cluster.sql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let error = refused(&url);
    assert!(
        matches!(&error, StoreError::ServerNotPowerSafe { setting: "synchronous_commit", found, .. } if found == "off"),
        "{error}"
    );
    assert!(error.to_string().contains("ALTER DATABASE"), "{error}");
}

#[test]
fn a_password_is_used_and_never_shown() {
    let Some((cluster, _)) = shared("a_password_is_used_and_never_shown") else { return };
    let url = cluster.guarded_database();
    let store = Postgres::open_as_new_owner(&url).unwrap();
    granted(&store, "r");
    assert_eq!(store.url(), url.replace(&format!(":{PASSWORD}@"), "@"));
    assert!(!format!("{store:?}").contains(PASSWORD));
    let error = refused(&url.replace(PASSWORD, "wrong-word"));
    let told = format!("{error} {error:?}");
    assert!(told.contains("authentication failed") && !told.contains("wrong-word"), "{told}");
    assert!(told.contains("write the password into the URL"), "{told}");
    let elsewhere = url.rsplit_once('/').unwrap().0.to_owned() + "/nowhere";
    let told = refused(&elsewhere).to_string();
    assert!(told.contains("\"nowhere\" does not exist") && told.contains("make it with `createdb`"), "{told}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let error = refused("postgres://me:secret@127.0.0.1:1/db");
    let told = error.to_string();
    assert!(
        told.contains("postgres://me@127.0.0.1:1/db")
            && told.contains("refused")
            && told.contains("; start the server"),
        "{told}"
    );
}

#[test]
fn a_certificate_is_checked_as_far_as_the_url_says() {
    let Some(cluster) = own("a_certificate_is_checked_as_far_as_the_url_says") else { return };
    let Some(authority) = or_skip("a_certificate_is_checked_as_far_as_the_url_says", cluster.tls()) else { return };
    let url = cluster.database();
    let by_name = url.replace("127.0.0.1", "localhost");
    let ours = format!("sslrootcert={}", authority.display());
    let open = |url: &str, query: &str| Postgres::open_as_new_owner(&format!("{url}?{query}"));
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE application_name = 'ft' AND ssl";
    for (url, query, is_encrypted) in [
        (&url, "sslmode=disable".to_owned(), false),
        (&url, "sslmode=prefer".to_owned(), true),
        (&url, "sslmode=require".to_owned(), true),
        (&url, format!("sslmode=verify-ca&{ours}"), true),
        (&by_name, format!("sslmode=verify-full&{ours}"), true),
    ] {
        let store = open(url, &query).unwrap_or_else(|error| panic!("{query}: {error}"));
        granted(&store, &query.len().to_string());
        assert_eq!(cluster.sql(url, encrypted) != "0", is_encrypted, "{query}");
    }
    for (url, query, says) in [
        (&url, format!("sslmode=verify-full&{ours}"), "not valid for name"),
        (&by_name, "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        (&by_name, "sslmode=verify-ca".to_owned(), "UnknownIssuer"),
        (&url, "sslmode=verify-ca&sslrootcert=/none".to_owned(), "/none"),
    ] {
        let error = open(url, &query).map(drop).unwrap_err().to_string();
        assert!(error.contains(says), "{query}: {error}");
    }
    // Where the server has none, nothing goes over the wire in the clear that was to be encrypted.
    cluster.set("ssl", "off");
    let error = open(&url, "sslmode=require").map(drop).unwrap_err().to_string();
    assert!(error.contains("TLS"), "{error}");
}
