//! An axum server that carries an order out once, however often it is sent: it is killed between charging and answering,
//! started again, and sent the same order.
//!
//! `cargo run --example idempotent_server`; or by hand, with curl: `cargo run --example idempotent_server -- serve DIR`

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use ft_runtime::{Checkpoint, Rejected, Store, checkpoint, idempotency_key};
use ft_tower::http::CheckpointLayer;
use http::request::Parts;
use http::{StatusCode, header};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where the authors of clients would read what a key is, and that it is known for a day.
const DOCS: &str = "https://shop.example/docs/idempotency";
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The router under the layer. Keys belong to whoever sent them: here, to the credentials.
fn app(shop: Shop) -> Router {
    let caller = |head: &Parts| Some(head.headers.get(header::AUTHORIZATION)?.to_str().ok()?.to_owned());
    Router::new()
        .route("/orders", post(order))
        .layer(CheckpointLayer::new(Checkpoint::new().keep(KEPT), caller).docs(DOCS))
        .with_state(shop)
}

#[derive(Clone)]
struct Shop {
    bank: Arc<Path>,
    slow: bool,
}

/// The handler runs inside the run of its request: the step in it is recorded.
async fn order(State(shop): State<Shop>, what: String) -> Result<(StatusCode, String), (StatusCode, String)> {
    let broken = |error: ShopError| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let charge = charge(&shop.bank, &what).await.map_err(broken)?;
    println!("charged");
    if shop.slow {
        tokio::time::sleep(Duration::from_secs(60)).await; // packing; this is where it dies
    }
    Ok((StatusCode::CREATED, format!("{what}: charge {charge}")))
}

/// A bank that does not look at keys: it charges as often as it is asked to, and keeps a line for each time.
#[checkpoint(skip(bank))]
async fn charge(bank: &Path, what: &str) -> Result<usize, ShopError> {
    let key = idempotency_key().map(|key| key.to_string()).unwrap_or_default();
    let mut book = OpenOptions::new().create(true).append(true).open(bank)?;
    book.write_all(format!("{what} {key}\n").as_bytes())?;
    book.sync_all()?;
    Ok(charges(bank)?)
}

fn charges(bank: &Path) -> io::Result<usize> {
    Ok(fs::read_to_string(bank)?.lines().count())
}

#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error("the bank: {0}")]
    Bank(#[from] io::Error),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

/// Serves until it is killed; the first line on stdout tells where.
async fn serve(folder: &Path, slow: bool) -> Result<(), Failure> {
    Store::open(&format!("sqlite:{}", folder.join("ft.db").display()))?.install();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, app(Shop { bank: folder.join("bank").into(), slow })).await?)
}

/// A server process, killed when it is dropped.
struct Server {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Server {
    async fn start(folder: &Path, mode: &str) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(mode)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no stdout")?).lines();
        let address = lines.next_line().await?.ok_or("the server ended at its start")?.parse()?;
        Ok(Self { process, lines, address })
    }

    async fn says(&mut self, line: &str) -> Result<(), Failure> {
        while let Some(said) = self.lines.next_line().await? {
            if said == line {
                return Ok(());
            }
        }
        Err("the server ended".into())
    }
}

/// Status, body, and whether it was recorded before.
type Answer = Result<(u16, String, bool), reqwest::Error>;

#[derive(Clone)]
struct Client(reqwest::Client);

impl Client {
    async fn order(self, server: SocketAddr, key: Option<&'static str>, what: &'static str) -> Answer {
        let request = self.0.post(format!("http://{server}/orders")).bearer_auth("alice").body(what);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        let sent = format!("  POST /orders, {}, {what:?}", key.map_or("no key".into(), |key| format!("key {key}")));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                println!("{sent}: no answer");
                return Err(error);
            }
        };
        let (status, replayed) = (answer.status().as_u16(), answer.headers().contains_key("idempotency-replayed"));
        println!("{sent}: {status}{}", if replayed { ", replayed" } else { "" });
        Ok((status, answer.text().await?, replayed))
    }
}

async fn show(folder: &Path) -> Result<(), Failure> {
    let bank = folder.join("bank");
    let client = Client(reqwest::Client::builder().no_proxy().build()?);
    let order = |server: &Server, key, what| client.clone().order(server.address, key, what);
    let book = (201, "one book: charge 1".to_owned());

    println!("killed between charging and answering: the client does not know what became of its order");
    let mut server = Server::start(folder, "served-slowly").await?;
    let lost = tokio::spawn(order(&server, Some("\"a\""), "one book"));
    server.says("charged").await?;
    order(&server, Some("\"a\""), "one book").await.map(|early| assert_eq!(early.0, 409, "it is being carried out"))?;
    server.process.kill().await?;
    assert!(lost.await?.is_err());
    assert_eq!(charges(&bank)?, 1);

    println!("started again, and sent again: it goes on behind the charge, and after that answers from the record");
    let server = Server::start(folder, "served").await?;
    let (status, body, replayed) = order(&server, Some("\"a\""), "one book").await?;
    assert_eq!(((status, body), replayed), (book.clone(), false));
    let (status, body, replayed) = order(&server, Some("\"a\""), "one book").await?;
    assert_eq!(((status, body), replayed), (book.clone(), true));

    println!("what is no repetition is not taken for one");
    assert_eq!(order(&server, Some("\"a\""), "two books").await?.0, 422);
    assert_eq!(order(&server, None, "one book").await?.0, 400);
    assert_eq!(order(&server, Some("\"b\""), "one book").await?.1, "one book: charge 2");

    println!("killed again: the answers are still there");
    drop(server);
    let server = Server::start(folder, "served").await?;
    let (status, body, replayed) = order(&server, Some("\"a\""), "one book").await?;
    assert_eq!(((status, body), replayed), (book, true));

    println!("idempotent_server: 8 requests for 2 orders through 2 kills, {} charges", charges(&bank)?);
    Ok(())
}

/// Ends this process when the one that started it is gone, and with it the other end of our stdin.
fn die_with_it() {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(1);
    });
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => show(tempfile::tempdir()?.path()).await?,
        ["serve", folder] => serve(folder.as_ref(), false).await?,
        [mode @ ("served" | "served-slowly"), folder] => {
            die_with_it();
            serve(folder.as_ref(), mode == "served-slowly").await?;
        }
        _ => {
            eprintln!("idempotent_server [serve DIR]");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
