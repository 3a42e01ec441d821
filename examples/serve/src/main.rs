//! `rustnn-serve model.safetensors [--listen 127.0.0.1:8080] [--body-bytes N] [--batch-rows N] [--queue N] [--timeout S]`

use rustnn::export::Program;
use rustnn_serve::{Limits, serve};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;

const USAGE: &str =
    "usage: rustnn-serve MODEL [--listen 127.0.0.1:8080] [--body-bytes 4194304] [--batch-rows 64] [--queue 1024] [--timeout 10]";

struct Options {
    model: String,
    listen: String,
    limits: Limits,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { model: String::new(), listen: "127.0.0.1:8080".into(), limits: Limits::default() };
    while let Some(word) = words.next() {
        if !word.starts_with("--") && options.model.is_empty() {
            options.model = word;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word}: no value\n{USAGE}"))?;
        let number = || value.parse::<usize>().map_err(|_| format!("{word}: {value:?} is no number"));
        match word.as_str() {
            "--listen" => options.listen = value,
            "--body-bytes" => options.limits.body_bytes = number()?,
            "--batch-rows" => options.limits.batch_rows = number()?.max(1),
            "--queue" => options.limits.queue = number()?.max(1),
            "--timeout" => options.limits.request = Duration::from_secs(number()? as u64),
            _ => return Err(format!("unknown option {word}\n{USAGE}")),
        }
    }
    if options.model.is_empty() { Err(USAGE.into()) } else { Ok(options) }
}

/// Done at Ctrl-C, or when the system asks the process to end.
async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
            return;
        }
    }
    let _ = interrupt.await;
}

async fn run(options: Options) -> Result<(), String> {
    let program = Program::load(&options.model).map_err(|error| format!("{}: {error}", options.model))?;
    let listener = TcpListener::bind(&options.listen).await.map_err(|error| format!("{}: {error}", options.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("serving {} on http://{address}", options.model);
    serve(listener, program, options.limits, asked_to_stop()).await.map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string());
    match options(std::env::args().skip(1)).and_then(|options| runtime.and_then(|runtime| runtime.block_on(run(options)))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
