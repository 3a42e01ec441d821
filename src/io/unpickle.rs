//! The pickle machine: reads the data opcodes of protocols 0 to 5 into a [`Graph`] and runs nothing.
//!
//! Every step is bounded by the bytes that caused it: lengths are checked against what is left of the input before
//! anything is reserved, and an opcode that copies (set from a list, bytes from a string) pays from a budget of one
//! unit per input byte, which an honest file cannot exhaust since each copied element stands in it once.
//! Source: Python's `pickletools` (opcodes); `torch/_weights_only_unpickler.py` of PyTorch 2.13 (rules).

use std::collections::{HashMap, HashSet};

use rustnn_tensor::DType;

use crate::error::{Error, Result};
use crate::globals;
use crate::value::{DictKind, Graph, Instance, Object, ObjectId, StorageRef, Tensor, Value};

/// Bounds on what a file may ask for; every one gives an error that names it. Beside them, memory is bounded by the file:
/// a byte of pickle makes at most one object (40 bytes) and one reference to it (24), and storages stay in the file.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest pickle, bytes.
    pub pickle_bytes: u64,
    /// Most objects in a pickle.
    pub objects: usize,
    /// Deepest nesting of objects.
    pub depth: usize,
    /// Most records in a zip file.
    pub records: usize,
    /// Bytes that deflated records may expand to beyond the file's own size (PyTorch writes none).
    pub inflated_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { pickle_bytes: 1 << 30, objects: 100_000_000, depth: 10_000, records: 10_000_000, inflated_bytes: 64 << 20 }
    }
}

/// Which names a pickle may use.
#[derive(Clone, Debug, Default)]
pub enum Globals {
    /// The closed list (PyTorch's weights_only).
    #[default]
    Listed,
    /// The closed list and these full names (`add_safe_globals`); they come as [`Object::Global`] and [`Instance`].
    ListedAnd(HashSet<String>),
    /// Any name: still nothing runs here, but the caller must not run them either unless the file is trusted.
    Any,
}

/// How strings that Python 2 wrote as bytes are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    Ascii,
    #[default]
    Utf8,
    Latin1,
    /// Kept as bytes objects.
    Bytes,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub limits: Limits,
    pub globals: Globals,
    pub encoding: Encoding,
    /// Compare each zip record's CRC-32 when it is read.
    pub verify_checksums: bool,
    /// Byte order of a zip file that names none.
    pub is_big_endian_by_default: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            limits: Limits::default(),
            globals: Globals::default(),
            encoding: Encoding::default(),
            verify_checksums: true,
            is_big_endian_by_default: false,
        }
    }
}

/// Turns a persistent id into a value: a storage, in checkpoints.
pub(crate) type PersistentLoad<'a> = &'a mut dyn FnMut(&mut Graph, &Value) -> Result<Value>;

/// Reads one pickle from the start of `input`; returns its value and how many bytes it took.
pub(crate) fn read_pickle(input: &[u8], graph: &mut Graph, options: &Options, persistent: PersistentLoad<'_>) -> Result<(Value, usize)> {
    let mut machine = Machine {
        input,
        position: 0,
        opcode_at: 0,
        graph,
        options,
        persistent,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Memo::default(),
        globals: HashMap::new(),
        budget: input.len() + 1024,
    };
    let value = machine.run()?;
    Ok((value, machine.position))
}

pub(crate) fn full_name(module: &str, name: &str) -> String {
    format!("{module}.{name}")
}

/// Memo slots: dense for the small numbers Pickler hands out, sparse for the rest so that a huge number costs nothing.
#[derive(Default)]
struct Memo {
    dense: Vec<Option<Value>>,
    sparse: HashMap<u64, Value>,
}

impl Memo {
    fn get(&self, slot: u64) -> Option<&Value> {
        match self.dense.get(slot as usize) {
            Some(value) => value.as_ref(),
            None => self.sparse.get(&slot),
        }
    }

    fn put(&mut self, slot: u64, value: Value) {
        match (slot as usize).cmp(&self.dense.len()) {
            std::cmp::Ordering::Less => self.dense[slot as usize] = Some(value),
            std::cmp::Ordering::Equal => self.dense.push(Some(value)),
            std::cmp::Ordering::Greater => {
                self.sparse.insert(slot, value);
            }
        }
    }

    fn len(&self) -> u64 {
        (self.dense.len() + self.sparse.len()) as u64
    }
}

struct Machine<'a> {
    input: &'a [u8],
    position: usize,
    opcode_at: usize,
    graph: &'a mut Graph,
    options: &'a Options,
    persistent: PersistentLoad<'a>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Memo,
    globals: HashMap<String, Value>,
    budget: usize,
}

impl<'a> Machine<'a> {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(Error::Pickle { offset: self.opcode_at, message: message.into() })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let left = self.input.len() - self.position;
        if count > left {
            return Err(Error::PickleEnds { offset: self.opcode_at });
        }
        let part = &self.input[self.position..self.position + count];
        self.position += count;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn length8(&mut self) -> Result<usize> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| Error::PickleEnds { offset: self.opcode_at })
    }

    fn length4(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn line(&mut self) -> Result<&'a [u8]> {
        let rest = &self.input[self.position..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return Err(Error::PickleEnds { offset: self.opcode_at });
        };
        self.position += length + 1;
        Ok(&rest[..length])
    }

    fn text_line(&mut self) -> Result<&'a str> {
        let line = self.line()?;
        std::str::from_utf8(line).or_else(|_| self.fail("a name is not valid UTF-8"))
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value> {
        if self.stack.len() > self.floor() {
            return Ok(self.stack.pop().unwrap_or(Value::None));
        }
        self.fail("the stack is empty")
    }

    fn top(&self) -> Result<&Value> {
        if self.stack.len() > self.floor() {
            return Ok(&self.stack[self.stack.len() - 1]);
        }
        self.fail("the stack is empty")
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => self.fail("a mark is missing"),
        }
    }

    fn spend(&mut self, count: usize) -> Result<()> {
        match self.budget.checked_sub(count) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => self.fail("the pickle copies the same data again and again; no checkpoint does"),
        }
    }

    fn add(&mut self, object: Object) -> Result<Value> {
        if self.graph.len() >= self.options.limits.objects {
            return Err(Error::Limit(format!("the pickle has more than {} objects; raise the limit", self.options.limits.objects)));
        }
        Ok(Value::Object(self.graph.add(object)))
    }

    fn push_object(&mut self, object: Object) -> Result<()> {
        let value = self.add(object)?;
        self.stack.push(value);
        Ok(())
    }

    fn push_text(&mut self, bytes: &[u8]) -> Result<()> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.stack.push(Value::from(text)),
            Err(_) => return self.fail("a string is not valid UTF-8 (lone surrogates are not supported)"),
        }
        Ok(())
    }

    /// A Python 2 string.
    fn push_byte_text(&mut self, bytes: &[u8]) -> Result<()> {
        match self.options.encoding {
            Encoding::Bytes => return self.push_object(Object::Bytes(bytes.to_vec())),
            Encoding::Latin1 => {
                let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
                self.stack.push(Value::from(text.as_str()));
            }
            Encoding::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => self.stack.push(Value::from(text)),
                Err(error) => {
                    return self.fail(format!(
                        "'utf-8' codec can't decode byte 0x{:02x} in position {}; load with encoding='latin1' or encoding='bytes'",
                        bytes[error.valid_up_to()],
                        error.valid_up_to()
                    ));
                }
            },
            Encoding::Ascii => match bytes.iter().position(|byte| !byte.is_ascii()) {
                None => self.stack.push(Value::from(std::str::from_utf8(bytes).unwrap_or_default())),
                Some(at) => {
                    return self.fail(format!(
                        "'ascii' codec can't decode byte 0x{:02x} in position {at}; load with encoding='latin1' or encoding='bytes'",
                        bytes[at]
                    ));
                }
            },
        }
        Ok(())
    }

    fn push_long(&mut self, bytes: &[u8]) -> Result<()> {
        match int_from_bytes(bytes) {
            Ok(value) => self.stack.push(Value::Int(value)),
            Err(bytes) => self.push_object(Object::BigInt(bytes))?,
        }
        Ok(())
    }

    fn push_decimal(&mut self, text: &str) -> Result<()> {
        let digits = text.strip_suffix('L').unwrap_or(text);
        match digits.trim().parse::<i64>() {
            Ok(value) => self.stack.push(Value::Int(value)),
            Err(_) => return self.fail(format!("{:?} is not an integer of 64 bits", shorten(text))),
        }
        Ok(())
    }

    fn memoize(&mut self, slot: u64) -> Result<()> {
        let value = self.top()?.clone();
        self.memo.put(slot, value);
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Result<()> {
        match self.memo.get(slot) {
            Some(value) => {
                let value = value.clone();
                self.stack.push(value);
                Ok(())
            }
            None => self.fail(format!("memo {slot} was never set")),
        }
    }

    fn run(&mut self) -> Result<Value> {
        loop {
            self.opcode_at = self.position;
            let opcode = self.byte()?;
            match opcode {
                // Frame: PROTO, FRAME, STOP.
                0x80 => {
                    let protocol = self.byte()?;
                    if protocol > 5 {
                        return self.fail(format!("unsupported pickle protocol: {protocol}"));
                    }
                }
                0x95 => {
                    self.take(8)?;
                }
                b'.' => return self.pop(),
                // Stack: MARK, POP, POP_MARK, DUP.
                b'(' => self.marks.push(self.stack.len()),
                b'0' => {
                    if self.stack.len() == self.floor() && !self.marks.is_empty() {
                        self.marks.pop();
                    } else {
                        self.pop()?;
                    }
                }
                b'1' => {
                    self.pop_mark()?;
                }
                b'2' => {
                    let value = self.top()?.clone();
                    self.stack.push(value);
                }
                // Memo: PUT, BINPUT, LONG_BINPUT, MEMOIZE, GET, BINGET, LONG_BINGET.
                b'p' => {
                    let slot = self.memo_line()?;
                    self.memoize(slot)?;
                }
                b'q' => {
                    let slot = self.byte()?.into();
                    self.memoize(slot)?;
                }
                b'r' => {
                    let slot = self.length4()? as u64;
                    self.memoize(slot)?;
                }
                0x94 => self.memoize(self.memo.len())?,
                b'g' => {
                    let slot = self.memo_line()?;
                    self.recall(slot)?;
                }
                b'h' => {
                    let slot = self.byte()?.into();
                    self.recall(slot)?;
                }
                b'j' => {
                    let slot = self.length4()? as u64;
                    self.recall(slot)?;
                }
                // Constants and numbers.
                b'N' => self.stack.push(Value::None),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.stack.push(Value::Int(value.into()));
                }
                b'K' => {
                    let value = self.byte()?;
                    self.stack.push(Value::Int(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.stack.push(Value::Int(value.into()));
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.array()?);
                    self.stack.push(Value::Float(value));
                }
                0x8a => {
                    let length = self.byte()?.into();
                    let bytes = self.take(length)?;
                    self.push_long(bytes)?;
                }
                0x8b => {
                    let length = i32::from_le_bytes(self.array()?);
                    let Ok(length) = usize::try_from(length) else {
                        return self.fail("LONG4 has a negative length");
                    };
                    let bytes = self.take(length)?;
                    self.push_long(bytes)?;
                }
                b'I' => match self.text_line()? {
                    "00" => self.stack.push(Value::Bool(false)),
                    "01" => self.stack.push(Value::Bool(true)),
                    text => self.push_decimal(text)?,
                },
                b'L' => {
                    let text = self.text_line()?;
                    self.push_decimal(text)?;
                }
                b'F' => {
                    let text = self.text_line()?;
                    match text.trim().parse::<f64>() {
                        Ok(value) => self.stack.push(Value::Float(value)),
                        Err(_) => return self.fail(format!("{:?} is not a float", shorten(text))),
                    }
                }
                // Strings: BINUNICODE, SHORT_BINUNICODE, BINUNICODE8, UNICODE; Python 2's BINSTRING, SHORT_BINSTRING, STRING.
                b'X' => {
                    let length = self.length4()?;
                    let bytes = self.take(length)?;
                    self.push_text(bytes)?;
                }
                0x8c => {
                    let length = self.byte()?.into();
                    let bytes = self.take(length)?;
                    self.push_text(bytes)?;
                }
                0x8d => {
                    let length = self.length8()?;
                    let bytes = self.take(length)?;
                    self.push_text(bytes)?;
                }
                b'V' => {
                    let line = self.line()?;
                    let text = self.raw_unicode(line)?;
                    self.stack.push(Value::from(text.as_str()));
                }
                b'T' => {
                    let length = i32::from_le_bytes(self.array()?);
                    let Ok(length) = usize::try_from(length) else {
                        return self.fail("BINSTRING has a negative length");
                    };
                    let bytes = self.take(length)?;
                    self.push_byte_text(bytes)?;
                }
                b'U' => {
                    let length = self.byte()?.into();
                    let bytes = self.take(length)?;
                    self.push_byte_text(bytes)?;
                }
                b'S' => {
                    let line = self.line()?;
                    let bytes = self.quoted(line)?;
                    self.push_byte_text(&bytes)?;
                }
                // Bytes: BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8.
                b'B' => {
                    let length = self.length4()?;
                    let bytes = self.take(length)?.to_vec();
                    self.push_object(Object::Bytes(bytes))?;
                }
                b'C' => {
                    let length = self.byte()?.into();
                    let bytes = self.take(length)?.to_vec();
                    self.push_object(Object::Bytes(bytes))?;
                }
                0x8e => {
                    let length = self.length8()?;
                    let bytes = self.take(length)?.to_vec();
                    self.push_object(Object::Bytes(bytes))?;
                }
                0x96 => {
                    let length = self.length8()?;
                    let bytes = self.take(length)?.to_vec();
                    self.push_object(Object::ByteArray(bytes))?;
                }
                // Tuples.
                b')' => self.push_object(Object::Tuple(Vec::new()))?,
                0x85..=0x87 => {
                    let count = usize::from(opcode - 0x84);
                    if self.stack.len() - self.floor() < count {
                        return self.fail("the stack is empty");
                    }
                    let items = self.stack.split_off(self.stack.len() - count);
                    self.push_object(Object::Tuple(items))?;
                }
                b't' => {
                    let items = self.pop_mark()?;
                    self.push_object(Object::Tuple(items))?;
                }
                // Lists: EMPTY_LIST, LIST, APPEND, APPENDS.
                b']' => self.push_object(Object::List(Vec::new()))?,
                b'l' => {
                    let items = self.pop_mark()?;
                    self.push_object(Object::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_mark()?;
                    self.append(items)?;
                }
                // Dicts: EMPTY_DICT, DICT, SETITEM, SETITEMS.
                b'}' => self.push_object(Object::dict(Vec::new()))?,
                b'd' => {
                    let items = self.pop_mark()?;
                    let entries = self.pairs(items)?;
                    self.push_object(Object::dict(entries))?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set_items("SETITEM", vec![(key, value)])?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    let entries = self.pairs(items)?;
                    self.set_items("SETITEMS", entries)?;
                }
                // Sets: EMPTY_SET, ADDITEMS, FROZENSET.
                0x8f => self.push_object(Object::Set(Vec::new()))?,
                0x90 => {
                    let items = self.pop_mark()?;
                    for item in &items {
                        self.check_key(item)?;
                    }
                    let id = self.top_object()?;
                    match &mut self.graph[id] {
                        Object::Set(set) => set.extend(items),
                        other => {
                            let name = other.type_name();
                            return self.fail(format!("Can only add to sets, but got <class '{name}'>"));
                        }
                    }
                }
                0x91 => {
                    let items = self.pop_mark()?;
                    for item in &items {
                        self.check_key(item)?;
                    }
                    self.push_object(Object::FrozenSet(items))?;
                }
                // Names and calls: GLOBAL, STACK_GLOBAL, REDUCE, NEWOBJ, NEWOBJ_EX, BUILD, BINPERSID, PERSID.
                b'c' => {
                    let module = self.text_line()?;
                    let name = self.text_line()?;
                    self.push_global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Some(module), Some(name)) = (module.as_str(), name.as_str()) else {
                        return self.fail("STACK_GLOBAL requires str");
                    };
                    self.push_global(module, name)?;
                }
                b'R' => {
                    let (args, callable) = (self.pop()?, self.pop()?);
                    let value = self.reduce(callable, args)?;
                    self.stack.push(value);
                }
                0x81 => {
                    let (args, class) = (self.pop()?, self.pop()?);
                    let value = self.new_object(class, args, None)?;
                    self.stack.push(value);
                }
                0x92 => {
                    let (kwargs, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                    let value = self.new_object(class, args, Some(kwargs))?;
                    self.stack.push(value);
                }
                b'b' => {
                    let state = self.pop()?;
                    self.build(state)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let value = (self.persistent)(self.graph, &id)?;
                    self.stack.push(value);
                }
                b'P' => {
                    let id = Value::from(self.text_line()?);
                    let value = (self.persistent)(self.graph, &id)?;
                    self.stack.push(value);
                }
                _ => {
                    let name = match opcode {
                        b'i' => " (INST)",
                        b'o' => " (OBJ)",
                        0x82..=0x84 => " (EXT)",
                        0x97 | 0x98 => " (out-of-band buffer)",
                        _ => "",
                    };
                    return self.fail(format!("Unsupported operand {opcode}{name}"));
                }
            }
        }
    }

    fn memo_line(&mut self) -> Result<u64> {
        let text = self.text_line()?;
        text.parse().or_else(|_| self.fail(format!("{:?} is not a memo number", shorten(text))))
    }

    /// Protocol 0's raw-unicode-escape: `\uXXXX` and `\UXXXXXXXX`, every other byte as Latin-1.
    fn raw_unicode(&self, line: &[u8]) -> Result<String> {
        let mut text = String::with_capacity(line.len());
        let mut rest = line;
        while let Some((&byte, tail)) = rest.split_first() {
            let digits = match (byte, tail.first()) {
                (b'\\', Some(b'u')) => 4,
                (b'\\', Some(b'U')) => 8,
                _ => {
                    text.push(char::from(byte));
                    rest = tail;
                    continue;
                }
            };
            let code = tail
                .get(1..1 + digits)
                .and_then(|hex| std::str::from_utf8(hex).ok())
                .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                .and_then(char::from_u32);
            match code {
                Some(code) => text.push(code),
                None => return self.fail("a unicode escape is malformed"),
            }
            rest = &tail[1 + digits..];
        }
        Ok(text)
    }

    /// Protocol 0's quoted string with Python's escapes.
    fn quoted(&self, line: &[u8]) -> Result<Vec<u8>> {
        let line = line.trim_ascii();
        let inner = match line {
            [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
            _ => return self.fail("a string is not in quotes"),
        };
        let mut out = Vec::with_capacity(inner.len());
        let mut rest = inner;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            let Some((&escape, tail)) = rest.split_first() else {
                return self.fail("a string ends inside an escape");
            };
            rest = tail;
            match escape {
                b'n' => out.push(b'\n'),
                b't' => out.push(b'\t'),
                b'r' => out.push(b'\r'),
                b'\\' | b'\'' | b'"' => out.push(escape),
                b'x' => {
                    let value =
                        rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    match value {
                        Some(value) => out.push(value),
                        None => return self.fail("a \\x escape is malformed"),
                    }
                    rest = &rest[2..];
                }
                _ => return self.fail(format!("escape \\{} is not supported", char::from(escape))),
            }
        }
        Ok(out)
    }

    fn top_object(&self) -> Result<ObjectId> {
        match self.top()? {
            Value::Object(id) => Ok(*id),
            other => self.fail(format!("cannot add to a {}", self.graph.type_name(other))),
        }
    }

    fn append(&mut self, items: Vec<Value>) -> Result<()> {
        let target = self.top()?.clone();
        match target {
            Value::Object(id) => match &mut self.graph[id] {
                Object::List(list) => list.extend(items),
                Object::Instance(instance) => instance.appended.extend(items),
                other => {
                    let name = other.type_name();
                    return self.fail(format!("Can only append to lists, but got <class '{name}'>"));
                }
            },
            other => return self.fail(format!("Can only append to lists, but got <class '{}'>", self.graph.type_name(&other))),
        }
        Ok(())
    }

    fn pairs(&self, items: Vec<Value>) -> Result<Vec<(Value, Value)>> {
        if items.len() % 2 == 1 {
            return self.fail("odd number of items for a dict");
        }
        let mut items = items.into_iter();
        let mut pairs = Vec::with_capacity(items.len() / 2);
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            self.check_key(&key)?;
            pairs.push((key, value));
        }
        Ok(pairs)
    }

    fn check_key(&self, key: &Value) -> Result<()> {
        match self.graph.object(key) {
            Some(Object::List(_) | Object::Dict { .. } | Object::Set(_) | Object::ByteArray(_)) => {
                self.fail(format!("unhashable type: '{}'", self.graph.type_name(key)))
            }
            _ => Ok(()),
        }
    }

    fn set_items(&mut self, opcode: &str, items: Vec<(Value, Value)>) -> Result<()> {
        for (key, _) in &items {
            self.check_key(key)?;
        }
        let target = self.top()?.clone();
        let name = match target {
            Value::Object(id) => match &mut self.graph[id] {
                Object::Dict { entries, .. } => {
                    entries.extend(items);
                    return Ok(());
                }
                Object::Instance(instance) => {
                    instance.entries.extend(items);
                    return Ok(());
                }
                other => other.type_name(),
            },
            other => self.graph.type_name(&other),
        };
        self.fail(format!("Can only {opcode} for dict, collections.OrderedDict, collections.Counter, but got <class '{name}'>"))
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<()> {
        if module.len() + name.len() > MAX_NAME_BYTES {
            return self.fail("the name of a class or function is too long");
        }
        let (module, name) = globals::modern_name(module, name);
        let full = full_name(&module, name);
        if let Some(value) = self.globals.get(&full) {
            self.stack.push(value.clone());
            return Ok(());
        }
        match &self.options.globals {
            Globals::Any => {}
            _ if globals::BLOCKED_MODULES.contains(&&*module) => {
                return Err(Error::BlockedGlobal { name: full, module: module.into_owned() });
            }
            _ if globals::is_allowed(&full) => {}
            Globals::ListedAnd(also) if also.contains(&full) => {}
            _ => return Err(Error::UnsupportedGlobal(full.strip_prefix("builtins.").unwrap_or(&full).to_owned())),
        }
        let value = match globals::dtype(&full) {
            Some(dtype) => Value::DType(dtype),
            None => self.add(Object::Global { module: module.as_ref().into(), name: name.into() })?,
        };
        self.globals.insert(full, value.clone());
        self.stack.push(value);
        Ok(())
    }

    /// The parts of an argument tuple.
    fn tuple(&self, value: &Value) -> Result<Vec<Value>> {
        match self.graph.object(value) {
            Some(Object::Tuple(items)) => {
                // The longest tuple that is copied here is a call's; larger ones are left alone.
                if items.len() > 64 {
                    return self.fail("a call has more than 64 arguments");
                }
                Ok(items.clone())
            }
            _ => self.fail(format!("arguments must be a tuple, but got {}", self.graph.type_name(value))),
        }
    }

    fn global_name(&self, value: &Value) -> Option<String> {
        match self.graph.object(value) {
            Some(Object::Global { module, name }) => Some(full_name(module, name)),
            _ => None,
        }
    }

    fn reduce(&mut self, callable: Value, args: Value) -> Result<Value> {
        let Some(name) = self.global_name(&callable) else {
            if matches!(self.options.globals, Globals::Any) && matches!(self.graph.object(&callable), Some(Object::Instance(_))) {
                return self.instance(callable, args, None, false);
            }
            return self.fail(format!("Trying to call reduce for unrecognized function {}", self.graph.type_name(&callable)));
        };
        let parts = match name.as_str() {
            "collections.OrderedDict"
            | "collections.Counter"
            | "torch.Size"
            | "torch.device"
            | "_codecs.encode"
            | "builtins.bytearray"
            | "builtins.bytes"
            | "builtins.set"
            | "builtins.frozenset"
            | "builtins.complex"
            | "torch.serialization._get_layout"
            | "torch._utils._rebuild_tensor"
            | "torch._utils._rebuild_tensor_v2"
            | "torch._utils._rebuild_tensor_v3"
            | "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch._utils._rebuild_meta_tensor_no_storage"
            | "torch._tensor._rebuild_from_type_v2"
            | "torch.nn.parameter.Parameter" => self.tuple(&args)?,
            _ => return self.instance(callable, args, None, false),
        };
        self.construct(&name, &parts)
    }

    /// Builds what a listed function or class would return.
    fn construct(&mut self, name: &str, args: &[Value]) -> Result<Value> {
        let wrong = |machine: &Self| {
            let types: Vec<&str> = args.iter().map(|value| machine.graph.type_name(value)).collect();
            machine.fail(format!("{name} cannot take arguments ({})", types.join(", ")))
        };
        match (name, args) {
            ("collections.OrderedDict", []) => self.add(Object::ordered_dict(Vec::new())),
            ("collections.OrderedDict", [items]) => {
                let entries = self.ordered_entries(items)?;
                self.add(Object::ordered_dict(entries))
            }
            ("collections.Counter", []) => self.add(Object::Dict { kind: DictKind::Counter, entries: Vec::new(), attributes: None }),
            ("collections.Counter", [counts]) => match self.graph.object(counts) {
                Some(Object::Dict { entries, .. }) => {
                    let entries = entries.clone();
                    self.spend(entries.len())?;
                    self.add(Object::Dict { kind: DictKind::Counter, entries, attributes: None })
                }
                _ => wrong(self),
            },
            ("torch.Size", []) => self.add(Object::Size(Vec::new())),
            ("torch.Size", [sizes]) => {
                let sizes = self.ints(sizes)?;
                self.add(Object::Size(sizes))
            }
            ("torch.device", [Value::Str(text)]) => {
                let (kind, index) = match text.split_once(':') {
                    Some((kind, index)) => match index.parse() {
                        Ok(index) => (kind.into(), Some(index)),
                        Err(_) => return self.fail(format!("Invalid device string: '{}'", shorten(text))),
                    },
                    None => (text.clone(), None),
                };
                self.add(Object::Device { kind, index })
            }
            ("torch.device", [Value::Str(kind), Value::Int(index)]) => self.add(Object::Device { kind: kind.clone(), index: Some(*index) }),
            ("_codecs.encode", [Value::Str(text), rest @ ..]) => match rest {
                [Value::Str(encoding)] if matches!(&**encoding, "latin1" | "latin-1" | "iso-8859-1") => {
                    self.spend(text.len())?;
                    match text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<u8>, _>>() {
                        Ok(bytes) => self.add(Object::Bytes(bytes)),
                        Err(_) => self.fail("a bytes object holds a character beyond Latin-1"),
                    }
                }
                [] => {
                    self.spend(text.len())?;
                    self.add(Object::Bytes(text.as_bytes().to_vec()))
                }
                [Value::Str(encoding)] if matches!(&**encoding, "utf-8" | "utf8" | "ascii") => {
                    self.spend(text.len())?;
                    self.add(Object::Bytes(text.as_bytes().to_vec()))
                }
                _ => wrong(self),
            },
            ("builtins.bytes", []) => self.add(Object::Bytes(Vec::new())),
            ("builtins.bytearray", []) => self.add(Object::ByteArray(Vec::new())),
            ("builtins.bytes" | "builtins.bytearray", [bytes]) => match self.graph.object(bytes) {
                Some(Object::Bytes(bytes)) => {
                    let bytes = bytes.clone();
                    self.spend(bytes.len())?;
                    self.add(if name == "builtins.bytes" { Object::Bytes(bytes) } else { Object::ByteArray(bytes) })
                }
                _ => wrong(self),
            },
            ("builtins.set", []) => self.add(Object::Set(Vec::new())),
            ("builtins.frozenset", []) => self.add(Object::FrozenSet(Vec::new())),
            ("builtins.set" | "builtins.frozenset", [items]) => match self.graph.object(items) {
                Some(Object::List(items) | Object::Tuple(items)) => {
                    let items = items.clone();
                    self.spend(items.len())?;
                    for item in &items {
                        self.check_key(item)?;
                    }
                    self.add(if name == "builtins.set" { Object::Set(items) } else { Object::FrozenSet(items) })
                }
                _ => wrong(self),
            },
            ("builtins.complex", [re, im]) => match (number(re), number(im)) {
                (Some(re), Some(im)) => self.add(Object::Complex { re, im }),
                _ => wrong(self),
            },
            ("torch.serialization._get_layout", [Value::Str(layout)]) => self.add(Object::Layout(layout.clone())),
            ("torch._utils._rebuild_tensor", [storage, offset, size, stride]) => {
                let tensor = self.tensor(storage, None, offset, size, stride)?;
                self.add(Object::Tensor(Box::new(tensor)))
            }
            // The sixth argument, backward hooks, is ignored: PyTorch writes an empty OrderedDict there.
            ("torch._utils._rebuild_tensor_v2", [storage, offset, size, stride, Value::Bool(requires_grad), _, rest @ ..])
                if rest.len() <= 1 =>
            {
                let mut tensor = self.tensor(storage, None, offset, size, stride)?;
                tensor.requires_grad = *requires_grad;
                self.tensor_metadata(&mut tensor, rest)?;
                self.add_tensor(tensor)
            }
            ("torch._utils._rebuild_tensor_v3", [storage, offset, size, stride, Value::Bool(requires_grad), _, dtype, rest @ ..])
                if rest.len() <= 1 =>
            {
                let dtype = self.dtype(dtype)?;
                let mut tensor = self.tensor(storage, Some(dtype), offset, size, stride)?;
                tensor.requires_grad = *requires_grad;
                self.tensor_metadata(&mut tensor, rest)?;
                self.add_tensor(tensor)
            }
            ("torch._utils._rebuild_meta_tensor_no_storage", [dtype, size, stride, Value::Bool(requires_grad)]) => {
                let dtype = self.dtype(dtype)?;
                let (shape, strides) = self.shape(size, stride)?;
                let tensor = Tensor {
                    storage: None,
                    dtype,
                    shape,
                    strides,
                    offset: 0,
                    requires_grad: *requires_grad,
                    conj: false,
                    neg: false,
                    attributes: None,
                    class: None,
                };
                if tensor.element_count().is_none() || tensor.extent_bytes().is_none() {
                    return self.fail("a meta tensor's size overflows");
                }
                self.add_tensor(tensor)
            }
            ("torch._utils._rebuild_parameter", [data, Value::Bool(requires_grad), _]) => self.parameter(data, *requires_grad, None),
            ("torch._utils._rebuild_parameter_with_state", [data, Value::Bool(requires_grad), _, state]) => {
                self.parameter(data, *requires_grad, Some(state.clone()))
            }
            ("torch.nn.parameter.Parameter", [data]) => self.parameter(data, true, None),
            ("torch.nn.parameter.Parameter", [data, Value::Bool(requires_grad)]) => self.parameter(data, *requires_grad, None),
            ("torch._tensor._rebuild_from_type_v2", [function, class, inner, state]) => {
                // One level only: a call within a call within a call would be recursion without end.
                if self.global_name(function).is_none_or(|function| !function.starts_with("torch._utils._rebuild_")) {
                    return wrong(self);
                }
                let value = self.reduce(function.clone(), inner.clone())?;
                let state = self.state_dict_of(state)?;
                let class = match self.global_name(class) {
                    Some(name) if name == "torch.Tensor" => None,
                    Some(_) => match class {
                        Value::Object(id) => Some(*id),
                        _ => None,
                    },
                    None => return wrong(self),
                };
                let Value::Object(id) = value else { return wrong(self) };
                match &mut self.graph[id] {
                    Object::Tensor(tensor) => {
                        tensor.class = class;
                        tensor.attributes = state;
                    }
                    _ => return wrong(self),
                }
                Ok(value)
            }
            _ => wrong(self),
        }
    }

    /// `__dict__` as a dict object; None if it is empty. Subclasses with slots write (dict, slots).
    fn state_dict_of(&self, state: &Value) -> Result<Option<ObjectId>> {
        match (state, self.graph.object(state)) {
            (Value::None, _) => Ok(None),
            (Value::Object(id), Some(Object::Dict { entries, .. })) => Ok((!entries.is_empty()).then_some(*id)),
            (_, Some(Object::Tuple(parts))) if parts.len() == 2 && parts[1] == Value::None => match &parts[0] {
                Value::None => Ok(None),
                Value::Object(id) if matches!(self.graph[*id], Object::Dict { .. }) => Ok(Some(*id)),
                other => self.fail(format!("Invalid serialized state: {}", self.graph.type_name(other))),
            },
            _ => self.fail(format!("Invalid serialized state: {}", self.graph.type_name(state))),
        }
    }

    /// `OrderedDict([[key, value], …])`, as Python 2 wrote it.
    fn ordered_entries(&mut self, items: &Value) -> Result<Vec<(Value, Value)>> {
        let items = match self.graph.object(items) {
            Some(Object::List(items) | Object::Tuple(items)) => items.clone(),
            _ => return self.fail("OrderedDict needs a list of pairs"),
        };
        self.spend(items.len())?;
        let mut entries = Vec::with_capacity(items.len());
        for item in &items {
            match self.graph.object(item) {
                Some(Object::List(pair) | Object::Tuple(pair)) if pair.len() == 2 => {
                    self.check_key(&pair[0])?;
                    entries.push((pair[0].clone(), pair[1].clone()));
                }
                _ => return self.fail("OrderedDict needs a list of pairs"),
            }
        }
        Ok(entries)
    }

    fn ints(&mut self, value: &Value) -> Result<Vec<i64>> {
        let items = match self.graph.object(value) {
            Some(Object::Size(sizes)) => {
                let sizes = sizes.clone();
                self.spend(sizes.len())?;
                return Ok(sizes);
            }
            Some(Object::Tuple(items) | Object::List(items)) => items,
            _ => return self.fail(format!("sizes must be a tuple of ints, but got {}", self.graph.type_name(value))),
        };
        let count = items.len();
        let ints: Option<Vec<i64>> = if count <= self.budget { items.iter().map(Value::as_int).collect() } else { Some(Vec::new()) };
        self.spend(count)?;
        match ints {
            Some(ints) => Ok(ints),
            None => self.fail("sizes must be a tuple of ints"),
        }
    }

    fn sizes(&mut self, what: &str, value: &Value) -> Result<Vec<usize>> {
        let ints = self.ints(value)?;
        if ints.len() > MAX_DIMS {
            return self.fail(format!("a tensor has {} dimensions; at most {MAX_DIMS} are supported", ints.len()));
        }
        ints.iter()
            .map(|&size| match usize::try_from(size) {
                Ok(size) => Ok(size),
                Err(_) => self.fail(format!("a tensor has a negative {what}: {size}")),
            })
            .collect()
    }

    fn shape(&mut self, size: &Value, stride: &Value) -> Result<(Vec<usize>, Vec<usize>)> {
        let (shape, strides) = (self.sizes("size", size)?, self.sizes("stride", stride)?);
        if shape.len() != strides.len() {
            return self.fail(format!("mismatch in length of strides and shape: {} and {}", strides.len(), shape.len()));
        }
        Ok((shape, strides))
    }

    fn dtype(&self, value: &Value) -> Result<DType> {
        match value {
            Value::DType(dtype) => Ok(*dtype),
            other => match self.global_name(other) {
                Some(name) => Err(Error::Unsupported(format!("tensors of dtype {name} are not supported"))),
                None => self.fail(format!("a dtype is expected, but got {}", self.graph.type_name(other))),
            },
        }
    }

    fn tensor(&mut self, storage: &Value, dtype: Option<DType>, offset: &Value, size: &Value, stride: &Value) -> Result<Tensor> {
        let Some(Object::Storage(storage)) = self.graph.object(storage) else {
            return self.fail(format!("a storage is expected, but got {}", self.graph.type_name(storage)));
        };
        let storage = *storage;
        let dtype = dtype.or(storage.dtype).unwrap_or(DType::U8);
        let Some(offset) = offset.as_int().and_then(|offset| usize::try_from(offset).ok()) else {
            return self.fail("a tensor's storage offset must be an int, at least 0");
        };
        let (shape, strides) = self.shape(size, stride)?;
        let width = dtype.size_bytes() as u64;
        if storage.offset_bytes % width != 0 {
            return self.fail(format!("a storage view at byte {} cannot hold {}", storage.offset_bytes, dtype.name()));
        }
        let mut tensor = Tensor {
            storage: Some(storage.storage),
            dtype,
            shape,
            strides,
            offset,
            requires_grad: false,
            conj: false,
            neg: false,
            attributes: None,
            class: None,
        };
        let extent = tensor.extent_bytes().filter(|_| tensor.element_count().is_some());
        if extent.is_none_or(|extent| extent > storage.len_bytes) {
            return self.fail(format!(
                "setStorage: sizes {:?}, strides {:?}, storage offset {}, and itemsize {width} are out of bounds for storage of size {}",
                tensor.shape, tensor.strides, tensor.offset, storage.len_bytes
            ));
        }
        // No overflow: both parts are within a storage, whose length is at most the file's.
        tensor.offset = tensor.offset.saturating_add((storage.offset_bytes / width) as usize);
        Ok(tensor)
    }

    fn add_tensor(&mut self, tensor: Tensor) -> Result<Value> {
        if tensor.requires_grad && !tensor.dtype.is_differentiable() {
            return self.fail("only Tensors of floating point dtype can require gradients");
        }
        self.add(Object::Tensor(Box::new(tensor)))
    }

    fn tensor_metadata(&self, tensor: &mut Tensor, metadata: &[Value]) -> Result<()> {
        match metadata {
            [] | [Value::None] => Ok(()),
            [metadata] => match self.graph.object(metadata) {
                Some(Object::Dict { entries, .. }) => {
                    for (key, value) in entries {
                        match (key.as_str(), value) {
                            (Some("conj"), Value::Bool(conj)) => tensor.conj = *conj,
                            (Some("neg"), Value::Bool(neg)) => tensor.neg = *neg,
                            _ => return self.fail("Invalid key or value in a tensor's metadata"),
                        }
                    }
                    if tensor.conj && !tensor.dtype.is_complex() {
                        return self.fail("a real tensor has the conjugate bit");
                    }
                    Ok(())
                }
                _ => self.fail("a tensor's metadata must be a dict"),
            },
            _ => self.fail("a tensor has more than one metadata argument"),
        }
    }

    fn parameter(&mut self, data: &Value, requires_grad: bool, state: Option<Value>) -> Result<Value> {
        let id = match (data, self.graph.object(data)) {
            (Value::Object(id), Some(Object::Tensor(_))) => *id,
            // A tensor that only its own library can build (quantized, sparse): keep the call.
            (Value::Object(_), Some(Object::Instance(_))) => {
                let callable = self.add(Object::Global { module: "torch.nn.parameter".into(), name: "Parameter".into() })?;
                let args = self.add(Object::Tuple(vec![data.clone(), Value::Bool(requires_grad)]))?;
                return self.instance(callable, args, None, false);
            }
            _ => return self.fail(format!("a Parameter needs a tensor, but got {}", self.graph.type_name(data))),
        };
        if let Object::Tensor(tensor) = &self.graph[id]
            && requires_grad
            && !tensor.dtype.is_differentiable()
        {
            return self.fail("Only Tensors of floating point and complex dtype can require gradients");
        }
        let state = match state {
            Some(state) if self.graph.object(&state).is_some_and(|object| matches!(object, Object::Dict { .. } | Object::Tuple(_))) => {
                Some(state)
            }
            None | Some(Value::None) => None,
            Some(other) => return self.fail(format!("Invalid serialized state: {}", self.graph.type_name(&other))),
        };
        self.add(Object::Parameter { data: id, requires_grad, state })
    }

    fn instance(&mut self, callable: Value, args: Value, kwargs: Option<Value>, is_new: bool) -> Result<Value> {
        if !matches!(self.graph.object(&args), Some(Object::Tuple(_))) {
            return self.fail(format!("arguments must be a tuple, but got {}", self.graph.type_name(&args)));
        }
        if kwargs.as_ref().is_some_and(|kwargs| !matches!(self.graph.object(kwargs), Some(Object::Dict { .. }))) {
            return self.fail("keyword arguments must be a dict");
        }
        self.add(Object::Instance(Box::new(Instance {
            callable,
            args,
            kwargs,
            is_new,
            appended: Vec::new(),
            entries: Vec::new(),
            state: None,
        })))
    }

    fn new_object(&mut self, class: Value, args: Value, kwargs: Option<Value>) -> Result<Value> {
        let Some(name) = self.global_name(&class) else {
            return self.fail(format!(
                "Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got {}",
                self.graph.type_name(&class)
            ));
        };
        match name.as_str() {
            "collections.OrderedDict" | "collections.Counter" | "builtins.set" | "builtins.frozenset" | "torch.nn.parameter.Parameter" => {
                let parts = self.tuple(&args)?;
                self.construct(&name, &parts)
            }
            _ => self.instance(class, args, kwargs, true),
        }
    }

    fn build(&mut self, state: Value) -> Result<()> {
        let target = self.top()?.clone();
        let refuse = |machine: &Self| {
            machine.fail(format!(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got <class '{}'>",
                machine.graph.type_name(&target)
            ))
        };
        let Value::Object(id) = target else { return refuse(self) };
        let state_dict = match (&state, self.graph.object(&state)) {
            (Value::Object(id), Some(Object::Dict { .. })) => Some(*id),
            _ => None,
        };
        match &mut self.graph[id] {
            Object::Dict { kind: DictKind::OrderedDict, attributes, .. } => {
                if attributes.is_some() {
                    return self.fail("an OrderedDict is given its attributes twice");
                }
                let Some(state) = state_dict else {
                    return self.fail("an OrderedDict's attributes must be a dict");
                };
                *attributes = Some(state);
                Ok(())
            }
            Object::Instance(instance) => {
                if instance.state.is_some() {
                    return self.fail("an object is given its state twice");
                }
                instance.state = Some(state);
                Ok(())
            }
            _ => refuse(self),
        }
    }
}

/// Names are copied for each call; longer ones than any program has are refused.
const MAX_NAME_BYTES: usize = 1024;

/// More dimensions than any tensor has; PyTorch's iterators stop at 64 too.
const MAX_DIMS: usize = 64;

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(value) => Some(*value),
        Value::Int(value) => Some(*value as f64),
        _ => None,
    }
}

/// Two's complement, little-endian; the shortest bytes if i64 does not hold it.
fn int_from_bytes(bytes: &[u8]) -> std::result::Result<i64, Vec<u8>> {
    let Some(&last) = bytes.last() else { return Ok(0) };
    let fill = if last & 0x80 != 0 { 0xff } else { 0 };
    let mut len = bytes.len();
    while len > 1 && bytes[len - 1] == fill && (bytes[len - 2] & 0x80) == (fill & 0x80) {
        len -= 1;
    }
    if len > 8 {
        return Err(bytes[..len].to_vec());
    }
    let mut wide = [fill; 8];
    wide[..len].copy_from_slice(&bytes[..len]);
    Ok(i64::from_le_bytes(wide))
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

impl StorageRef {
    /// All of a storage.
    pub fn whole(storage: crate::value::StorageId, dtype: Option<DType>, len_bytes: u64) -> StorageRef {
        StorageRef { storage, dtype, offset_bytes: 0, len_bytes }
    }
}
