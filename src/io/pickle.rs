//! Pickles by themselves: plain values without tensors, both ways; and the writer that checkpoints share.
//!
//! The writer emits protocol 2, the bytes that Python's C pickler emits for the same objects (memo numbers, batches of
//! 1000), so that every PyTorch reads it. It keeps a stack of steps instead of recursing.

use std::collections::HashMap;
use std::sync::Arc;

use rustnn_tensor::DType;

use crate::error::{Error, Result};
use crate::globals;
use crate::unpickle::{Options, read_pickle};
use crate::value::{DictKind, Graph, Instance, Object, ObjectId, StorageId, Value};

/// Items between two marks, as Python's pickler writes them.
const BATCH: usize = 1000;

/// How often an unfinished tuple may be begun again through cycles.
const MAX_TURNS: usize = 100;

/// Reads a pickle of plain values; persistent ids (storages) are refused.
pub fn read(bytes: &[u8], options: &Options) -> Result<(Graph, Value)> {
    let mut graph = Graph::new();
    let mut refuse = |_: &mut Graph, _: &Value| {
        Err(Error::Pickle { offset: 0, message: "unsupported persistent id encountered: this pickle is part of a checkpoint".into() })
    };
    let (value, _) = read_pickle(bytes, &mut graph, options, &mut refuse)?;
    graph.build_order(&value, options.limits.depth)?;
    Ok((graph, value))
}

/// Writes a pickle (protocol 2) of plain values.
///
/// # Errors
/// If the graph holds tensors or storages, or an object that contains itself and cannot.
pub fn write(graph: &Graph, root: &Value) -> Result<Vec<u8>> {
    let mut refuse = |_: StorageId, _: Option<DType>| Err(Error::Value("a plain pickle holds no tensors; write a checkpoint".into()));
    Writer::new(graph, &mut refuse, false).run(root)
}

/// What the persistent id of a storage says.
pub(crate) struct PersistentStorage {
    /// None for an untyped storage.
    pub dtype: Option<DType>,
    pub key: Arc<str>,
    pub location: Arc<str>,
    /// In elements of `dtype`, in bytes if untyped.
    pub element_count: u64,
}

/// Names a storage that is viewed as `dtype` (None: taken by itself).
pub(crate) type PersistentSave<'a> = &'a mut dyn FnMut(StorageId, Option<DType>) -> Result<PersistentStorage>;

/// One thing left to do; the last one pushed is done first.
enum Step {
    Value(Value),
    Bytes(&'static [u8]),
    /// A name of the machine's own, not of the graph.
    Global(&'static str, &'static str),
    Text(Arc<str>),
    Int(i64),
    /// Gives what is on top of the stack the next memo number.
    MemoObject(ObjectId),
    MemoNothing,
    /// Ends a tuple that started with or without a mark; it may have been written meanwhile, through a cycle.
    TupleEnd(ObjectId),
    ListItems(ObjectId, usize),
    Entries(ObjectId, usize),
    Appended(ObjectId, usize),
    Storage(StorageId, Option<DType>),
}

#[derive(PartialEq, Eq, Hash)]
enum MemoKey {
    Object(ObjectId),
    Text(Arc<str>),
    Global(String),
}

pub(crate) struct Writer<'a> {
    graph: &'a Graph,
    out: Vec<u8>,
    memo: HashMap<MemoKey, u32>,
    next_memo: u32,
    todo: Vec<Step>,
    /// For unfinished objects that need their parts first: the memo size when last begun (beginning again without any new
    /// memo is endless), and how often.
    begun: HashMap<ObjectId, (u32, usize)>,
    persistent: PersistentSave<'a>,
    /// The persistent ids of the legacy format have a sixth part (a view, never used any more).
    is_legacy: bool,
}

impl<'a> Writer<'a> {
    pub fn new(graph: &'a Graph, persistent: PersistentSave<'a>, is_legacy: bool) -> Writer<'a> {
        Writer {
            graph,
            out: Vec::new(),
            memo: HashMap::new(),
            next_memo: 0,
            todo: Vec::new(),
            begun: HashMap::new(),
            persistent,
            is_legacy,
        }
    }

    pub fn run(mut self, root: &Value) -> Result<Vec<u8>> {
        self.out.extend_from_slice(&[0x80, 2]);
        self.todo.push(Step::Value(root.clone()));
        while let Some(step) = self.todo.pop() {
            self.step(step)?;
        }
        self.out.push(b'.');
        Ok(self.out)
    }

    /// Pushes steps so that they run in the order given.
    fn then(&mut self, steps: impl IntoIterator<Item = Step, IntoIter: DoubleEndedIterator>) {
        self.todo.extend(steps.into_iter().rev());
    }

    fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Value(value) => self.value(value)?,
            Step::Bytes(bytes) => self.out.extend_from_slice(bytes),
            Step::Global(module, name) => self.global(module, name)?,
            Step::Text(text) => self.text(text)?,
            Step::Int(value) => self.int(value),
            Step::MemoObject(id) => {
                self.memoize(Some(MemoKey::Object(id)))?;
            }
            Step::MemoNothing => {
                self.memoize(None)?;
            }
            Step::TupleEnd(id) => self.end_tuple(id)?,
            Step::ListItems(id, start) => {
                if let Object::List(items) = &self.graph[id] {
                    self.batch(items, start, Step::ListItems(id, start + BATCH));
                }
            }
            Step::Appended(id, start) => {
                if let Object::Instance(instance) = &self.graph[id] {
                    self.batch(&instance.appended, start, Step::Appended(id, start + BATCH));
                }
            }
            Step::Entries(id, start) => {
                let graph = self.graph;
                match &graph[id] {
                    // Python writes a dict's last single entry with a mark, an OrderedDict's without.
                    Object::Dict { entries, kind, .. } => self.entries(id, entries, start, *kind == DictKind::OrderedDict),
                    Object::Instance(instance) => self.entries(id, &instance.entries, start, true),
                    _ => {}
                }
            }
            Step::Storage(id, dtype) => self.storage(id, dtype)?,
        }
        Ok(())
    }

    fn batch(&mut self, items: &'a [Value], start: usize, next: Step) {
        let end = items.len().min(start + BATCH);
        let part = items.get(start..end).unwrap_or_default();
        if part.is_empty() {
            return;
        }
        if end < items.len() {
            self.todo.push(next);
        }
        if items.len() == 1 {
            self.then([Step::Value(part[0].clone()), Step::Bytes(b"a")]);
            return;
        }
        self.out.push(b'(');
        self.todo.push(Step::Bytes(b"e"));
        self.todo.extend(part.iter().rev().cloned().map(Step::Value));
    }

    fn entries(&mut self, id: ObjectId, entries: &'a [(Value, Value)], start: usize, single_without_mark: bool) {
        let end = entries.len().min(start + BATCH);
        let part = entries.get(start..end).unwrap_or_default();
        if part.is_empty() {
            return;
        }
        if end < entries.len() {
            self.todo.push(Step::Entries(id, end));
        }
        if part.len() == 1 && (entries.len() == 1 || single_without_mark) {
            self.then([Step::Value(part[0].0.clone()), Step::Value(part[0].1.clone()), Step::Bytes(b"s")]);
            return;
        }
        self.out.push(b'(');
        self.todo.push(Step::Bytes(b"u"));
        for (key, value) in part.iter().rev() {
            self.todo.push(Step::Value(value.clone()));
            self.todo.push(Step::Value(key.clone()));
        }
    }

    fn memoize(&mut self, key: Option<MemoKey>) -> Result<()> {
        let slot = self.next_memo;
        self.next_memo = slot.checked_add(1).ok_or_else(|| Error::Value("more than 2^32 objects in one pickle".into()))?;
        match u8::try_from(slot) {
            Ok(slot) => self.out.extend_from_slice(&[b'q', slot]),
            Err(_) => {
                self.out.push(b'r');
                self.out.extend_from_slice(&slot.to_le_bytes());
            }
        }
        if let Some(key) = key {
            self.memo.insert(key, slot);
        }
        Ok(())
    }

    fn recall(&mut self, key: &MemoKey) -> bool {
        let Some(&slot) = self.memo.get(key) else { return false };
        match u8::try_from(slot) {
            Ok(slot) => self.out.extend_from_slice(&[b'h', slot]),
            Err(_) => {
                self.out.push(b'j');
                self.out.extend_from_slice(&slot.to_le_bytes());
            }
        }
        true
    }

    fn int(&mut self, value: i64) {
        if let Ok(value) = u8::try_from(value) {
            self.out.extend_from_slice(&[b'K', value]);
        } else if let Ok(value) = u16::try_from(value) {
            self.out.push(b'M');
            self.out.extend_from_slice(&value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.out.push(b'J');
            self.out.extend_from_slice(&value.to_le_bytes());
        } else {
            let bytes = value.to_le_bytes();
            let fill = if value < 0 { 0xff } else { 0 };
            let mut len = 8;
            while len > 1 && bytes[len - 1] == fill && (bytes[len - 2] & 0x80) == (fill & 0x80) {
                len -= 1;
            }
            self.out.extend_from_slice(&[0x8a, len as u8]);
            self.out.extend_from_slice(&bytes[..len]);
        }
    }

    fn text(&mut self, text: Arc<str>) -> Result<()> {
        let key = MemoKey::Text(text.clone());
        if self.recall(&key) {
            return Ok(());
        }
        let len = u32::try_from(text.len()).map_err(|_| Error::Value("cannot serialize a string larger than 4GiB".into()))?;
        self.out.push(b'X');
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
        self.memoize(Some(key))
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        let module = globals::old_module(module);
        if module.contains('\n') || name.contains('\n') || name.is_empty() {
            return Err(Error::Value(format!("{module:?} {name:?} is not the name of a class or function")));
        }
        let key = MemoKey::Global(format!("{module}\n{name}"));
        if self.recall(&key) {
            return Ok(());
        }
        self.out.push(b'c');
        self.out.extend_from_slice(module.as_bytes());
        self.out.push(b'\n');
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'\n');
        self.memoize(Some(key))
    }

    fn value(&mut self, value: Value) -> Result<()> {
        match value {
            Value::None => self.out.push(b'N'),
            Value::Bool(value) => self.out.push(if value { 0x88 } else { 0x89 }),
            Value::Int(value) => self.int(value),
            Value::Float(value) => {
                self.out.push(b'G');
                self.out.extend_from_slice(&value.to_be_bytes());
            }
            Value::Str(text) => self.text(text)?,
            Value::DType(dtype) => self.global("torch", dtype.name())?,
            Value::Object(id) => self.object(id)?,
        }
        Ok(())
    }

    fn object(&mut self, id: ObjectId) -> Result<()> {
        if self.recall(&MemoKey::Object(id)) {
            return Ok(());
        }
        let graph = self.graph;
        if id.0 as usize >= graph.len() {
            return Err(Error::Value(format!("object {} is not in the graph", id.0)));
        }
        let object = &graph[id];
        if !matches!(object, Object::List(_) | Object::Dict { kind: DictKind::Dict | DictKind::OrderedDict, .. }) {
            let (memo, count) = self.begun.get(&id).copied().unwrap_or((u32::MAX, 0));
            if memo == self.next_memo {
                return Err(Error::Value(format!("a {} contains itself", object.type_name())));
            }
            // Each turn writes the whole object again, as Python's pickler does until it exceeds its recursion limit.
            if count > MAX_TURNS {
                return Err(Error::Value(format!("a {} is part of more than {MAX_TURNS} cycles", object.type_name())));
            }
            self.begun.insert(id, (self.next_memo, count + 1));
        }
        match object {
            Object::BigInt(bytes) => self.big_int(bytes)?,
            Object::Bytes(bytes) => self.bytes(bytes, Step::MemoObject(id)),
            // Each call is its own tuple of arguments, memoised and never recalled, as Python does.
            Object::ByteArray(bytes) if bytes.is_empty() => {
                self.then([Step::Global("builtins", "bytearray"), Step::Bytes(b")R"), Step::MemoObject(id)]);
            }
            Object::ByteArray(bytes) => {
                self.then([Step::Bytes(b"\x85"), Step::MemoNothing, Step::Bytes(b"R"), Step::MemoObject(id)]);
                self.bytes(bytes, Step::MemoNothing);
                self.todo.push(Step::Global("builtins", "bytearray"));
            }
            Object::Complex { re, im } => self.then([
                Step::Global("builtins", "complex"),
                Step::Value(Value::Float(*re)),
                Step::Value(Value::Float(*im)),
                Step::Bytes(b"\x86"),
                Step::MemoNothing,
                Step::Bytes(b"R"),
                Step::MemoObject(id),
            ]),
            Object::List(_) => {
                self.out.push(b']');
                self.memoize(Some(MemoKey::Object(id)))?;
                self.todo.push(Step::ListItems(id, 0));
            }
            Object::Tuple(items) if items.is_empty() => self.out.push(b')'),
            Object::Tuple(items) => {
                if items.len() > 3 {
                    self.out.push(b'(');
                }
                self.todo.push(Step::TupleEnd(id));
                self.todo.extend(items.iter().rev().cloned().map(Step::Value));
            }
            Object::Set(items) => self.collection("set", items, id),
            Object::FrozenSet(items) => self.collection("frozenset", items, id),
            Object::Dict { kind: DictKind::Dict, .. } => {
                self.out.push(b'}');
                self.memoize(Some(MemoKey::Object(id)))?;
                self.todo.push(Step::Entries(id, 0));
            }
            Object::Dict { kind: DictKind::OrderedDict, attributes, .. } => {
                self.global("collections", "OrderedDict")?;
                self.out.extend_from_slice(b")R");
                self.memoize(Some(MemoKey::Object(id)))?;
                if let Some(attributes) = attributes {
                    self.then([Step::Value(Value::Object(*attributes)), Step::Bytes(b"b")]);
                }
                self.todo.push(Step::Entries(id, 0));
            }
            Object::Dict { kind: DictKind::Counter, .. } => self.then([
                Step::Global("collections", "Counter"),
                Step::Bytes(b"}"),
                Step::MemoNothing,
                Step::Entries(id, 0),
                Step::Bytes(b"\x85"),
                Step::MemoNothing,
                Step::Bytes(b"R"),
                Step::MemoObject(id),
            ]),
            Object::Size(sizes) => {
                let mut steps = vec![Step::Global("torch", "Size")];
                steps.extend(tuple_of_ints(sizes.iter().copied()));
                steps.extend([Step::Bytes(b"\x85"), Step::MemoNothing, Step::Bytes(b"R"), Step::MemoObject(id)]);
                self.then(steps);
            }
            Object::Device { kind, index } => {
                let mut steps = vec![Step::Global("torch", "device"), Step::Text(kind.clone())];
                match index {
                    Some(index) => steps.extend([Step::Int(*index), Step::Bytes(b"\x86")]),
                    None => steps.push(Step::Bytes(b"\x85")),
                }
                steps.extend([Step::MemoNothing, Step::Bytes(b"R"), Step::MemoObject(id)]);
                self.then(steps);
            }
            Object::Layout(name) => self.then([
                Step::Global("torch.serialization", "_get_layout"),
                Step::Text(name.clone()),
                Step::Bytes(b"\x85"),
                Step::MemoNothing,
                Step::Bytes(b"R"),
                Step::MemoObject(id),
            ]),
            Object::Storage(storage) => {
                let whole = (self.persistent)(storage.storage, storage.dtype)?;
                let len_bytes = whole.element_count * whole.dtype.map_or(1, |dtype| dtype.size_bytes() as u64);
                if storage.offset_bytes != 0 || storage.len_bytes != len_bytes {
                    return Err(Error::Value("a part of a storage cannot be saved as a storage; save a tensor of it".into()));
                }
                self.todo.push(Step::Storage(storage.storage, storage.dtype));
            }
            Object::Tensor(_) => self.tensor(id)?,
            Object::Parameter { data, requires_grad, state } => {
                let mut steps = vec![
                    Step::Global("torch._utils", if state.is_some() { "_rebuild_parameter_with_state" } else { "_rebuild_parameter" }),
                    Step::Bytes(if state.is_some() { b"(" } else { b"" }),
                    Step::Value(Value::Object(*data)),
                    Step::Value(Value::Bool(*requires_grad)),
                ];
                steps.extend(no_hooks());
                match state {
                    Some(state) => steps.extend([Step::Value(state.clone()), Step::Bytes(b"t")]),
                    None => steps.push(Step::Bytes(b"\x87")),
                }
                steps.extend([Step::MemoNothing, Step::Bytes(b"R"), Step::MemoObject(id)]);
                self.then(steps);
            }
            Object::Global { module, name } => self.global(module, name)?,
            Object::Instance(instance) => self.instance(id, instance),
        }
        Ok(())
    }

    fn big_int(&mut self, bytes: &[u8]) -> Result<()> {
        match u8::try_from(bytes.len()) {
            Ok(len) => self.out.extend_from_slice(&[0x8a, len]),
            Err(_) => {
                let len = i32::try_from(bytes.len()).map_err(|_| Error::Value("int too large to pickle".into()))?;
                self.out.push(0x8b);
                self.out.extend_from_slice(&len.to_le_bytes());
            }
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// `_codecs.encode(text, 'latin1')`: the form that PyTorch's weights_only reader takes, for empty bytes too.
    fn bytes(&mut self, bytes: &[u8], memo: Step) {
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        self.then([
            Step::Global("_codecs", "encode"),
            Step::Text(text.into()),
            Step::Text("latin1".into()),
            Step::Bytes(b"\x86"),
            Step::MemoNothing,
            Step::Bytes(b"R"),
            memo,
        ]);
    }

    fn collection(&mut self, class: &'static str, items: &[Value], id: ObjectId) {
        let mut steps = vec![Step::Global("builtins", class), Step::Bytes(b"]"), Step::MemoNothing];
        let single = items.len() == 1;
        for part in items.chunks(BATCH) {
            steps.push(Step::Bytes(if single { b"" } else { b"(" }));
            steps.extend(part.iter().cloned().map(Step::Value));
            steps.push(Step::Bytes(if single { b"a" } else { b"e" }));
        }
        steps.extend([Step::Bytes(b"\x85"), Step::MemoNothing, Step::Bytes(b"R"), Step::MemoObject(id)]);
        self.then(steps);
    }

    fn end_tuple(&mut self, id: ObjectId) -> Result<()> {
        let Object::Tuple(items) = &self.graph[id] else { return Ok(()) };
        let key = MemoKey::Object(id);
        if self.memo.contains_key(&key) {
            // Written meanwhile by one of its own items: drop these and take that one.
            match items.len() {
                1..=3 => self.out.extend(std::iter::repeat_n(b'0', items.len())),
                _ => self.out.push(b'1'),
            }
            self.recall(&key);
            return Ok(());
        }
        self.out.push(match items.len() {
            1 => 0x85,
            2 => 0x86,
            3 => 0x87,
            _ => b't',
        });
        self.memoize(Some(key))
    }

    fn storage(&mut self, id: StorageId, dtype: Option<DType>) -> Result<()> {
        let storage = (self.persistent)(id, dtype)?;
        self.out.push(b'(');
        self.text("storage".into())?;
        match storage.dtype.and_then(globals::storage_class) {
            Some(kind) => self.global("torch", &format!("{kind}Storage"))?,
            // PyTorch does not read untyped storages in its own old format.
            None if self.is_legacy => self.global("torch", "ByteStorage")?,
            None => self.global("torch.storage", "UntypedStorage")?,
        }
        self.text(storage.key)?;
        self.text(storage.location)?;
        self.int(i64::try_from(storage.element_count).map_err(|_| Error::Value("a storage is larger than 2^63 elements".into()))?);
        self.out.extend_from_slice(if self.is_legacy { b"Nt" } else { b"t" });
        self.memoize(None)?;
        self.out.push(b'Q');
        Ok(())
    }

    fn tensor(&mut self, id: ObjectId) -> Result<()> {
        let graph = self.graph;
        let Object::Tensor(tensor) = &graph[id] else { return Ok(()) };
        let sizes = |sizes: &[usize]| tuple_of_ints(sizes.iter().map(|&size| size as i64).collect::<Vec<_>>());
        let (function, mut arguments) = match tensor.storage {
            None => {
                let mut arguments = vec![Step::Value(Value::DType(tensor.dtype))];
                arguments.extend(sizes(&tensor.shape));
                arguments.extend(sizes(&tensor.strides));
                arguments.push(Step::Value(Value::Bool(tensor.requires_grad)));
                ("_rebuild_meta_tensor_no_storage", arguments)
            }
            Some(storage) => {
                let mut arguments = vec![Step::Storage(storage, Some(tensor.dtype)), Step::Int(tensor.offset as i64)];
                arguments.extend(sizes(&tensor.shape));
                arguments.extend(sizes(&tensor.strides));
                arguments.push(Step::Value(Value::Bool(tensor.requires_grad)));
                arguments.extend(no_hooks());
                // The newer dtypes, and storages seen as several dtypes, have untyped storages and say their dtype.
                let typed = (self.persistent)(storage, Some(tensor.dtype))?.dtype == Some(tensor.dtype);
                if !typed {
                    arguments.push(Step::Value(Value::DType(tensor.dtype)));
                }
                let bits: Vec<_> = [("conj", tensor.conj), ("neg", tensor.neg)].into_iter().filter(|(_, set)| *set).collect();
                if !bits.is_empty() {
                    arguments.extend([Step::Bytes(b"}"), Step::MemoNothing, Step::Bytes(if bits.len() == 1 { b"" } else { b"(" })]);
                    for (name, _) in &bits {
                        arguments.extend([Step::Text((*name).into()), Step::Bytes(b"\x88")]);
                    }
                    arguments.push(Step::Bytes(if bits.len() == 1 { b"s" } else { b"u" }));
                }
                (if typed { "_rebuild_tensor_v2" } else { "_rebuild_tensor_v3" }, arguments)
            }
        };
        arguments.insert(0, Step::Bytes(b"("));
        arguments.extend([Step::Bytes(b"t"), Step::MemoNothing]);
        let mut steps = Vec::with_capacity(arguments.len() + 8);
        if tensor.class.is_some() || tensor.attributes.is_some() {
            let class = match tensor.class {
                Some(class) => Step::Value(Value::Object(class)),
                None => Step::Global("torch", "Tensor"),
            };
            let state = match tensor.attributes {
                Some(attributes) => vec![Step::Value(Value::Object(attributes))],
                None => vec![Step::Bytes(b"}"), Step::MemoNothing],
            };
            steps.extend([
                Step::Global("torch._tensor", "_rebuild_from_type_v2"),
                Step::Bytes(b"("),
                Step::Global("torch._utils", function),
                class,
            ]);
            steps.extend(arguments);
            steps.extend(state);
            steps.extend([Step::Bytes(b"t"), Step::MemoNothing]);
        } else {
            steps.push(Step::Global("torch._utils", function));
            steps.extend(arguments);
        }
        steps.extend([Step::Bytes(b"R"), Step::MemoObject(id)]);
        self.then(steps);
        Ok(())
    }

    fn instance(&mut self, id: ObjectId, instance: &'a Instance) {
        let mut steps = vec![Step::Value(instance.callable.clone())];
        steps.push(Step::Value(instance.args.clone()));
        match (&instance.kwargs, instance.is_new) {
            // Protocol 2 has no NEWOBJ_EX; Python 3 reads it in any protocol.
            (Some(kwargs), _) => steps.extend([Step::Value(kwargs.clone()), Step::Bytes(b"\x92")]),
            (None, true) => steps.push(Step::Bytes(b"\x81")),
            (None, false) => steps.push(Step::Bytes(b"R")),
        }
        steps.extend([Step::MemoObject(id), Step::Appended(id, 0), Step::Entries(id, 0)]);
        if let Some(state) = &instance.state {
            steps.extend([Step::Value(state.clone()), Step::Bytes(b"b")]);
        }
        self.then(steps);
    }
}

fn tuple_of_ints(sizes: impl IntoIterator<Item = i64>) -> Vec<Step> {
    let mut steps: Vec<Step> = sizes.into_iter().map(Step::Int).collect();
    match steps.len() {
        // The empty tuple has no memo.
        0 => return vec![Step::Bytes(b")")],
        1 => steps.push(Step::Bytes(b"\x85")),
        2 => steps.push(Step::Bytes(b"\x86")),
        3 => steps.push(Step::Bytes(b"\x87")),
        _ => {
            steps.insert(0, Step::Bytes(b"("));
            steps.push(Step::Bytes(b"t"));
        }
    }
    steps.push(Step::MemoNothing);
    steps
}

/// The empty OrderedDict that stands where backward hooks once were.
fn no_hooks() -> [Step; 3] {
    [Step::Global("collections", "OrderedDict"), Step::Bytes(b")R"), Step::MemoNothing]
}
