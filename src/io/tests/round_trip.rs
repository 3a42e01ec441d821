//! What is written reads as what it was: values of any shape, tensors of any layout, files of any size.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use rustnn_io::zip::{Archive, ArchiveWriter};
use rustnn_io::*;
use rustnn_tensor::DType;

/// A plain value as a tree, for comparing two graphs.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(Value),
    Object(Object),
    List(Vec<Tree>),
    Tuple(Vec<Tree>),
    Set(Vec<i64>),
    Dict(DictKind, Vec<(String, Tree)>, bool),
}

impl Tree {
    fn add(&self, graph: &mut Graph) -> Value {
        let object = match self {
            Tree::Leaf(value) => return value.clone(),
            Tree::Object(object) => object.clone(),
            Tree::List(items) => Object::List(items.iter().map(|item| item.add(graph)).collect()),
            Tree::Tuple(items) => Object::Tuple(items.iter().map(|item| item.add(graph)).collect()),
            Tree::Set(items) => Object::Set(items.iter().map(|&item| Value::Int(item)).collect()),
            Tree::Dict(kind, entries, has_attributes) => {
                let entries: Vec<_> = entries.iter().map(|(key, value)| (Value::from(key.as_str()), value.add(graph))).collect();
                let attributes = (*has_attributes && *kind == DictKind::OrderedDict).then(|| graph.add(Object::dict(entries.clone())));
                Object::Dict { kind: *kind, entries, attributes }
            }
        };
        Value::Object(graph.add(object))
    }
}

/// The graph below a value as text, with shared objects named by the order they are met.
fn text(graph: &Graph, root: &Value) -> String {
    let mut out = String::new();
    let mut seen = BTreeMap::new();
    // Text of what follows an object's parts, or a part.
    let mut todo: Vec<Result<Value, String>> = vec![Ok(root.clone())];
    while let Some(next) = todo.pop() {
        let id = match next {
            Err(text) => {
                out += &text;
                continue;
            }
            Ok(Value::Object(id)) => id,
            Ok(Value::Float(value)) => {
                out += &format!("float {:x} ", value.to_bits());
                continue;
            }
            Ok(value) => {
                out += &format!("{value:?} ");
                continue;
            }
        };
        let number = seen.len();
        // Python has one empty tuple only, and does not keep the identity of ints.
        if let Some(number) = seen.get(&id) {
            out += &format!("again {number} ");
            continue;
        }
        if graph[id] != Object::Tuple(Vec::new()) && !matches!(graph[id], Object::BigInt(_)) {
            seen.insert(id, number);
        }
        let mut object = graph[id].clone();
        match &mut object {
            Object::List(items) | Object::Tuple(items) => items.clear(),
            Object::Dict { entries, attributes, .. } => {
                entries.clear();
                *attributes = attributes.map(|_| ObjectId(0));
            }
            Object::Parameter { data, .. } => *data = ObjectId(0),
            Object::Complex { re, im } => out += &format!("{:x} {:x} ", re.to_bits(), im.to_bits()),
            _ => {}
        }
        out += &format!("{object:?} (");
        todo.push(Err(") ".into()));
        let first = todo.len();
        graph[id].for_each_part(|part| todo.push(Ok(part.clone())));
        todo[first..].reverse();
    }
    out
}

fn leaf() -> impl Strategy<Value = Tree> {
    let big = prop::collection::vec(any::<u8>(), 9..300).prop_map(|mut bytes| {
        // Nine bytes or more in shortest form.
        let last = bytes.len() - 1;
        bytes[last] = (bytes[last] & 0x80) | 0x41;
        Object::BigInt(bytes)
    });
    prop_oneof![
        Just(Tree::Leaf(Value::None)),
        any::<bool>().prop_map(|value| Tree::Leaf(Value::Bool(value))),
        any::<i64>().prop_map(|value| Tree::Leaf(Value::Int(value))),
        (-70_000i64..70_000).prop_map(|value| Tree::Leaf(Value::Int(value))),
        any::<f64>().prop_map(|value| Tree::Leaf(Value::Float(value))),
        any::<String>().prop_map(|text| Tree::Leaf(Value::from(text.as_str()))),
        (0..DType::ALL.len()).prop_map(|index| Tree::Leaf(Value::DType(DType::ALL[index]))),
        big.prop_map(Tree::Object),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Tree::Object(Object::Bytes(bytes))),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Tree::Object(Object::ByteArray(bytes))),
        any::<(f64, f64)>().prop_map(|(re, im)| Tree::Object(Object::Complex { re, im })),
        prop::collection::vec(any::<i64>(), 0..6).prop_map(|sizes| Tree::Object(Object::Size(sizes))),
        prop::option::of(0i64..300).prop_map(|index| Tree::Object(Object::Device { kind: "cuda".into(), index })),
        prop::collection::btree_set(any::<i64>(), 0..5).prop_map(|items| Tree::Set(items.into_iter().collect())),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let kind = prop_oneof![Just(DictKind::Dict), Just(DictKind::OrderedDict), Just(DictKind::Counter)];
    leaf().prop_recursive(6, 200, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Tree::List),
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::Tuple),
            (kind.clone(), prop::collection::vec((".{0,6}", inner), 0..8), any::<bool>())
                .prop_map(|(kind, entries, has_attributes)| Tree::Dict(kind, entries, has_attributes)),
        ]
    })
}

fn assert_kept(graph: &Graph, root: &Value) {
    let bytes = pickle::write(graph, root).unwrap();
    let (again, again_root) = pickle::read(&bytes, &Options::default()).unwrap();
    assert_eq!(text(&again, &again_root), text(graph, root));
    assert_eq!(pickle::write(&again, &again_root).unwrap(), bytes, "a second writing differs");
}

/// A tensor within a storage of 60 elements.
fn tensor() -> impl Strategy<Value = (DType, Vec<usize>, Vec<usize>, usize)> {
    let dims = prop::collection::vec((0usize..4, 0usize..6), 0..4);
    (0..DType::ALL.len(), dims, 0usize..15)
        .prop_map(|(dtype, dims, offset)| {
            let (shape, strides) = dims.into_iter().unzip();
            (DType::ALL[dtype], shape, strides, offset)
        })
        .prop_filter("within the storage", |(_, shape, strides, offset): &(_, Vec<usize>, Vec<usize>, _)| {
            let reach: usize = shape.iter().zip(strides).map(|(size, stride)| size.saturating_sub(1) * stride).sum();
            offset + reach < 60
        })
}

/// Whether safetensors have the dtype.
fn to_hold(dtype: DType) -> bool {
    !matches!(dtype, DType::C32 | DType::C128)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plain_values_survive_a_pickle(tree in tree()) {
        let mut graph = Graph::new();
        let root = tree.add(&mut graph);
        assert_kept(&graph, &root);
    }

    #[test]
    fn tensors_survive_a_checkpoint(tensors in prop::collection::vec((tensor(), 0u32..3, any::<[bool; 3]>()), 1..6)) {
        let mut graph = Graph::new();
        let mut items = Vec::new();
        for ((dtype, shape, strides, offset), storage, [requires_grad, is_parameter, is_shared]) in tensors {
            let mut tensor = Tensor::contiguous(StorageId(storage), dtype, shape);
            (tensor.strides, tensor.offset) = (strides, offset);
            let requires_grad = requires_grad && dtype.is_differentiable();
            tensor.requires_grad = requires_grad && !is_parameter;
            let mut value = Value::Object(graph.add(Object::Tensor(Box::new(tensor))));
            if let (true, Value::Object(data)) = (is_parameter, &value) {
                value = Value::Object(graph.add(Object::Parameter { data: *data, requires_grad, state: None }));
            }
            items.push(value.clone());
            if is_shared {
                items.push(value);
            }
        }
        let root = Value::Object(graph.add(Object::List(items)));
        let bytes: Vec<Vec<u8>> = (0..3u8).map(|seed| (0..60 * 16u32).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect()).collect();
        let storages = SliceStorages(bytes.iter().map(|bytes| StorageSpec { location: "cpu".into(), bytes }).collect());
        let mut file = Vec::new();
        write_checkpoint(&mut file, "archive", &graph, &root, &storages).unwrap();
        let again = read_checkpoint(file, &Options::default()).unwrap();

        // Storages are numbered by first use; give both graphs the same numbers.
        let renumber = |graph: &Graph, root: &Value, bytes: &dyn Fn(StorageId) -> Vec<u8>| {
            let mut text = text(graph, root);
            for (_, object) in graph.objects() {
                if let Object::Tensor(tensor) = object && let Some(id) = tensor.storage {
                    text = text.replace(&format!("StorageId({})", id.0), &format!("{:08x}", crc32fast::hash(&bytes(id))));
                }
            }
            text
        };
        let ours = renumber(&graph, &root, &|id| bytes[id.0 as usize].clone());
        let theirs = renumber(&again.graph, &again.root, &|id| again.read_storage(id).unwrap());
        prop_assert_eq!(theirs, ours);
    }

    #[test]
    fn safetensors_survive_a_file(
        names in prop::collection::btree_set(".{1,8}", 0..6),
        dtypes in prop::collection::vec(0..DType::ALL.len(), 6),
        shapes in prop::collection::vec(prop::collection::vec(0usize..4, 0..4), 6),
        metadata in prop::collection::btree_map(".{0,6}", ".{0,6}", 0..4),
    ) {
        let mut expected = Vec::new();
        for ((name, &dtype), shape) in names.iter().zip(&dtypes).zip(&shapes) {
            let dtype = if to_hold(DType::ALL[dtype]) { DType::ALL[dtype] } else { DType::F64 };
            let count = shape.iter().product::<usize>() * dtype.size_bytes();
            let bytes: Vec<u8> = (0..count).map(|at| (at as u8).wrapping_mul(17).wrapping_add(name.len() as u8)).collect();
            expected.push((name.clone(), dtype, shape.clone(), bytes));
        }
        let views: Vec<_> = expected.iter().map(|(name, dtype, shape, bytes)| SafeView { name, dtype: *dtype, shape, bytes }).collect();
        let mut file = Vec::new();
        write_safetensors(&mut file, &views, &metadata).unwrap();
        let again = read_safetensors(file.clone()).unwrap();
        prop_assert_eq!(&again.metadata, &metadata);
        prop_assert_eq!(again.tensors.len(), expected.len());
        for (name, dtype, shape, bytes) in &expected {
            let tensor = again.get(name).unwrap();
            prop_assert_eq!((tensor.dtype, &tensor.shape), (*dtype, shape));
            prop_assert_eq!(tensor.range.start % dtype.size_bytes() as u64, 0);
            prop_assert_eq!(&again.read(tensor).unwrap(), bytes);
        }
        let deserialized = safetensors::SafeTensors::deserialize(&file).unwrap();
        prop_assert_eq!(deserialized.len(), expected.len());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = pickle::read(&bytes, &Options::default());
        let _ = read_checkpoint(bytes.clone(), &Options::default());
        let _ = read_checkpoint([b"PK\x03\x04", &bytes[..]].concat(), &Options::default());
        let _ = read_safetensors(bytes);
    }
}

#[test]
fn cycles_and_shared_objects_survive_a_pickle() {
    let mut graph = Graph::new();
    let list = graph.add(Object::List(Vec::new()));
    let tuple = graph.add(Object::Tuple(vec![Value::Object(list), Value::Int(1), Value::Int(2), Value::Int(3)]));
    let dict = graph.add(Object::dict(vec![(Value::Object(tuple), Value::Object(list))]));
    graph[list] = Object::List(vec![Value::Object(list), Value::Object(dict), Value::Object(tuple)]);
    for root in [list, tuple, dict] {
        assert_kept(&graph, &Value::Object(root));
    }
}

#[test]
fn a_value_nested_a_million_deep_neither_overflows_nor_hangs() {
    let mut graph = Graph::new();
    let mut value = Value::None;
    for depth in 0..1_000_000 {
        value = Value::Object(graph.add(if depth % 2 == 0 { Object::List(vec![value]) } else { Object::Tuple(vec![value]) }));
    }
    let bytes = pickle::write(&graph, &value).unwrap();
    let error = pickle::read(&bytes, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("nested deeper than 10000"), "{error}");
    let limits = Limits { depth: 1_000_000, ..Limits::default() };
    let (again, root) = pickle::read(&bytes, &Options { limits, ..Options::default() }).unwrap();
    assert_eq!(again.build_order(&root, 1_000_000).unwrap().len(), 1_500_000);
}

#[test]
fn one_storage_of_two_dtypes_is_written_untyped_and_shared() {
    let mut graph = Graph::new();
    let floats = graph.add(Object::Tensor(Box::new(Tensor::contiguous(StorageId(0), DType::F32, vec![2]))));
    let ints = graph.add(Object::Tensor(Box::new(Tensor::contiguous(StorageId(0), DType::I32, vec![2]))));
    let root = Value::Object(graph.add(Object::List(vec![Value::Object(floats), Value::Object(ints)])));
    let storages = SliceStorages(vec![StorageSpec { location: "cpu".into(), bytes: &[0; 8] }]);
    let mut file = Vec::new();
    write_checkpoint(&mut file, "archive", &graph, &root, &storages).unwrap();
    let again = read_checkpoint(file, &Options::default()).unwrap();
    assert_eq!((again.storages.len(), again.storages[0].dtype), (1, None));
    let dtypes: Vec<DType> = match again.graph.object(&again.root) {
        Some(Object::List(items)) => items.iter().map(|item| again.graph.tensor(item).unwrap().dtype).collect(),
        _ => panic!("not a list"),
    };
    assert_eq!(dtypes, [DType::F32, DType::I32]);
}

#[test]
fn tensors_that_reach_beyond_their_storage_are_not_written() {
    let mut graph = Graph::new();
    let tensor = graph.add(Object::Tensor(Box::new(Tensor::contiguous(StorageId(0), DType::F32, vec![3]))));
    let storages = SliceStorages(vec![StorageSpec { location: "cpu".into(), bytes: &[0; 8] }]);
    let error = write_checkpoint(&mut Vec::new(), "a", &graph, &Value::Object(tensor), &storages).unwrap_err();
    assert!(matches!(&error, Error::Value(text) if text.contains("out of bounds for a storage of 8 bytes")), "{error}");
    let error = write_checkpoint(&mut Vec::new(), "a", &graph, &Value::Object(tensor), &SliceStorages(Vec::new())).unwrap_err();
    assert!(error.to_string().contains("storage 0 does not exist"), "{error}");
}

#[test]
fn archives_of_more_than_65535_records_are_read_back() {
    let mut file = Vec::new();
    let mut writer = ArchiveWriter::new(&mut file);
    for index in 0..70_000u32 {
        writer.add(&format!("a/{index}"), &index.to_le_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let archive = Archive::open(Source::from(file), &Limits::default()).unwrap();
    assert_eq!(archive.records().len(), 70_000);
    let record = archive.record("a/69999").unwrap();
    assert_eq!(archive.read(record, true).unwrap(), 69_999u32.to_le_bytes());
    assert!(archive.records().iter().all(|record| record.offset % 64 == 0));
}

/// A fresh folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("rustnn-io-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A storage whose data fails, or says a wrong length.
struct Failing {
    announced: u64,
}

impl StorageWriter for Failing {
    fn len_bytes(&self, _: StorageId) -> Option<u64> {
        Some(self.announced)
    }

    fn location(&self, _: StorageId) -> Cow<'_, str> {
        "cpu".into()
    }

    fn write_to(&self, _: StorageId, out: &mut dyn Write) -> Result<()> {
        out.write_all(&[1; 64])?;
        if self.announced == 128 { Err(std::io::Error::other("the device is gone").into()) } else { Ok(()) }
    }
}

#[test]
fn a_failed_save_leaves_the_old_file_and_nothing_else() {
    let folder = Folder::new("failed");
    let path = folder.0.join("model.pt");
    std::fs::write(&path, "old").unwrap();
    let mut graph = Graph::new();
    let root = Value::Object(graph.add(Object::Tensor(Box::new(Tensor::contiguous(StorageId(0), DType::U8, vec![8])))));
    for (announced, text) in
        [(128, "the device is gone"), (65, "announced with 65 bytes, but 64 were written"), (63, "more than the announced")]
    {
        let error = save_checkpoint(&path, &graph, &root, &Failing { announced }).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(folder.names(), ["model.pt"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }
    save_checkpoint(&path, &graph, &root, &Failing { announced: 64 }).unwrap();
    assert_eq!(folder.names(), ["model.pt"]);
    let checkpoint = load_checkpoint(&path, &Options::default()).unwrap();
    assert_eq!(checkpoint.read_storage(StorageId(0)).unwrap(), [1; 64]);
    assert!(checkpoint.archive().unwrap().record("model/data.pkl").is_some());
    let range = checkpoint.file_range(StorageId(0)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap()[range.start as usize..range.end as usize], [1; 64]);
}

#[test]
fn a_save_does_not_disturb_readers_of_the_old_file() {
    let folder = Folder::new("readers");
    let path = folder.0.join("model.pt");
    let mut graph = Graph::new();
    let root = Value::Object(graph.add(Object::Tensor(Box::new(Tensor::contiguous(StorageId(0), DType::U8, vec![3])))));
    let save = |bytes: &[u8]| {
        let storages = SliceStorages(vec![StorageSpec { location: "cpu".into(), bytes }]);
        save_checkpoint(&path, &graph, &root, &storages).unwrap();
    };
    save(b"one");
    let old = load_checkpoint(&path, &Options::default()).unwrap();
    save(b"two");
    assert_eq!(old.read_storage(StorageId(0)).unwrap(), b"one");
    assert_eq!(load_checkpoint(&path, &Options::default()).unwrap().read_storage(StorageId(0)).unwrap(), b"two");
}

#[cfg(unix)]
#[test]
fn a_save_keeps_permissions_and_follows_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new("links");
    let (path, link) = (folder.0.join("model.pt"), folder.0.join("link.pt"));
    std::fs::write(&path, "old").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("model.pt", &link).unwrap();
    write_atomically(&link, |out| Ok(out.write_all(b"new")?)).unwrap();
    assert!(std::fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    assert!(write_atomically(&path, |_| Ok(())).is_err(), "a read-only file is not replaced");
    write_atomically(std::path::Path::new("/dev/null"), |out| Ok(out.write_all(b"gone")?)).unwrap();
}

#[test]
fn errors_of_the_file_system_name_the_path() {
    let folder = Folder::new("errors");
    let missing = folder.0.join("missing/model.pt");
    for error in [
        load_checkpoint(&missing, &Options::default()).map(|_| ()).unwrap_err(),
        load_safetensors(&missing).map(|_| ()).unwrap_err(),
        inspect(&missing, &Options::default()).map(|_| ()).unwrap_err(),
        write_atomically(&missing, |_| Ok(())).unwrap_err(),
        load_checkpoint(&folder.0, &Options::default()).map(|_| ()).unwrap_err(),
        write_atomically(&folder.0, |_| Ok(())).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Os, "{error}");
        assert!(error.to_string().contains(folder.0.to_str().unwrap()), "{error}");
        assert!(error.os_error().is_some());
    }
}

#[test]
fn safetensors_that_cannot_be_are_not_written() {
    let refuse = |views: &[SafeView], expected: &str| {
        let error = write_safetensors(&mut Vec::new(), views, &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let view = |name, dtype, bytes| SafeView { name, dtype, shape: &[2], bytes };
    refuse(&[view("a", DType::U8, &[0; 2]), view("a", DType::U8, &[0; 2])], "used twice");
    refuse(&[view("__metadata__", DType::U8, &[0; 2])], "reserved");
    refuse(&[view("a", DType::F32, &[0; 2])], "does not have 2 bytes");
    refuse(&[view("a", DType::C128, &[0; 32])], "cannot hold complex128");
}

#[test]
fn the_archive_is_named_as_pytorch_names_it() {
    for (path, name) in
        [("a/model.pt", "model"), ("model.tar.gz", "model.tar"), ("model", "model"), ("häuser.pt", "archive"), ("", "archive")]
    {
        assert_eq!(archive_name(std::path::Path::new(path)), name, "{path}");
    }
}
