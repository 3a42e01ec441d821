//! A pickle inside a sound archive with two storages: tensors, parameters and storages of any description.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustnn_io::zip::ArchiveWriter;
use rustnn_io::{Object, Options, StorageId, inspect_source, read_checkpoint};

fuzz_target!(|bytes: &[u8]| {
    let mut file = Vec::new();
    let mut archive = ArchiveWriter::new(&mut file);
    archive.add("a/data.pkl", bytes).unwrap();
    if bytes.len() % 4 == 3 {
        archive.add("a/byteorder", b"big").unwrap();
    }
    archive.add("a/data/0", &[7; 96]).unwrap();
    archive.add("a/data/1", &[]).unwrap();
    archive.finish().unwrap();
    let _ = inspect_source(file.clone(), &Options::default());
    let Ok(checkpoint) = read_checkpoint(file, &Options::default()) else { return };
    for id in 0..checkpoint.storages.len() as u32 {
        checkpoint.read_storage(StorageId(id)).expect("the archive is sound");
    }
    for (_, object) in checkpoint.graph.objects() {
        if let Object::Tensor(tensor) = object
            && let Some(id) = tensor.storage
        {
            assert!(tensor.extent_bytes().unwrap() <= checkpoint.storages[id.0 as usize].len_bytes);
        }
    }
});
