//! Programs that Python recorded, run without it: outputs and gradients are those of the modules.
//! `tests/golden/record_programs.py` makes the files.

use rustnn::export::{Graph, Guard, Program, Read, Relation, Size, Term, Value};
use rustnn::{DType, Tensor, autograd};
use rustnn_io::{SafeTensors, SafeView};
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/programs")).join(format!("{name}.safetensors"))
}

struct Cases(SafeTensors);

impl Cases {
    fn of(name: &str) -> Cases {
        Cases(rustnn_io::load_safetensors(&golden(&format!("{name}.cases"))).expect("recorded cases"))
    }

    fn get(&self, name: &str) -> Option<Tensor> {
        let found = self.0.get(name)?;
        let bytes = self.0.read(found).expect("its bytes");
        Some(Tensor::from_bytes(&bytes, &found.shape, found.dtype).expect("a tensor"))
    }

    fn list(&self, prefix: &str) -> Vec<Tensor> {
        (0..).map_while(|i| self.get(&format!("{prefix}.{i}"))).collect()
    }
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).and_then(|t| t.to_vec()).expect("numbers")
}

fn assert_near(found: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!((found.shape(), found.dtype()), (expected.shape(), expected.dtype()), "{what}");
    for (a, b) in numbers(found).into_iter().zip(numbers(expected)) {
        assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0) || a == b, "{what}: {a} for {b}");
    }
}

const NAMES: [&str; 6] = ["mlp", "cnn", "gpt", "gpt_loss", "lstm", "writes"];

#[test]
fn programs_give_what_their_modules_gave() {
    for name in NAMES {
        let (program, cases) = (Program::load(golden(name)).expect(name), Cases::of(name));
        for case in 0..2 {
            let found = program.infer(&cases.list(&format!("{case}.input"))).expect(name);
            let expected = cases.list(&format!("{case}.output"));
            assert_eq!(found.len(), expected.len());
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert!(!found.requires_grad());
                assert_near(found, expected, &format!("{name}, case {case}, output {i}"));
            }
        }
    }
}

#[test]
fn programs_have_the_gradients_of_their_modules() {
    for name in NAMES {
        let (program, cases) = (Program::load(golden(name)).expect(name), Cases::of(name));
        for case in 0..2 {
            let outputs = program.forward(&cases.list(&format!("{case}.input"))).expect(name);
            let sums = outputs.iter().filter(|t| t.requires_grad()).map(Tensor::sum);
            let total = sums.reduce(|a, b| a?.add(&b?)).expect("an output that requires grad").expect("a sum");
            program.parameters().for_each(|(_, p)| p.set_grad(None).expect("a leaf"));
            total.backward().expect(name);
            for (weight, p) in program.parameters() {
                match cases.get(&format!("{case}.grad.{weight}")) {
                    Some(expected) => assert_near(&p.grad().expect(weight), &expected, &format!("{name}, case {case}, {weight}")),
                    None => assert!(p.grad().is_none(), "{name}: {weight}"),
                }
            }
        }
    }
}

#[test]
fn a_saved_program_is_the_same_program() {
    for name in NAMES {
        let bytes = std::fs::read(golden(name)).expect(name);
        let program = Program::from_bytes(bytes.clone()).expect(name);
        assert!(program.to_bytes().expect(name) == bytes, "{name}");
        let path = std::env::temp_dir().join(format!("{name}-{}.safetensors", std::process::id()));
        program.save(&path).expect(name);
        assert!(std::fs::read(&path).expect(name) == bytes);
        std::fs::remove_file(path).expect("it was there");
    }
}

#[test]
fn many_threads_run_one_program() {
    let (program, cases) = (Program::load(golden("gpt")).expect("a program"), Cases::of("gpt"));
    std::thread::scope(|scope| {
        for case in [0, 1, 0, 1] {
            let (program, inputs) = (&program, cases.list(&format!("{case}.input")));
            let expected = cases.list(&format!("{case}.output"));
            scope.spawn(move || {
                for _ in 0..10 {
                    assert_near(&program.infer(&inputs).expect("outputs")[0], &expected[0], "in a thread");
                }
            });
        }
    });
}

#[test]
fn weights_are_set_by_name() {
    let mut program = Program::load(golden("gpt")).expect("a program");
    let (tokens, cases) = (program.weight("tokens.weight").expect("a weight").clone(), Cases::of("gpt"));
    assert!(program.weight("head.weight").expect("its other name").same(&tokens));
    let other = program.clone();
    let zeros = tokens.zeros_like().expect("zeros");
    program.set_weight("head.weight", zeros.clone()).expect("the same shape");
    let inputs = cases.list("0.input");
    assert!(numbers(&program.infer(&inputs).expect("outputs")[0]).iter().all(|&v| v == 0.0));
    assert_near(&other.infer(&inputs).expect("outputs")[0], &cases.list("0.output")[0], "the clone");
    assert!(program.set_weight("nothing", zeros.clone()).is_err());
    assert!(program.set_weight("norm.weight", zeros).is_err());
}

#[test]
fn wrong_inputs_are_errors_that_name_them() {
    let program = Program::load(golden("gpt_loss")).expect("a program");
    let ints = |shape: &[usize]| Tensor::new(&vec![1i64; shape.iter().product()], shape).expect("ints");
    let floats = Tensor::new(&[1.0f32; 14], [2, 7]).expect("floats");
    let big = Tensor::new(&[99i64; 14], [2, 7]).expect("ints");
    for (inputs, word) in [
        (vec![], "takes 2 tensors, got 0"),
        (vec![ints(&[2, 7])], "got 1"),
        (vec![ints(&[2, 7]), ints(&[3, 7])], "inputs differ in batch: 2 and 3 (input targets)"),
        (vec![ints(&[2, 8]), ints(&[2, 7])], "input tokens is int64[batch, 7] in the program, got int64[2, 8]"),
        (vec![ints(&[7]), ints(&[2, 7])], "got int64[7]"),
        (vec![floats, ints(&[2, 7])], "got float32[2, 7]"),
        (vec![ints(&[0, 7]), ints(&[0, 7])], "batch = 0, outside of 1"),
        (vec![big, ints(&[2, 7])], "embedding()"),
    ] {
        let error = program.forward(&inputs).expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn guards_say_which_sizes_a_program_takes() {
    let program = Program::load(golden("steps")).expect("a program");
    let again = Program::from_bytes(program.to_bytes().expect("bytes")).expect("the program again");
    let x = |batch: usize, length: usize| [Tensor::new(&vec![1.0f32; batch * length], [batch, length]).expect("floats")];
    for program in [program, again] {
        let limits: Vec<_> = program.symbols().iter().map(|s| (s.name.as_str(), s.min, s.max)).collect();
        assert_eq!(limits, [("batch", 1, i64::from(i32::MAX)), ("length", 2, 32)]);
        assert_eq!(program.guards().iter().map(|g| g.text(program.symbols())).collect::<Vec<_>>(), ["length % 2 == 0"]);
        // Dropout drew otherwise for a batch of one, once.
        for (batch, length) in [(1, 2), (1, 8), (7, 32), (100, 4)] {
            assert_eq!(program.infer(&x(batch, length)).expect("outputs")[0].shape(), [batch, length / 2, 3]);
        }
        for (length, word) in
            [(9, "the program was made for length % 2 == 0, got batch = 2, length = 9"), (40, "length = 40, outside of 2 to 32")]
        {
            assert!(program.check(&x(2, length)).is_err());
            let error = program.infer(&x(2, length)).expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}

#[test]
fn sizes_that_python_read_are_what_they_were_taken_for() {
    let mut graph = Program::load(golden("steps")).expect("a program").graph().clone();
    let length = graph.inputs[0].shape[1].clone();
    let shortened = graph.nodes.iter_mut().find(|node| node.op == "slice").expect("a slice");
    shortened.reads = vec![Read { out: 0, dim: 1, size: length.clone() }];
    let x = [Tensor::new(&[1.0f32; 8], [1, 8]).expect("floats")];
    Program::new(graph.clone()).expect("a program").infer(&x).expect("the size that was read");
    for (out, dim, size) in [(0, 1, Size::Known(3)), (0, 0, length.clone()), (0, 9, length.clone())] {
        graph.nodes.iter_mut().find(|node| node.op == "slice").expect("a slice").reads = vec![Read { out, dim, size }];
        let error = Program::new(graph.clone()).expect("a program").infer(&x).expect_err("another size").to_string();
        assert!(error.contains("result of call 0 of the program, slice()"), "{error}");
    }
}

#[test]
fn what_inference_gives_is_the_callers() {
    let program = Program::load(golden("steps")).expect("a program");
    let x = [Tensor::new(&[1.0f32; 8], [1, 8]).expect("floats")];
    let given = program.infer(&x).expect("outputs");
    let before = numbers(&given[1]);
    given[1].fill_(0.0).expect("zeros");
    assert_eq!(numbers(&program.infer(&x).expect("outputs")[1]), before);
    assert!(before.iter().any(|&v| v != 0.0) && numbers(&given[1]).iter().all(|&v| v == 0.0));
    // What training needs has its history.
    assert!(program.forward(&x).expect("outputs")[1].requires_grad());
}

/// The golden MLP's file with other metadata.
fn with_metadata(change: impl Fn(&mut std::collections::BTreeMap<String, String>)) -> Vec<u8> {
    let file = rustnn_io::load_safetensors(&golden("mlp")).expect("a file");
    let mut metadata = file.metadata.clone();
    change(&mut metadata);
    let data: Vec<Vec<u8>> = file.tensors.iter().map(|t| file.read(t).expect("bytes")).collect();
    let view = |(t, bytes): (&rustnn_io::SafeTensor, &Vec<u8>)| (t.name.clone(), t.dtype, t.shape.clone(), bytes.clone());
    let owned: Vec<_> = file.tensors.iter().zip(&data).map(view).collect();
    let views: Vec<SafeView> = owned.iter().map(|(name, dtype, shape, bytes)| SafeView { name, dtype: *dtype, shape, bytes }).collect();
    let mut out = Vec::new();
    rustnn_io::write_safetensors(&mut out, &views, &metadata).expect("a file");
    out
}

/// What Python's tests try one by one (`tests/test_export.py`) in bulk: each place of the text cut, and each character changed.
#[test]
fn no_graph_panics() {
    let text = rustnn_io::load_safetensors(&golden("mlp")).expect("a file").metadata["program"].clone();
    let x = Tensor::new(&[0.5f32; 8], [2, 4]).expect("floats");
    let attempt = |graph: String| {
        let file = with_metadata(|metadata| drop(metadata.insert("program".into(), graph.clone())));
        Program::from_bytes(file).map(|program| drop(program.forward(std::slice::from_ref(&x))))
    };
    for at in (0..text.len()).filter(|&at| text.is_char_boundary(at)) {
        assert!(attempt(text[..at].into()).is_err(), "cut at {at}");
        for other in ["9", "-", "\"", "[", "t"] {
            let mut changed = text.clone();
            changed.replace_range(at..at + 1, other);
            let _ = attempt(changed);
        }
    }
    assert!(attempt(text).is_ok());
}

#[test]
fn no_cut_or_changed_file_panics() {
    let bytes = std::fs::read(golden("mlp")).expect("a file");
    let x = Tensor::new(&[0.5f32; 8], [2, 4]).expect("floats");
    for at in 0..bytes.len() {
        assert!(Program::from_bytes(bytes[..at].to_vec()).is_err(), "cut at {at}");
        for byte in [0, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
            let mut changed = bytes.clone();
            changed[at] = byte;
            if let Ok(program) = Program::from_bytes(changed) {
                let _ = program.infer(std::slice::from_ref(&x));
            }
        }
    }
}

/// As the target in `fuzz/` reads them: the first byte says whether a file follows or the graph alone.
#[test]
fn what_fuzzing_found_runs_or_is_an_error() {
    let x = Tensor::new(&[0.5f32; 8], [2, 4]).expect("floats");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/program");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let data = std::fs::read(entry.expect("a file").path()).expect("bytes");
        let Some((kind, rest)) = data.split_first() else { continue };
        let graph = || String::from_utf8(rest.to_vec()).ok();
        let file = if kind % 2 == 0 {
            Some(rest.to_vec())
        } else {
            graph().map(|g| with_metadata(|m| drop(m.insert("program".into(), g.clone()))))
        };
        if let Some(Ok(program)) = file.map(Program::from_bytes) {
            let _ = program.forward(std::slice::from_ref(&x));
            assert!(program.to_bytes().is_ok_and(|bytes| Program::from_bytes(bytes).is_ok()), "what was read is written");
        }
        count += 1;
    }
    assert!(count > 10, "{count}");
}

#[test]
fn other_formats_and_versions_are_refused() {
    for (key, value) in [("format", "pt"), ("version", "3"), ("version", "0"), ("version", "1.0"), ("program", "")] {
        assert!(Program::from_bytes(with_metadata(|m| drop(m.insert(key.into(), value.into())))).is_err(), "{key} {value}");
        assert!(Program::from_bytes(with_metadata(|m| drop(m.remove(key)))).is_err(), "no {key}");
    }
}

#[test]
fn graphs_made_by_hand_are_checked_too() {
    let program = Program::load(golden("mlp")).expect("a program");
    let broken = |change: &dyn Fn(&mut Graph)| {
        let mut graph = program.graph().clone();
        change(&mut graph);
        Program::new(graph).is_err()
    };
    assert!(!broken(&|_| {}));
    assert!(broken(&|g| g.nodes[0].op = "nothing".into()));
    assert!(broken(&|g| g.nodes[1].outs = vec![100]));
    assert!(broken(&|g| g.nodes[0].args[0].1 = Value::Tensor(100)));
    assert!(broken(&|g| g.nodes[0].args[0].1 = Value::Tensors(vec![None])));
    assert!(broken(&|g| g.outputs = vec![100]));
    assert!(broken(&|g| g.inputs[0].shape[0] = Size::Known(3)));
    assert!(broken(&|g| g.inputs[0].shape[0] = Size::of_symbol(5)));
    let guard = |symbol: usize, is| Guard { terms: vec![Term { coefficient: 1, symbols: vec![symbol] }], is };
    assert!(!broken(&|g| g.guards = vec![guard(0, Relation::NotZero)]));
    assert!(broken(&|g| g.guards = vec![guard(1, Relation::NotZero)]));
    assert!(broken(&|g| g.guards = vec![guard(0, Relation::Multiple(0))]));
    assert!(broken(&|g| g.nodes[0].reads = vec![Read { out: 1, dim: 0, size: Size::Known(1) }]));
    assert!(broken(&|g| g.nodes[0].reads = vec![Read { out: 0, dim: 0, size: Size::of_symbol(1) }]));
    assert!(broken(&|g| g.nodes[0].args.push(("scale".into(), Value::Int(Size::of_symbol(9))))));
}

#[test]
fn inference_records_nothing_and_leaves_the_mode_alone() {
    let (program, cases) = (Program::load(golden("mlp")).expect("a program"), Cases::of("mlp"));
    assert!(!program.infer(&cases.list("0.input")).expect("outputs")[0].requires_grad());
    assert!(autograd::is_enabled());
    assert!(program.forward(&cases.list("0.input")).expect("outputs")[0].requires_grad());
}
