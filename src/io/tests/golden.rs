//! Checkpoints that PyTorch 2.13 wrote (tests/golden/files/record.py) read as what they are, and are written back so that
//! they read the same.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustnn_io::*;
use serde_json::{Value as Json, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/files")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Little-endian two's complement as decimal digits.
fn decimal(bytes: &[u8]) -> String {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in &mut magnitude {
            (*byte, carry) = (!*byte).overflowing_add(carry as u8);
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|&byte| byte != 0) {
        let mut rest = 0u32;
        for byte in magnitude.iter_mut().rev() {
            let value = rest * 256 + u32::from(*byte);
            (*byte, rest) = ((value / 10) as u8, value % 10);
        }
        digits.push(char::from(b'0' + rest as u8));
    }
    if negative {
        digits.push('-');
    }
    digits.iter().rev().collect()
}

/// The same JSON as `Description` of record.py.
struct Description<'a> {
    checkpoint: &'a Checkpoint,
    objects: HashMap<ObjectId, usize>,
    storages: HashMap<StorageId, usize>,
}

impl Description<'_> {
    fn new(checkpoint: &Checkpoint) -> Description<'_> {
        Description { checkpoint, objects: HashMap::new(), storages: HashMap::new() }
    }

    fn storage(&mut self, id: StorageId) -> usize {
        let next = self.storages.len();
        *self.storages.entry(id).or_insert(next)
    }

    fn tensor(&mut self, tensor: &Tensor) -> Json {
        let bytes = match tensor.storage {
            None => Vec::new(),
            Some(id) => {
                let storage = self.checkpoint.read_storage(id).unwrap();
                let width = tensor.dtype.size_bytes();
                let mut bytes = Vec::new();
                for flat in 0..tensor.element_count().unwrap() {
                    let (mut rest, mut at) = (flat, tensor.offset);
                    for (size, stride) in tensor.shape.iter().zip(&tensor.strides).rev() {
                        at += rest % size * stride;
                        rest /= size;
                    }
                    bytes.extend_from_slice(&storage[at * width..(at + 1) * width]);
                }
                bytes
            }
        };
        json!({
            "dtype": tensor.dtype.name(),
            "shape": tensor.shape,
            "strides": tensor.strides,
            "offset": tensor.offset,
            "storage": tensor.storage.map(|id| self.storage(id)),
            "requires_grad": tensor.requires_grad,
            "conj": tensor.conj,
            "neg": tensor.neg,
            "attributes": tensor.attributes.map(|id| self.value(&Value::Object(id))),
            "bytes": hex(&bytes),
        })
    }

    fn entries(&mut self, entries: &[(Value, Value)]) -> Json {
        entries.iter().map(|(key, value)| json!([self.value(key), self.value(value)])).collect()
    }

    fn items(&mut self, items: &[Value]) -> Vec<Json> {
        items.iter().map(|item| self.value(item)).collect()
    }

    fn value(&mut self, value: &Value) -> Json {
        let id = match value {
            Value::None => return Json::Null,
            Value::Bool(value) => return json!(value),
            Value::Int(value) => return json!({"int": value.to_string()}),
            Value::Float(value) => return json!({"float": hex(&value.to_be_bytes())}),
            Value::Str(text) => return json!(&**text),
            Value::DType(dtype) => return json!({"dtype": format!("torch.{}", dtype.name())}),
            Value::Object(id) => *id,
        };
        let object = &self.checkpoint.graph[id];
        match object {
            Object::BigInt(bytes) => return json!({"int": decimal(bytes)}),
            Object::Tuple(items) => return json!({"tuple": self.items(items)}),
            Object::Size(sizes) => return json!({"size": sizes}),
            Object::Device { kind, index } => return json!({"device": [&**kind, index]}),
            Object::Layout(layout) => return json!({"layout": &**layout}),
            Object::Complex { re, im } => return json!({"complex": [self.value(&Value::Float(*re)), self.value(&Value::Float(*im))]}),
            Object::Bytes(bytes) => return json!({"bytes": hex(bytes)}),
            Object::ByteArray(bytes) => return json!({"bytearray": hex(bytes)}),
            _ => {}
        }
        if let Some(number) = self.objects.get(&id) {
            return json!({"again": number});
        }
        self.objects.insert(id, self.objects.len());
        match object {
            Object::List(items) => json!({"list": self.items(items)}),
            Object::Set(items) | Object::FrozenSet(items) => {
                let mut items = self.items(items);
                items.sort_by_key(|item| item.to_string());
                json!({object.type_name(): items})
            }
            Object::Dict { kind, entries, attributes } => {
                let kind = match kind {
                    DictKind::Dict => "dict",
                    DictKind::OrderedDict => "OrderedDict",
                    DictKind::Counter => "Counter",
                };
                let mut result = json!({kind: self.entries(entries)});
                if let Some(attributes) = attributes {
                    result["attributes"] = self.value(&Value::Object(*attributes));
                }
                result
            }
            Object::Tensor(tensor) => json!({"tensor": self.tensor(tensor)}),
            Object::Parameter { data, requires_grad, state } => {
                let Object::Tensor(tensor) = &self.checkpoint.graph[*data] else { panic!("a parameter without a tensor") };
                json!({
                    "parameter": self.tensor(tensor),
                    "requires_grad": requires_grad,
                    "state": state.as_ref().map(|state| self.value(state)),
                })
            }
            Object::Storage(storage) => json!({
                "storage": self.storage(storage.storage),
                "len": storage.len_bytes,
                "dtype": storage.dtype.map(|dtype| format!("torch.{}", dtype.name())),
            }),
            other => panic!("no description of {other:?}"),
        }
    }
}

fn describe(checkpoint: &Checkpoint) -> Json {
    Description::new(checkpoint).value(&checkpoint.root)
}

/// The recorded cases: name, file, content.
fn recorded() -> Vec<(String, PathBuf, Json)> {
    let mut cases: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let content = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), path.with_extension("pt"), content)
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(cases.len() > 45, "only {} recorded cases found", cases.len());
    cases
}

/// The storages of a read checkpoint, for writing it again.
struct Reread<'a>(&'a Checkpoint);

impl StorageWriter for Reread<'_> {
    fn len_bytes(&self, id: StorageId) -> Option<u64> {
        self.0.storages.get(id.0 as usize).map(|storage| storage.len_bytes)
    }

    fn location(&self, id: StorageId) -> std::borrow::Cow<'_, str> {
        (&*self.0.storages[id.0 as usize].location).into()
    }

    fn write_to(&self, id: StorageId, out: &mut dyn std::io::Write) -> Result<()> {
        Ok(out.write_all(&self.0.read_storage(id)?)?)
    }
}

fn rewrite(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut file = Vec::new();
    write_checkpoint(&mut file, "archive", &checkpoint.graph, &checkpoint.root, &Reread(checkpoint)).unwrap();
    file
}

#[test]
fn recorded_checkpoints_read_as_what_they_are() {
    for (name, path, content) in recorded() {
        let checkpoint = load_checkpoint(&path, &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(checkpoint.format, if name.starts_with("legacy") { Format::Legacy } else { Format::Zip }, "{name}");
        assert_eq!(describe(&checkpoint), content, "{name}");
    }
}

#[test]
fn a_file_reads_the_same_from_memory() {
    for (name, path, content) in recorded() {
        let checkpoint = read_checkpoint(std::fs::read(path).unwrap(), &Options::default()).unwrap();
        assert_eq!(describe(&checkpoint), content, "{name}");
    }
}

#[test]
fn rewritten_checkpoints_read_the_same() {
    for (name, path, content) in recorded() {
        let file = rewrite(&load_checkpoint(&path, &Options::default()).unwrap());
        let again = read_checkpoint(file.clone(), &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(describe(&again), content, "{name}");
        assert_eq!(rewrite(&again), file, "{name}: a second rewrite differs");
    }
}

#[test]
fn checkpoints_rewritten_in_the_old_format_read_the_same() {
    for (name, path, content) in recorded() {
        let checkpoint = load_checkpoint(&path, &Options::default()).unwrap();
        let options = WriteOptions { is_legacy: true, ..WriteOptions::default() };
        let mut file = Vec::new();
        write_checkpoint_with(&mut file, "archive", &checkpoint.graph, &checkpoint.root, &Reread(&checkpoint), &options).unwrap();
        let again = read_checkpoint(file, &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(again.format, Format::Legacy, "{name}");
        // Bytes by themselves come back as numbers of one byte, as in PyTorch.
        let content = content.to_string().replace(r#""dtype":null"#, r#""dtype":"torch.uint8""#);
        assert_eq!(describe(&again).to_string(), content, "{name}");
    }
}

#[test]
fn rewritten_pickles_are_pytorchs_bytes() {
    for (name, path, _) in recorded() {
        // Equal strings are one memo here, which Python does only for the same string object.
        if name.starts_with("legacy") || name.starts_with("protocol") || name == "plain" || name == "bits" {
            continue;
        }
        let checkpoint = load_checkpoint(&path, &Options::default()).unwrap();
        let again = read_checkpoint(rewrite(&checkpoint), &Options::default()).unwrap();
        let pickle = |checkpoint: &Checkpoint| {
            let archive = checkpoint.archive().unwrap();
            let record = archive.records().iter().find(|record| record.name.ends_with("/data.pkl")).unwrap();
            archive.read(record, true).unwrap()
        };
        assert_eq!(hex(&pickle(&again)), hex(&pickle(&checkpoint)), "{name}");
    }
}

#[test]
fn the_oldest_tar_format_reads() {
    let checkpoint = load_checkpoint(&folder().join("tar.pt"), &Options::default()).unwrap();
    assert_eq!(checkpoint.format, Format::Tar);
    let description = describe(&checkpoint);
    let entries = description["dict"].as_array().unwrap();
    assert_eq!(entries[0][1]["tensor"]["shape"], json!([2, 3]));
    let floats = |values: &[f32]| json!(hex(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()));
    assert_eq!(entries[0][1]["tensor"]["bytes"], floats(&[0., 1., 2., 3., 4., 5.]));
    // Element 1 of the view that starts at element 2, stride 2.
    assert_eq!(entries[1][1]["tensor"]["bytes"], floats(&[3., 5.]));
    assert_eq!(entries[1][1]["tensor"]["storage"], json!(0));
    assert_eq!(entries[2][1], json!({"int": "3"}));
}

#[test]
fn build_order_creates_every_object_once_and_after_its_parts() {
    for (name, path, _) in recorded() {
        let checkpoint = load_checkpoint(&path, &Options::default()).unwrap();
        let graph = &checkpoint.graph;
        let (mut created, mut filled) = (vec![false; graph.len()], vec![false; graph.len()]);
        for step in graph.build_order(&checkpoint.root, 100).unwrap() {
            match step {
                Step::Create(id) => {
                    assert!(!std::mem::replace(&mut created[id.0 as usize], true), "{name}");
                    if !graph[id].is_container() {
                        graph[id]
                            .for_each_part(|part| assert!(!matches!(part, Value::Object(part) if !created[part.0 as usize]), "{name}"));
                    }
                }
                Step::Fill(id) => {
                    assert!(graph[id].is_container() && created[id.0 as usize], "{name}");
                    assert!(!std::mem::replace(&mut filled[id.0 as usize], true), "{name}");
                    graph[id].for_each_part(|part| assert!(!matches!(part, Value::Object(part) if !created[part.0 as usize]), "{name}"));
                }
            }
        }
        if let Value::Object(id) = checkpoint.root {
            assert!(created[id.0 as usize], "{name}");
        }
    }
}

#[test]
fn inspection_lists_tensors_by_name_and_what_a_file_needs() {
    let summary = inspect(&folder().join("adam.pt"), &Options::default()).unwrap();
    assert_eq!(summary.format, Format::Zip);
    let weight = &summary.tensors[0];
    assert_eq!((weight.name.as_str(), &weight.shape[..], weight.is_parameter), ("model.first.weight", &[4, 3][..], false));
    assert!(summary.tensors.iter().any(|tensor| tensor.name == "optimizer.state.0.exp_avg"));
    assert!(summary.globals.iter().all(|global| global.is_allowed));
    assert!(summary.storage_bytes < summary.file_bytes);

    // A file that does not load says what it would need.
    let pickle = b"\x80\x02cmy.module\nModel\n)\x81}X\x01\x00\x00\x00wcos\nsystem\nsb.";
    let mut file = Vec::new();
    let mut archive = zip::ArchiveWriter::new(&mut file);
    archive.add("a/data.pkl", pickle).unwrap();
    archive.finish().unwrap();
    assert!(read_checkpoint(file.clone(), &Options::default()).is_err());
    let names: Vec<_> =
        inspect_source(file, &Options::default()).unwrap().globals.into_iter().map(|global| (global.name, global.is_allowed)).collect();
    assert_eq!(names, [("my.module.Model".to_owned(), false), ("os.system".to_owned(), false)]);
}
