#![no_main]
//! A program's file: the first byte says whether the rest is the file or its graph alone, in an otherwise valid file.

use libfuzzer_sys::fuzz_target;
use rustnn::export::Program;
use rustnn::Tensor;

/// The golden MLP's file with another graph.
fn with_graph(graph: &str) -> Option<Vec<u8>> {
    let golden: &[u8] = include_bytes!("../../tests/golden/programs/mlp.safetensors");
    let file = rustnn_io::read_safetensors(golden.to_vec()).ok()?;
    let mut metadata = file.metadata.clone();
    metadata.insert("program".into(), graph.into());
    let data: Vec<Vec<u8>> = file.tensors.iter().map(|t| file.read(t)).collect::<Result<_, _>>().ok()?;
    let views: Vec<_> = file
        .tensors
        .iter()
        .zip(&data)
        .map(|(t, bytes)| rustnn_io::SafeView { name: &t.name, dtype: t.dtype, shape: &t.shape, bytes })
        .collect();
    let mut out = Vec::new();
    rustnn_io::write_safetensors(&mut out, &views, &metadata).ok()?;
    Some(out)
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let bytes = if kind % 2 == 0 { Some(rest.to_vec()) } else { std::str::from_utf8(rest).ok().and_then(with_graph) };
    let Some(Ok(program)) = bytes.map(Program::from_bytes) else { return };
    let Ok(x) = Tensor::new(&[0.5f32; 8], [2, 4]) else { return };
    let _ = program.forward(&[x]);
    let _ = program.to_bytes();
});
