//! safetensors: what is read is written, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustnn_io::{SafeView, read_safetensors, write_safetensors};

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = read_safetensors(bytes.to_vec()) else { return };
    let data: Vec<Vec<u8>> = file.tensors.iter().map(|tensor| file.read(tensor).expect("within the file")).collect();
    let views: Vec<SafeView> = file
        .tensors
        .iter()
        .zip(&data)
        .map(|(tensor, bytes)| SafeView { name: &tensor.name, dtype: tensor.dtype, shape: &tensor.shape, bytes })
        .collect();
    let mut written = Vec::new();
    write_safetensors(&mut written, &views, &file.metadata).expect("what was read is written");
    let again = read_safetensors(written).expect("and read again");
    assert_eq!(again.metadata, file.metadata);
    for (tensor, bytes) in file.tensors.iter().zip(&data) {
        assert_eq!(&again.read(again.get(&tensor.name).unwrap()).unwrap(), bytes);
    }
});
