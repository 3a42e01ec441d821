//! The pickle machine alone: what is read is written, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustnn_io::{Encoding, Globals, Options, pickle};

fuzz_target!(|bytes: &[u8]| {
    for (globals, encoding) in [(Globals::Listed, Encoding::Utf8), (Globals::Any, Encoding::Bytes)] {
        let options = Options { globals, encoding, ..Options::default() };
        let Ok((graph, root)) = pickle::read(bytes, &options) else { continue };
        // Writing may fail: a graph tangled in cycles, a storage class as a value.
        if let Ok(written) = pickle::write(&graph, &root) {
            let (again, again_root) = pickle::read(&written, &options).expect("what was written is read");
            assert_eq!(pickle::write(&again, &again_root).expect("and written again"), written);
        }
    }
});
