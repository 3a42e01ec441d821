//! Serves a recorded program over HTTP.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /predict` | JSON or npy, see [`body`] | the outputs, in the form of the request |
//! | `GET /model` | | inputs: names, dtypes and shapes |
//! | `GET /health` | | `ok`, 503 while the server closes |
//!
//! Bad input is a 4xx with a line of text that says why. Requests that wait together run as one batch.

pub mod batch;
pub mod body;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use batch::{Batcher, Refused};
use body::Form;
use rustnn::export::Program;
use serde_json::json;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;

/// What a server allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest body of a request, bytes.
    pub body_bytes: usize,
    /// How long a request may take from its head to its answer.
    pub request: Duration,
    /// Rows of a batch, at most. 1 runs each request alone.
    pub batch_rows: usize,
    /// Requests that may wait; more are turned away with 503.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { body_bytes: 4 << 20, request: Duration::from_secs(10), batch_rows: 64, queue: 1024 }
    }
}

struct Served {
    program: Program,
    batcher: Batcher,
    closing: AtomicBool,
    limits: Limits,
}

/// Answers on `listener` until `stop` is done; then requests in flight are finished, and no new ones taken. Whoever has not sent
/// a whole request by then has as long as a request may take.
///
/// # Errors
/// Those of the listener.
pub async fn serve(
    listener: TcpListener,
    program: Program,
    limits: Limits,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let last = limits.request;
    let (batcher, worker) = Batcher::start(program.clone(), &limits)?;
    let served = Arc::new(Served { program, batcher, closing: AtomicBool::new(false), limits });
    let closing = served.clone();
    let (told, closed) = tokio::sync::oneshot::channel::<()>();
    // An answer is one write: nothing is won by waiting for more.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let answering = axum::serve(listener, app(served)).with_graceful_shutdown(async move {
        stop.await;
        closing.closing.store(true, Relaxed);
        drop(told);
    });
    let late = async {
        drop(closed.await);
        tokio::time::sleep(last).await;
    };
    tokio::select! {
        done = answering => done?,
        // Connections that are still open go with the runtime, and so does the worker with their requests.
        () = late => return Ok(()),
    }
    // The queue's last sender went with the router: the worker finishes what waits and ends.
    tokio::task::spawn_blocking(move || drop(worker.join())).await.map_err(std::io::Error::other)
}

fn app(served: Arc<Served>) -> Router {
    Router::new()
        .route("/predict", post(predict))
        .route("/model", get(model))
        .route("/health", get(health))
        .layer(DefaultBodyLimit::disable()) // `predict` has its own, which counts while it reads
        .with_state(served)
}

/// An answer that is no result.
struct Failed(StatusCode, String);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, format!("{}\n", self.1)).into_response()
    }
}

async fn health(State(served): State<Arc<Served>>) -> Response {
    if served.closing.load(Relaxed) { (StatusCode::SERVICE_UNAVAILABLE, "closing\n").into_response() } else { "ok\n".into_response() }
}

async fn model(State(served): State<Arc<Served>>) -> Response {
    let inputs: Vec<_> = served
        .program
        .inputs()
        .iter()
        .map(|input| {
            let shape: Vec<String> = input.shape.iter().map(|size| size.text(served.program.symbols())).collect();
            json!({"name": input.name, "dtype": input.dtype.name(), "shape": shape})
        })
        .collect();
    let text = json!({"inputs": inputs, "outputs": served.program.graph().outputs.len()}).to_string();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn predict(State(served): State<Arc<Served>>, headers: HeaderMap, body: Body) -> Response {
    let limit = served.limits.request;
    match tokio::time::timeout(limit, answer(served, headers, body)).await {
        Ok(Ok(response)) => response,
        Ok(Err(failed)) => failed.into_response(),
        Err(_) => Failed(StatusCode::REQUEST_TIMEOUT, format!("the request took longer than {} s", limit.as_secs_f32())).into_response(),
    }
}

async fn answer(served: Arc<Served>, headers: HeaderMap, body: Body) -> Result<Response, Failed> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("application/json");
    let form = match kind.split(';').next().unwrap_or_default().trim() {
        "application/json" => Form::Json,
        "application/x-npy" | "application/octet-stream" => Form::Npy,
        other => {
            let known = "application/json and application/x-npy";
            return Err(Failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("cannot read {other:?}, only {known}")));
        }
    };
    let bytes = received(&headers, body, served.limits.body_bytes).await?;
    let inputs = form.read(&bytes, served.program.inputs()).map_err(|why| Failed(StatusCode::BAD_REQUEST, why))?;
    served.program.check(&inputs).map_err(|error| Failed(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let outputs = served.batcher.run(inputs).await.map_err(|refused| match refused {
        Refused::Busy => Failed(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait".into()),
        // Shapes and dtypes were right: values such as an index out of range.
        Refused::Input(why) => Failed(StatusCode::UNPROCESSABLE_ENTITY, why),
        Refused::Broken => Failed(StatusCode::INTERNAL_SERVER_ERROR, "the model failed".into()),
    })?;
    let text = form.write(&outputs).map_err(|why| Failed(StatusCode::INTERNAL_SERVER_ERROR, why))?;
    Ok(([(header::CONTENT_TYPE, form.media_type())], text).into_response())
}

async fn received(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Failed> {
    let too_long = || Failed(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {limit} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit as u64) {
        return Err(too_long());
    }
    let broken = |error: axum::Error| Failed(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"));
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        if cause.contains("limit") { too_long() } else { broken(error) }
    })
}
