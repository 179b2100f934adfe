//! `#[failover]`: over a pool of targets, and over other functions.

use std::io::{self, ErrorKind};

use ft_runtime::{Pool, failover};

#[derive(Debug)]
pub struct Replica(pub Option<&'static str>);

impl Replica {
    async fn get(&self, key: &str) -> io::Result<String> {
        self.0.map(|value| format!("{key} = {value}")).ok_or(ErrorKind::ConnectionRefused.into())
    }
}

pub struct Reader {
    pub replicas: Pool<Replica>,
}

impl Reader {
    /// The body is written for one target; the pool says which.
    #[failover(replica in &self.replicas)]
    pub async fn read(&self, key: &str) -> io::Result<String> {
        replica.get(key).await
    }
}

/// Other functions with the same signature, in order.
#[failover(to = [from_replica, from_cache], unless = error if error.kind() == ErrorKind::NotFound)]
pub async fn from_primary(id: u32) -> io::Result<String> {
    if id == 0 { Err(ErrorKind::NotFound.into()) } else { Err(ErrorKind::TimedOut.into()) }
}

async fn from_replica(id: u32) -> io::Result<String> {
    if id == 1 { Ok("row 1 of the replica".to_owned()) } else { Err(ErrorKind::ConnectionReset.into()) }
}

async fn from_cache(id: u32) -> io::Result<String> {
    Ok(format!("row {id} of the cache"))
}

/// The call may not run twice: only a call that provably never ran moves on.
#[failover(to = [pay_elsewhere], idempotent = false)]
pub fn pay(refused: bool) -> io::Result<&'static str> {
    Err(if refused { ErrorKind::ConnectionRefused } else { ErrorKind::ConnectionReset }.into())
}

fn pay_elsewhere(_refused: bool) -> io::Result<&'static str> {
    Ok("paid elsewhere")
}

pub async fn story() -> Vec<String> {
    let reader = Reader { replicas: Pool::of([("one", Replica(None)), ("two", Replica(Some("2")))]) };
    let nobody = Reader { replicas: Pool::of([("one", Replica(None))]) };
    let mut told = vec![
        format!("{:?}", reader.read("key").await),
        format!("{:?}", nobody.read("key").await.map_err(|error| error.kind())),
    ];
    for id in [0, 1, 2] {
        told.push(format!("{:?}", from_primary(id).await.map_err(|error| error.kind())));
    }
    for refused in [true, false] {
        told.push(format!("{:?}", pay(refused).map_err(|error| error.kind())));
    }
    told
}
