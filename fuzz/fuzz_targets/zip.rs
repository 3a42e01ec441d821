//! The zip reader: every record of an archive that opens can be read, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustnn_io::zip::Archive;
use rustnn_io::{Limits, Options, Source, read_checkpoint};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { inflated_bytes: 1 << 16, ..Limits::default() };
    let Ok(archive) = Archive::open(Source::from(bytes.to_vec()), &limits) else { return };
    let mut total = 0;
    for record in archive.records() {
        total += record.len_bytes;
        let _ = archive.read(record, true);
        let _ = archive.read(record, false);
    }
    assert!(total <= 2 * bytes.len() as u64 + limits.inflated_bytes);
    let _ = read_checkpoint(bytes.to_vec(), &Options { verify_checksums: false, limits, ..Options::default() });
});
