//! A real server on a real port, asked by a real client.

use rustnn::export::{Graph, Input, Node, Program, Role, Size, Symbol, Value, Weight};
use rustnn::{DType, Tensor};
use rustnn_serve::{Limits, serve};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

fn golden(name: &str) -> Program {
    let path = format!("{}/../../tests/golden/programs/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
    Program::load(path).expect("a recorded program")
}

struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Server {
    fn start(program: Program, limits: Limits) -> Server {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
                tell.send(listener.local_addr()?).expect("the test waits for it");
                serve(listener, program, limits, async move { drop(stopped.await) }).await
            })
        });
        Server { address: address.recv().expect("a server"), stop: Some(stop), thread: Some(thread) }
    }

    fn with(name: &str) -> Server {
        Server::start(golden(name), Limits::default())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn get(&self, path: &str) -> (u16, String) {
        answered(agent().get(self.url(path)).call())
    }

    fn post(&self, kind: &str, body: &[u8]) -> (u16, String) {
        answered(agent().post(self.url("/predict")).header("content-type", kind).send(body))
    }

    fn json(&self, body: &str) -> (u16, String) {
        self.post("application/json", body.as_bytes())
    }

    /// Ends the server and waits for it.
    fn close(mut self) {
        drop(self.stop.take());
        self.thread.take().expect("it runs").join().expect("no panic").expect("no error");
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build().into()
}

fn answered(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, String) {
    let mut response = result.expect("an answer");
    (response.status().as_u16(), response.body_mut().read_to_string().expect("a text"))
}

/// The numbers of `{"outputs":[[[…]]]}` in order.
fn numbers(text: &str) -> Vec<f64> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || "+-.e".contains(c)));
    words.filter_map(|word| word.parse().ok()).collect()
}

fn expected(program: &Program, rows: &[[f32; 4]]) -> Vec<f64> {
    let x = rustnn::Tensor::new(&rows.concat(), [rows.len(), 4]).expect("a tensor");
    let y = program.infer(&[x]).expect("outputs");
    y[0].to_vec::<f32>().expect("floats").into_iter().map(f64::from).collect()
}

fn near(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-6)
}

const ROWS: [[f32; 4]; 2] = [[0.5, -1.0, 2.0, 0.25], [1.0, 1.0, -3.0, 0.0]];

#[test]
fn json_is_answered_with_what_the_program_gives() {
    let server = Server::with("mlp");
    for body in [
        r#"{"inputs": [[0.5, -1, 2.0, 0.25], [1, 1, -3e0, 0]]}"#,
        r#"{"id": {"a": [1]}, "inputs": {"input": [[0.5, -1, 2.0, 0.25], [1, 1, -3e0, 0]]}}"#,
    ] {
        let (status, text) = server.json(body);
        assert_eq!(status, 200, "{text}");
        assert!(near(&numbers(&text), &expected(&golden("mlp"), &ROWS)), "{text}");
    }
    server.close();
}

fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn npy_is_answered_with_npy() {
    let server = Server::with("mlp");
    let data: Vec<u8> = ROWS.concat().iter().flat_map(|v| v.to_le_bytes()).collect();
    let body = npy("<f4", "False", "(2, 4)", &data);
    let mut response = agent().post(server.url("/predict")).header("content-type", "application/x-npy").send(&body[..]).expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-npy");
    let bytes = response.body_mut().read_to_vec().expect("bytes");
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let start = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    assert_eq!(start % 64, 0);
    let header = std::str::from_utf8(&bytes[10..start]).expect("a header");
    assert!(header.contains("'descr': '<f4'") && header.contains("'shape': (2, 2,)"), "{header}");
    let found: Vec<f64> = bytes[start..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")).into()).collect();
    assert!(near(&found, &expected(&golden("mlp"), &ROWS)));
    server.close();
}

#[test]
fn several_inputs_are_named() {
    let server = Server::with("gpt_loss");
    let (status, text) = server.json(r#"{"inputs": {"tokens": [[1, 2, 3, 4, 5, 6, 7]], "targets": [[2, 3, 4, 5, 6, 7, 8]]}}"#);
    assert_eq!(status, 200, "{text}");
    assert_eq!(numbers(&text).len(), 7 * 11 + 1);
    for (body, status) in [
        (r#"{"inputs": {"tokens": [[1, 2, 3, 4, 5, 6, 7]]}}"#, 400),
        (r#"{"inputs": [[1, 2, 3, 4, 5, 6, 7]]}"#, 400),
        (r#"{"inputs": {"tokens": [[1.5, 2, 3, 4, 5, 6, 7]], "targets": [[2, 3, 4, 5, 6, 7, 8]]}}"#, 400),
        // No such token: the program itself refuses.
        (r#"{"inputs": {"tokens": [[1, 2, 3, 4, 5, 6, 77]], "targets": [[2, 3, 4, 5, 6, 7, 8]]}}"#, 422),
        (r#"{"inputs": {"tokens": [[1, 2]], "targets": [[2, 3]]}}"#, 422),
    ] {
        assert_eq!(server.json(body).0, status, "{body}");
    }
    server.close();
}

#[test]
fn bad_input_is_a_4xx_that_says_why() {
    let limits = Limits { body_bytes: 2000, ..Limits::default() };
    let server = Server::start(golden("mlp"), limits);
    for (body, status, word) in [
        ("", 400, "EOF"),
        ("{", 400, "EOF"),
        ("[]", 400, "inputs"),
        ("{}", 400, "no \"inputs\""),
        (r#"{"inputs": 3}"#, 400, "inputs by name"),
        (r#"{"inputs": [[1, 2, 3, 4], [1, 2]]}"#, 400, "different length"),
        (r#"{"inputs": [[1, 2, 3, 4], 5]}"#, 400, "different depth"),
        (r#"{"inputs": [["a"]]}"#, 400, "numbers"),
        (r#"{"inputs": [[null, 1, 1, 1]]}"#, 400, "numbers"),
        (r#"{"inputs": {"y": [1]}}"#, 400, "no input"),
        (r#"{"inputs": {}}"#, 400, "missing"),
        (r#"{"inputs": [[1, 2, 3, 4]], "inputs": [[1, 2, 3, 4]]}"#, 400, "twice"),
        (r#"{"inputs": [[1, 2, 3, 4]]} x"#, 400, "trailing"),
        (r#"{"inputs": [[1, 2, 3]]}"#, 422, "float32[batch, 4]"),
        (r#"{"inputs": [1, 2, 3, 4]}"#, 422, "float32[batch, 4]"),
        (r#"{"inputs": []}"#, 422, "float32[batch, 4]"),
    ] {
        let (found, text) = server.json(body);
        assert_eq!((found, text.contains(word)), (status, true), "{body}: {found} {text}");
    }
    let deep = format!("{{\"inputs\": {}{}}}", "[".repeat(50), "]".repeat(50));
    assert_eq!(server.json(&deep).0, 400);
    assert_eq!(server.json(&format!("{{\"inputs\": [{}]}}", "1,".repeat(2000))).0, 413);
    assert_eq!(server.post("text/html", b"<p>").0, 415);
    let four = [0u8; 16];
    for (body, word) in [
        (b"no array".to_vec(), "no npy"),
        (b"\x93NUMPY".to_vec(), "versions"),
        (b"\x93NUMPY\x01\x00\xff\xff{}".to_vec(), "breaks off"),
        (npy("<f8", "False", "(1, 4)", &[0; 32]), "float64"),
        (npy("<f4", "True", "(1, 4)", &four), "Fortran"),
        (npy("<f4", "False", "(9, 4)", &four), "bytes"),
        (npy("<f4", "False", "(99999999999999999999, 4)", &four), "shape"),
        (npy("<f4", "False", "(4294967296, 4294967296)", &four), "overflow"),
        (npy("|O", "False", "(1, 4)", &four), "not known"),
        (npy("<f4", "False", "1, 4", &four), ""),
    ] {
        let (status, text) = server.post("application/x-npy", &body);
        assert!((400..500).contains(&status) && text.contains(word), "{status} {text}");
    }
    assert_eq!(server.get("/predict").0, 405);
    assert_eq!(server.get("/nothing").0, 404);
    // And it still answers.
    assert_eq!(server.json(r#"{"inputs": [[1, 2, 3, 4]]}"#).0, 200);
    server.close();
}

#[test]
fn a_body_without_a_length_is_counted_while_it_comes() {
    let server = Server::start(golden("mlp"), Limits { body_bytes: 1000, ..Limits::default() });
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    stream.write_all(b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").expect("a request");
    // More than the limit, less than what would have to be read to the end.
    let chunk = [b"400\r\n", [b' '; 1024].as_slice(), b"\r\n"].concat();
    stream.write_all(&chunk).expect("a chunk");
    let mut answer = [0u8; 12];
    stream.read_exact(&mut answer).expect("an answer before the end");
    assert_eq!(&answer, b"HTTP/1.1 413");
    drop(stream);
    server.close();
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let server = Server::start(golden("mlp"), Limits { request: Duration::from_millis(200), ..Limits::default() });
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    stream.write_all(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").expect("a request");
    let mut answer = [0u8; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(stream);
    server.close();
}

#[test]
fn health_and_the_model_are_told() {
    let server = Server::with("mlp");
    assert_eq!(server.get("/health"), (200, "ok\n".into()));
    let (status, text) = server.get("/model");
    assert_eq!(status, 200);
    let model: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(model["inputs"][0]["shape"], serde_json::json!(["batch", "4"]));
    server.close();
}

#[test]
fn requests_at_once_get_their_own_rows() {
    let server = Arc::new(Server::with("mlp"));
    let (program, begin) = (golden("mlp"), Arc::new(Barrier::new(16)));
    let threads: Vec<_> = (0..16)
        .map(|t| {
            let (server, begin, program) = (server.clone(), begin.clone(), program.clone());
            std::thread::spawn(move || {
                begin.wait();
                for i in 0..20 {
                    let rows: Vec<[f32; 4]> = (0..=t % 3).map(|r| [t as f32, i as f32 / 4.0, r as f32, -1.5]).collect();
                    let (status, text) = server.json(&format!("{{\"inputs\": {rows:?}}}"));
                    assert_eq!(status, 200, "{text}");
                    assert!(near(&numbers(&text), &expected(&program, &rows)));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    Arc::into_inner(server).expect("the threads are done").close();
}

#[test]
fn closing_finishes_what_was_begun() {
    let server = Server::with("mlp");
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let body = r#"{"inputs": [[1, 2, 3, 4]]}"#;
    let head = format!("POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).expect("a head");
    std::thread::sleep(Duration::from_millis(100));
    let address = server.address;
    let closing = std::thread::spawn(move || server.close());
    // New connections are refused soon, the begun request is answered.
    let end = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < end, "it still listens");
        std::thread::sleep(Duration::from_millis(10));
    }
    stream.write_all(body.as_bytes()).expect("a body");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer, and the end");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    closing.join().expect("it closes");
}

#[test]
fn who_never_ends_a_request_does_not_keep_the_server() {
    let server = Server::start(golden("mlp"), Limits { request: Duration::from_secs(1), ..Limits::default() });
    let mut half = TcpStream::connect(server.address).unwrap();
    half.write_all(b"POST /predict HTTP/1.1\r\nhost: x\r\n").unwrap();
    assert_eq!(server.get("/health").0, 200);
    let start = Instant::now();
    server.close();
    assert!(start.elapsed() < Duration::from_secs(8));
    drop(half);
}

/// `x + x`, and a weight of four numbers beside it.
fn doubles(dtype: DType) -> Program {
    let rows = Size::of_symbol(0);
    let args = vec![("self".into(), Value::Tensor(0)), ("other".into(), Value::Tensor(0))];
    let classes = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &[4]).expect("a tensor");
    let graph = Graph {
        symbols: vec![Symbol { name: "batch".into(), min: 1, max: 1000 }],
        inputs: vec![Input { name: "x".into(), dtype, shape: vec![rows, Size::Known(2)] }],
        weights: vec![Weight { name: "classes".into(), aliases: Vec::new(), role: Role::Buffer, written: false, tensor: classes }],
        nodes: vec![Node { op: "add".into(), args, outs: vec![2], grad: true, reads: Vec::new() }],
        outputs: vec![2, 1],
        trees: "{}".into(),
        ..Graph::default()
    };
    Program::new(graph).expect("a program")
}

#[test]
fn an_output_that_is_no_rows_is_given_to_everybody_whole() {
    let server = Arc::new(Server::start(doubles(DType::F32), Limits::default()));
    let begin = Arc::new(Barrier::new(16));
    let threads: Vec<_> = (0..16)
        .map(|t| {
            let (server, begin) = (server.clone(), begin.clone());
            std::thread::spawn(move || {
                begin.wait();
                for _ in 0..20 {
                    let (status, text) = server.json(&format!("{{\"inputs\": [[{t}, 1]]}}"));
                    assert_eq!(status, 200, "{text}");
                    assert_eq!(numbers(&text), [f64::from(2 * t), 2.0, 1.0, 2.0, 3.0, 4.0]);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    Arc::into_inner(server).expect("the threads are done").close();
}

#[test]
fn an_integer_that_the_models_dtype_does_not_hold_is_a_4xx() {
    let server = Server::start(doubles(DType::I32), Limits::default());
    assert_eq!(server.json("{\"inputs\": [[3, -4]]}").0, 200);
    let (status, text) = server.json("{\"inputs\": [[5000000000, 1]]}");
    assert!((400..500).contains(&status), "{status} {text}");
    assert!(text.contains("5000000000"), "{text}");
    server.close();
}
