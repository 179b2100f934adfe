//! An attribute on a function around reqwest, against a server that resets a connection, fails, and asks for patience.
//!
//! `cargo run --example reqwest_client`

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ft_runtime::observe::{self, What};
use ft_runtime::{Backoff, retry};
use ft_tower::http::ByStatus;
use http::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// `reqwest::Error` says itself what may be tried again (feature `reqwest`), `ByStatus` says it of the answer.
#[retry(max_attempts = 5, backoff = Backoff::exponential(20ms), classify = ByStatus)]
async fn get(client: &reqwest::Client, url: &str) -> Result<Response<reqwest::Body>, reqwest::Error> {
    Ok(client.get(url).send().await?.into())
}

/// Where the answer is needed as a value, the status becomes an error; its `Fault` knows the statuses, too.
#[retry(max_attempts = 2, backoff = Backoff::fixed(20ms))]
async fn stock(client: &reqwest::Client, url: &str) -> Result<u32, reqwest::Error> {
    let text = client.get(url).send().await?.error_for_status()?.text().await?;
    Ok(text.parse().unwrap_or_default())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&waits);
    let _listening = observe::subscribe(move |event| {
        println!("  {} {}: {:?}", event.site, event.policy, event.what);
        if let What::Retrying { delay, .. } = event.what {
            heard.lock().unwrap().push(delay);
        }
    });
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;

    // A reset connection, a failure, a full house for a second, and then the answer.
    let server = script(&[RESET, "HTTP/1.1 500 Oops\r\n", "HTTP/1.1 429 Busy\r\nretry-after: 1\r\n", OK]).await?;
    let began = Instant::now();
    let response = get(&client, &format!("http://{server}/stock")).await?;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(reqwest::Response::from(response).text().await?, "7");
    let waited = std::mem::take(&mut *waits.lock().unwrap());
    assert_eq!(waited.len(), 3);
    assert!(waited[2] >= Duration::from_secs(1) && began.elapsed() >= Duration::from_secs(1), "as the server asked");

    // An answer is an answer: nobody asks twice for what is not there.
    let server = script(&["HTTP/1.1 404 None\r\n", OK]).await?;
    let missing = get(&client, &format!("http://{server}/gone")).await?;
    assert_eq!((missing.status(), waits.lock().unwrap().len()), (StatusCode::NOT_FOUND, 0));

    // A server that stays down: the last error, unchanged, with its status.
    let server = script(&["HTTP/1.1 502 Down\r\n", "HTTP/1.1 502 Still\r\n"]).await?;
    let error = stock(&client, &format!("http://{server}/stock")).await.expect_err("it is down");
    assert_eq!((error.status(), waits.lock().unwrap().len()), (Some(StatusCode::BAD_GATEWAY), 1));

    println!("reqwest_client: 3 faults survived, 1 hint kept, 2 outcomes passed on unchanged");
    Ok(())
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const RESET: &str = "";

/// A server whose connections get these answers, one each.
async fn script(answers: &'static [&'static str]) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await?;
            if *answer == RESET {
                stream.readable().await?;
                stream.set_zero_linger()?;
                continue;
            }
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await?);
            }
            let (length, body) = if *answer == OK { (1, "7") } else { (0, "") };
            let answer = format!("{answer}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await?;
        }
        std::io::Result::Ok(())
    });
    Ok(address)
}
