//! The formats without zip: legacy (behind its fixed head) and tar.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustnn_io::{Options, StorageId, read_checkpoint};

/// Magic number, version and machine facts.
const HEAD: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00.";

fuzz_target!(|bytes: &[u8]| {
    for file in [[HEAD, bytes].concat(), bytes.to_vec()] {
        if let Ok(checkpoint) = read_checkpoint(file, &Options::default()) {
            for id in 0..checkpoint.storages.len() as u32 {
                checkpoint.read_storage(StorageId(id)).expect("storages were placed within the file");
            }
        }
    }
});
