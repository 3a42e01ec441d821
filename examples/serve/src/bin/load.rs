//! Sends one request again and again over many connections, and tells requests/s and latencies:
//! `load http://127.0.0.1:8080/predict BODY.json [--connections 64] [--seconds 30]`. A raw client, so that it takes as little
//! of the machine as it can from the server that it measures.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends and receives until the end; the latency of each answer, and how many were no 200.
async fn connection(host: Arc<str>, request: Arc<[u8]>, end: Instant) -> (Vec<Duration>, usize) {
    let (mut latencies, mut errors) = (Vec::new(), 0);
    let mut buffer = vec![0u8; 1 << 16];
    'connect: while Instant::now() < end {
        let Ok(mut stream) = TcpStream::connect(&*host).await else {
            errors += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        while Instant::now() < end {
            let begin = Instant::now();
            match exchange(&mut stream, &request, &mut buffer).await {
                Some(true) => latencies.push(begin.elapsed()),
                Some(false) => errors += 1,
                None => {
                    errors += 1;
                    continue 'connect;
                }
            }
        }
    }
    (latencies, errors)
}

/// Whether the answer was 200; None if the connection broke.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> Option<bool> {
    stream.write_all(request).await.ok()?;
    let (mut filled, mut whole) = (0, usize::MAX);
    while filled < whole {
        let read = stream.read(buffer.get_mut(filled..)?).await.ok().filter(|&n| n > 0)?;
        filled += read;
        if whole == usize::MAX
            && let Some(head) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n")
        {
            let text = std::str::from_utf8(&buffer[..head]).ok()?.to_ascii_lowercase();
            let length = text.split("content-length:").nth(1)?.split("\r\n").next()?.trim().parse::<usize>().ok()?;
            whole = head + 4 + length;
        }
    }
    Some(buffer.starts_with(b"HTTP/1.1 200"))
}

async fn measure(url: &str, body: Vec<u8>, connections: usize, seconds: u64) -> Result<(), String> {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or("the URL is http://HOST:PORT/PATH")?;
    let head = format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let request: Arc<[u8]> = [head.as_bytes(), &body].concat().into();
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..connections).map(|_| tokio::spawn(connection(host.into(), request.clone(), end))).collect();
    let (mut all, mut errors) = (Vec::new(), 0);
    for task in tasks {
        let (latencies, failed) = task.await.map_err(|error| error.to_string())?;
        all.extend(latencies);
        errors += failed;
    }
    let elapsed = begin.elapsed().as_secs_f64();
    all.sort_unstable();
    let at = |share: f64| all.get(((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1))).copied().unwrap_or_default();
    println!(
        "{{\"requests_per_s\": {:.0}, \"p50_ms\": {:.2}, \"p99_ms\": {:.2}, \"max_ms\": {:.2}, \"requests\": {}, \"errors\": {errors}}}",
        all.len() as f64 / elapsed,
        at(0.5).as_secs_f64() * 1e3,
        at(0.99).as_secs_f64() * 1e3,
        at(1.0).as_secs_f64() * 1e3,
        all.len()
    );
    Ok(())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: u64| {
        words.iter().position(|w| w == name).and_then(|at| words.get(at + 1)?.parse::<u64>().ok()).unwrap_or(default)
    };
    let (Some(url), Some(path)) = (words.first(), words.get(1)) else {
        eprintln!("usage: load http://HOST:PORT/PATH BODY.json [--connections 64] [--seconds 30]");
        return ExitCode::FAILURE;
    };
    let run = || -> Result<(), String> {
        let body = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime.block_on(measure(url, body, option("--connections", 64) as usize, option("--seconds", 30)))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
