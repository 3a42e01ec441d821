//! Checkpoints there and back, and files that are cut short, changed or something else.

use crate::{floats, golden, refused};
use rustnn::io::{self, Metadata, Source, StateDict, Value};
use rustnn::nn::{self, Module};
use rustnn::{DType, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// A file that goes when the test ends.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        Temporary(std::env::temp_dir().join(format!("rustnn-files-{}-{name}", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn state() -> StateDict {
    let mut state = nn::Linear::new(3, 2).unwrap().state_dict().unwrap();
    state.insert("count", Tensor::scalar(7i64).unwrap()).unwrap();
    state.insert("mask", Tensor::new(&[true, false, true], [3]).unwrap()).unwrap();
    state.insert("half", Tensor::ones([2]).unwrap().to_dtype(DType::BF16).unwrap()).unwrap();
    state.insert("empty", Tensor::zeros([0, 4]).unwrap()).unwrap();
    state
}

#[test]
fn safetensors_files_are_known_by_any_length_of_their_header() {
    let file = Temporary::new("lengths.safetensors");
    // Headers are padded to eight bytes: among these are lengths that begin as a pickle does, and as a zip.
    for length in (1..400).step_by(8) {
        let mut state = StateDict::new();
        state.insert("n".repeat(length), Tensor::ones([1]).unwrap()).unwrap();
        io::save_state_dict(&file.0, &state).unwrap();
        assert!(io::load_state_dict(&file.0).unwrap().len() == 1, "a name of {length} letters");
    }
}

#[test]
fn a_state_dict_goes_through_both_formats() {
    for name in ["there.pt", "there.safetensors"] {
        let file = Temporary::new(name);
        let before = state();
        io::save_state_dict(&file.0, &before).unwrap();
        let after = io::load_state_dict(&file.0).unwrap();
        assert_eq!(after.len(), before.len(), "{name}");
        for (key, value) in before.iter() {
            let found = after.get(key).unwrap();
            assert_eq!((found.dtype(), found.shape()), (value.dtype(), value.shape()), "{name}: {key}");
            assert_eq!(found.to_bytes().unwrap(), value.to_bytes().unwrap(), "{name}: {key}");
        }
        // From memory too.
        let bytes = std::fs::read(&file.0).unwrap();
        assert_eq!(io::read(bytes).unwrap().to_state_dict().unwrap().len(), before.len());
    }
}

#[test]
fn tensors_that_share_memory_share_it_again() {
    let file = Temporary::new("shared.pt");
    let whole = Tensor::arange(0..12).unwrap().reshape([3, 4]).unwrap();
    let part = whole.transpose(0, 1).unwrap().narrow(0, 1, 2).unwrap();
    io::save(&file.0, &Value::List(vec![whole.into(), part.clone().into()])).unwrap();
    let Value::List(found) = io::load(&file.0).unwrap() else { panic!("no list") };
    let [Value::Tensor(a), Value::Tensor(b)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(b.to_vec::<i64>().unwrap(), part.to_vec::<i64>().unwrap());
    a.fill_(5.0).unwrap();
    assert_eq!(b.to_vec::<i64>().unwrap(), [5; 6]);
}

#[test]
fn plain_values_keep_their_kinds() {
    let file = Temporary::new("values.pt");
    let value = Value::dict([
        ("none", Value::None),
        ("yes", true.into()),
        ("step", 12i64.into()),
        ("rate", 0.5.into()),
        ("name", "digits".into()),
        ("pair", Value::Tuple(vec![1i64.into(), 2i64.into()])),
    ]);
    io::save(&file.0, &value).unwrap();
    assert_eq!(format!("{:?}", io::load(&file.0).unwrap()), format!("{value:?}"));
    assert!(refused(io::save(&file.0, &Value::Other("set"))).contains("cannot save a set"));
}

#[test]
fn texts_lie_beside_the_tensors_of_safetensors() {
    let file = Temporary::new("texts.safetensors");
    let texts = Metadata::from([("format".to_string(), "pt".to_string())]);
    io::save_safetensors(&file.0, &state(), &texts).unwrap();
    let (_, found) = io::read_safetensors(Source::open(&file.0).unwrap()).unwrap();
    assert_eq!(found, texts);
}

/// Calls `read` with hostile bytes; it may succeed or fail, but has to return.
fn returns(what: &str, bytes: Vec<u8>) -> bool {
    let read = || io::read(bytes).and_then(|value| value.to_state_dict()).is_ok();
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| panic!("{what} panicked"))
}

#[test]
fn files_that_are_cut_short_or_changed_are_errors_and_never_panics() {
    for name in ["cut.pt", "cut.safetensors"] {
        let file = Temporary::new(name);
        io::save_state_dict(&file.0, &state()).unwrap();
        let bytes = std::fs::read(&file.0).unwrap();
        for len in 0..bytes.len() {
            assert!(!returns(&format!("{name} cut to {len} bytes"), bytes[..len].to_vec()), "{name} cut to {len} bytes was read");
        }
        for at in 0..bytes.len() {
            for bits in [0xff, 0x01] {
                let mut changed = bytes.clone();
                changed[at] ^= bits;
                returns(&format!("{name} changed at {at}"), changed);
            }
        }
    }
}

#[test]
fn files_of_other_kinds_are_refused_by_name() {
    assert!(refused(io::load("/nowhere/model.pt")).contains("/nowhere/model.pt"));
    assert!(io::load(std::env::temp_dir()).is_err());
    for bytes in [&b""[..], b"{}", b"PK\x03\x04", b"\x80\x02.", b"GIF89a", &[0; 64], &[0xff; 64]] {
        assert!(!returns("a file of another kind", bytes.to_vec()), "{bytes:?}");
    }
    // A header that claims more than there is, and one that claims overlapping tensors.
    let mut header = (1u64 << 60).to_le_bytes().to_vec();
    header.extend_from_slice(b"{}");
    assert!(!returns("a header too long", header));
    let text = br#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
    let mut overlapping = (text.len() as u64).to_le_bytes().to_vec();
    overlapping.extend_from_slice(text);
    overlapping.extend_from_slice(&[0; 16]);
    assert!(!returns("overlapping tensors", overlapping));
}

#[test]
fn every_recorded_checkpoint_is_read_or_refused() {
    let folder = golden("../files");
    let (mut read, mut refused) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e != "json") {
            let outcome = catch_unwind(|| io::load(&path)).unwrap_or_else(|_| panic!("{} panicked", path.display()));
            *(if outcome.is_ok() { &mut read } else { &mut refused }) += 1;
        }
    }
    assert!(read > 40 && read > refused, "{read} read, {refused} refused");
}

#[test]
fn what_is_no_state_dict_says_what_it_is() {
    let nested = Value::dict([("network", Value::from(state())), ("epoch", 3i64.into())]);
    assert_eq!(
        refused(nested.to_state_dict()),
        "\"network\" is a dict, not a tensor: if it is the state dict, take it with get(\"network\")"
    );
    assert!(refused(Value::List(Vec::new()).to_state_dict()).contains("not a list"));
    assert_eq!(nested.get("network").unwrap().to_state_dict().unwrap().len(), 6);
    assert!(floats(nested.get("network").unwrap().to_state_dict().unwrap().get("half").unwrap()) == [1.0, 1.0]);
}
