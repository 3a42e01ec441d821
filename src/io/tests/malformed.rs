//! Malformed files: each one gives a clear error, and none a panic, a hang or memory it does not contain.

use std::time::{Duration, Instant};

use rustnn_io::zip::ArchiveWriter;
use rustnn_io::*;

fn check<T>(cases: Vec<(&str, Result<T>, &str)>) {
    for (what, result, expected) in cases {
        match result {
            Ok(_) => panic!("{what}: was read"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(expected), "{what}: the error is {text:?}, expected {expected:?}");
            }
        }
    }
}

/// A pickle of protocol 2 with this body.
fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

fn read_plain(bytes: &[u8]) -> Result<(Graph, Value)> {
    pickle::read(bytes, &Options::default())
}

fn plain(body: &[u8]) -> Result<(Graph, Value)> {
    read_plain(&pickle(body))
}

#[test]
fn broken_pickles_are_refused() {
    check(vec![
        ("nothing", read_plain(b""), "Ran out of input"),
        ("no end", read_plain(b"\x80\x02N"), "Ran out of input"),
        ("protocol 6", read_plain(b"\x80\x06N."), "unsupported pickle protocol: 6"),
        ("half an int", read_plain(b"\x80\x02J\x01\x00"), "Ran out of input"),
        ("half a float", read_plain(b"G\x01\x00"), "Ran out of input"),
        ("a string without end", read_plain(b"X\xff\xff\xff\xffabc."), "Ran out of input"),
        ("a string of 2^64 bytes", read_plain(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc."), "Ran out of input"),
        ("bytes of 2^63 bytes", read_plain(b"\x8e\x00\x00\x00\x00\x00\x00\x00\x80abc."), "Ran out of input"),
        ("a bytearray of 2^40 bytes", read_plain(b"\x96\x00\x00\x00\x00\x00\x01\x00\x00abc."), "Ran out of input"),
        ("half a long", read_plain(b"\x8a\x09abc."), "Ran out of input"),
        ("a long of negative length", plain(b"\x8b\xff\xff\xff\xff"), "negative length"),
        ("a byte string of negative length", plain(b"T\xff\xff\xff\xff"), "negative length"),
        ("a string that is not UTF-8", plain(b"X\x01\x00\x00\x00\xff"), "not valid UTF-8"),
        ("a lone surrogate", plain(b"X\x03\x00\x00\x00\xed\xa0\x80"), "lone surrogates"),
        ("an empty stack", plain(b""), "the stack is empty"),
        ("an end inside a mark", plain(b"N("), "the stack is empty"),
        ("a tuple without mark", plain(b"t"), "a mark is missing"),
        ("a pair of one", plain(b"N\x86"), "the stack is empty"),
        ("a pair over a mark", plain(b"N(N\x86"), "the stack is empty"),
        ("append to a dict", plain(b"}Na"), "Can only append to lists, but got <class 'dict'>"),
        ("append to None", plain(b"NNa"), "Can only append to lists"),
        ("extend a tuple", plain(b")(Ne"), "Can only append to lists, but got <class 'tuple'>"),
        ("an entry in a list", plain(b"]NNs"), "Can only SETITEM for dict"),
        ("entries in a set", plain(b"\x8f(NNu"), "Can only SETITEMS for dict"),
        ("half an entry", plain(b"}(Nu"), "odd number of items"),
        ("a list as key", plain(b"}]Ns"), "unhashable type: 'list'"),
        ("a dict in a set", plain(b"c__builtin__\nset\n(](}ett\x85R"), "a mark is missing"),
        ("a list in a set", plain(b"c__builtin__\nset\n](]e\x85R"), "unhashable type: 'list'"),
        ("a memo that was never set", plain(b"h\x05"), "memo 5 was never set"),
        ("a far memo that was never set", plain(b"j\xff\xff\xff\xff"), "memo 4294967295 was never set"),
        ("a memo of nothing", plain(b"q\x00"), "the stack is empty"),
        ("a memo number that is none", plain(b"Np-1\n"), "not a memo number"),
        ("an int that is none", plain(b"Iabc\n"), "is not an integer"),
        ("a float that is none", plain(b"Fabc\n"), "is not a float"),
        ("a string without quotes", plain(b"Sabc\n"), "not in quotes"),
        ("a string with half an escape", plain(b"S'a\\'\n"), "ends inside an escape"),
        ("a string with a bad escape", plain(b"S'\\xzz'\n"), "escape is malformed"),
        ("a unicode line with a bad escape", plain(b"V\\u12\n"), "escape is malformed"),
        ("a byte string beyond UTF-8", plain(b"U\x01\xe9"), "load with encoding='latin1'"),
        ("INST", plain(b"(iposix\nsystem\n"), "Unsupported operand 105 (INST)"),
        ("OBJ", plain(b"(No"), "Unsupported operand 111 (OBJ)"),
        ("EXT1", plain(b"\x82\x01"), "Unsupported operand 130 (EXT)"),
        ("an out-of-band buffer", plain(b"\x97"), "Unsupported operand 151"),
        ("no instruction", plain(b"\xff"), "Unsupported operand 255"),
        ("a persistent id in a plain pickle", plain(b"NQ"), "unsupported persistent id"),
        ("add items to a list", plain(b"](N\x90"), "Can only add to sets"),
        ("a list added to a set", plain(b"\x8f(]\x90"), "unhashable type: 'list'"),
        ("a frozen set of a dict", plain(b"(}\x91"), "unhashable type: 'dict'"),
    ]);
}

#[test]
fn names_off_the_list_are_refused_by_name() {
    check(vec![
        ("os.system", plain(b"cos\nsystem\n"), "Trying to load unsupported GLOBAL os.system whose module os is blocked"),
        ("posix.system", plain(b"cposix\nsystem\n"), "GLOBAL posix.system whose module posix is blocked"),
        ("eval", plain(b"c__builtin__\neval\n"), "Unsupported global: GLOBAL eval was not an allowed global by default"),
        ("a user's class", plain(b"cmy.module\nMy.Class\n"), "add_safe_globals([my.module.My.Class])"),
        ("from the stack", plain(b"X\x02\x00\x00\x00osX\x05\x00\x00\x00popen\x93"), "GLOBAL os.popen"),
        ("a torch function", plain(b"ctorch\nload\n"), "GLOBAL torch.load"),
        ("getattr", plain(b"cbuiltins\ngetattr\n"), "GLOBAL getattr"),
        ("a dotted name", plain(b"ctorch\nTensor.__class__\n"), "GLOBAL torch.Tensor.__class__"),
        ("numpy", plain(b"cnumpy.core.multiarray\n_reconstruct\n"), "GLOBAL numpy.core.multiarray._reconstruct"),
        ("a name that is not UTF-8", plain(b"c\xff\nx\n"), "not valid UTF-8"),
        ("a name without end", read_plain(b"\x80\x02ctorch\nTensor"), "Ran out of input"),
        ("a name of numbers", plain(b"K\x01K\x02\x93"), "STACK_GLOBAL requires str"),
        ("a name of a megabyte", plain(&[b"ctorch\n", &vec![b'a'; 1 << 20][..], b"\n"].concat()), "is too long"),
    ]);
    let allowed = Options { globals: Globals::ListedAnd(["os.system".to_owned()].into()), ..Options::default() };
    check(vec![("os.system in spite of leave", pickle::read(&pickle(b"cos\nsystem\n"), &allowed), "is blocked")]);
}

#[test]
fn allowed_names_are_data_not_calls() {
    let options = Options { globals: Globals::ListedAnd(["my.Class".to_owned()].into()), ..Options::default() };
    let (graph, root) = pickle::read(&pickle(b"cmy\nClass\nK\x01\x85R}X\x01\x00\x00\x00aK\x02sb"), &options).unwrap();
    let Some(Object::Instance(instance)) = graph.object(&root) else { panic!("not an instance") };
    assert!(matches!(graph.object(&instance.callable), Some(Object::Global { name, .. }) if &**name == "Class"));
    assert_eq!(graph.get(instance.state.as_ref().unwrap(), "a"), Some(&Value::Int(2)));
    assert!(!instance.is_new && instance.kwargs.is_none());
}

#[test]
fn wrong_calls_are_refused() {
    let ordered = b"ccollections\nOrderedDict\n)R";
    check(vec![
        ("a call of an int", plain(b"K\x01)R"), "Trying to call reduce for unrecognized function int"),
        ("a call with a list", plain(b"ctorch\nSize\n]R"), "arguments must be a tuple, but got list"),
        ("a new object of an int", plain(b"K\x01)\x81"), "Can only create new object"),
        ("keywords that are none", plain(b"ctorch\nTensor\n)N\x92"), "keyword arguments must be a dict"),
        ("state for a list", plain(b"]}b"), "Can only build Tensor, Parameter, OrderedDict"),
        ("state for an int", plain(b"K\x01}b"), "Can only build Tensor, Parameter, OrderedDict"),
        ("attributes that are none", plain(&[&ordered[..], b"Nb"].concat()), "attributes must be a dict"),
        ("attributes twice", plain(&[&ordered[..], b"}b}b"].concat()), "attributes twice"),
        ("an ordered dict of ints", plain(b"ccollections\nOrderedDict\n](K\x01K\x02e\x85R"), "needs a list of pairs"),
        ("an ordered dict of a list key", plain(b"ccollections\nOrderedDict\n](]N\x86e\x85R"), "unhashable type: 'list'"),
        ("a counter of a list", plain(b"ccollections\nCounter\n]\x85R"), "cannot take arguments (list)"),
        ("a complex of strings", plain(b"c__builtin__\ncomplex\nVa\nVb\n\x86R"), "cannot take arguments (str, str)"),
        ("bytes beyond Latin-1", plain(b"c_codecs\nencode\nV\\u20ac\nVlatin1\n\x86R"), "beyond Latin-1"),
        ("another codec", plain(b"c_codecs\nencode\nVa\nVzip\n\x86R"), "cannot take arguments"),
        ("a size of strings", plain(b"ctorch\nSize\nVa\n\x85\x85R"), "tuple of ints"),
        ("a device without number", plain(b"ctorch\ndevice\nVcuda:x\n\x85R"), "Invalid device string: 'cuda:x'"),
        ("a device of None", plain(b"ctorch\ndevice\nN\x85R"), "cannot take arguments (NoneType)"),
        ("a parameter of an int", plain(b"ctorch._utils\n_rebuild_parameter\nK\x01\x88N\x87R"), "a Parameter needs a tensor, but got int"),
        ("a tensor of no storage", plain(b"ctorch._utils\n_rebuild_tensor\n(NK\x00))tR"), "a storage is expected, but got NoneType"),
        (
            "calls within calls",
            plain(b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00(h\x00ctorch\nTensor\n)NtR"),
            "cannot take arguments",
        ),
        ("a call with 65 arguments", plain(&[&b"ctorch\nSize\n("[..], &[b'N'; 65], b"tR"].concat()), "more than 64 arguments"),
        ("a foreign dtype's tensor", plain(b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nuint4\n))\x89tR"), "torch.uint4"),
        (
            "a meta tensor beyond memory",
            plain(b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nint8\n\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x09\x86K\x01K\x01\x86\x89tR"),
            "overflows",
        ),
    ]);
}

#[test]
fn limits_are_named() {
    let limited = |limits: Limits, body: &[u8]| pickle::read(&pickle(body), &Options { limits, ..Options::default() });
    let nested = [vec![b']'; 2000], vec![b'a'; 1999]].concat();
    check(vec![
        ("objects", limited(Limits { objects: 3, ..Limits::default() }, b"]]]]"), "more than 3 objects"),
        ("depth", limited(Limits { depth: 100, ..Limits::default() }, &nested), "nested deeper than 100"),
    ]);
    assert!(limited(Limits::default(), &nested).is_ok());
}

#[test]
fn copying_the_same_data_again_and_again_is_refused() {
    // A list of 50,000 ints, and a set of it 50,000 times: 2.5 billion items from a small file.
    let mut body = b"](".to_vec();
    body.extend([b'N'; 50_000]);
    body.extend(b"eq\x000c__builtin__\nset\nq\x010](");
    for _ in 0..50_000 {
        body.extend(b"h\x01h\x00\x85R");
    }
    body.push(b'e');
    check(vec![("sets of one list", plain(&body), "copies the same data again and again")]);
}

#[test]
fn tangled_graphs_take_no_longer_than_their_size() {
    // A tuple of 20,000 lists, each of which holds the tuple.
    let count: u32 = 20_000;
    let mut body = b"(".to_vec();
    for slot in 0..count {
        body.extend([&b"]r"[..], &slot.to_le_bytes()].concat());
    }
    body.extend([&b"tr"[..], &count.to_le_bytes()].concat());
    for slot in 0..count {
        body.extend([&b"j"[..], &slot.to_le_bytes(), b"j", &count.to_le_bytes(), b"a0"].concat());
    }
    let start = Instant::now();
    let (graph, root) = plain(&body).unwrap();
    assert_eq!(graph.build_order(&root, 100).unwrap().len(), 2 * count as usize + 1);
    let error = pickle::write(&graph, &root).unwrap_err();
    assert!(error.to_string().contains("part of more than 100 cycles"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_graph_that_cannot_exist_is_refused() {
    let mut graph = Graph::new();
    let tuple = graph.add(Object::Tuple(Vec::new()));
    graph[tuple] = Object::Tuple(vec![Value::Object(tuple)]);
    let stray = Value::Object(ObjectId(77));
    check(vec![
        ("a tuple of itself, built", graph.build_order(&Value::Object(tuple), 100).map(|_| ()), "a tuple contains itself"),
        ("a tuple of itself, written", pickle::write(&graph, &Value::Object(tuple)).map(|_| ()), "a tuple contains itself"),
        ("an object of another graph, built", graph.build_order(&stray, 100).map(|_| ()), "not in the graph"),
        ("an object of another graph, written", pickle::write(&graph, &stray).map(|_| ()), "not in the graph"),
    ]);
}

/// A zip file of these records.
fn zip(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = ArchiveWriter::new(&mut file);
    for (name, bytes) in records {
        writer.add(name, bytes).unwrap();
    }
    writer.finish().unwrap();
    file
}

fn checkpoint(records: &[(&str, &[u8])]) -> Result<Checkpoint> {
    read_checkpoint(zip(records), &Options::default())
}

/// A checkpoint of one float storage of 6 elements, `\x00` in the memo, with this pickle behind it.
fn with_storage(body: &[u8]) -> Result<Checkpoint> {
    let storage = b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nK\x06tQq\x000";
    checkpoint(&[("a/data.pkl", &pickle(&[&storage[..], body].concat())), ("a/data/0", &[0; 24])])
}

/// `_rebuild_tensor_v2(storage, …)`.
fn tensor(arguments: &[u8]) -> Result<Checkpoint> {
    with_storage(&[b"ctorch._utils\n_rebuild_tensor_v2\n(h\x00", arguments, b"tR"].concat())
}

/// A checkpoint whose pickle asks for this persistent id.
fn persistent(id: &[u8]) -> Result<Checkpoint> {
    checkpoint(&[("a/data.pkl", &pickle(&[id, b"Q"].concat())), ("a/data/0", &[0; 24])])
}

#[test]
fn tensors_beyond_their_storage_are_refused() {
    const LARGEST: &[u8] = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
    let large = |parts: &[&[u8]]| tensor(&parts.concat());
    assert!(tensor(b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89N").is_ok());
    assert!(tensor(b"K\x05K\x01\x85K\x64\x85\x89N").is_ok(), "the stride of a single element does not count");
    assert!(tensor(b"K\x00K\x00\x85K\x01\x85\x89N").is_ok());
    check(vec![
        ("one more element", tensor(b"K\x00K\x07\x85K\x01\x85\x89N"), "out of bounds for storage of size 24"),
        ("an offset too far", tensor(b"K\x05K\x02\x85K\x01\x85\x89N"), "out of bounds"),
        ("a stride too wide", tensor(b"K\x00K\x02\x85K\x06\x85\x89N"), "out of bounds"),
        ("an offset of 2^63", large(&[LARGEST, b"K\x02\x85K\x01\x85\x89N"]), "out of bounds"),
        ("a stride of 2^63", large(&[b"K\x00K\x03\x85", LARGEST, b"\x85\x89N"]), "out of bounds"),
        ("sizes of 2^126", large(&[b"K\x00", LARGEST, LARGEST, b"\x86K\x00K\x00\x86\x89N"]), "out of bounds"),
        ("a negative size", tensor(b"K\x00J\xff\xff\xff\xff\x85K\x01\x85\x89N"), "negative size: -1"),
        ("a negative stride", tensor(b"K\x00K\x02\x85J\xff\xff\xff\xff\x85\x89N"), "negative stride: -1"),
        ("a negative offset", tensor(b"J\xff\xff\xff\xffK\x02\x85K\x01\x85\x89N"), "at least 0"),
        ("more strides than sizes", tensor(b"K\x00K\x02\x85K\x01K\x01\x86\x89N"), "mismatch in length of strides and shape: 2 and 1"),
        ("65 dimensions", large(&[b"K\x00(", &b"K\x01".repeat(65), b"t(", &b"K\x01".repeat(65), b"t\x89N"]), "65 dimensions; at most 64"),
        ("requires_grad of 1", tensor(b"K\x00))K\x01N"), "cannot take arguments"),
        ("bits that are none", tensor(b"K\x00))\x89NVx\n"), "metadata must be a dict"),
        ("a bit of another name", tensor(b"K\x00))\x89N}Vx\n\x88s"), "Invalid key or value"),
        ("a conjugate real tensor", tensor(b"K\x00))\x89N}Vconj\n\x88s"), "a real tensor has the conjugate bit"),
        (
            "another dtype beyond the storage",
            with_storage(b"ctorch._utils\n_rebuild_tensor_v3\n(h\x00K\x00K\x04\x85K\x01\x85\x89Nctorch\nfloat64\ntR"),
            "itemsize 8 are out of bounds",
        ),
        (
            "an int tensor that requires grad",
            with_storage(b"ctorch._utils\n_rebuild_tensor_v3\n(h\x00K\x00K\x01\x85K\x01\x85\x88Nctorch\nint8\ntR"),
            "can require gradients",
        ),
        (
            "a dtype that is none",
            with_storage(b"ctorch._utils\n_rebuild_tensor_v3\n(h\x00K\x00K\x01\x85K\x01\x85\x88NNtR"),
            "a dtype is expected, but got NoneType",
        ),
        (
            "a 4-bit dtype",
            with_storage(b"ctorch._utils\n_rebuild_tensor_v3\n(h\x00K\x00K\x01\x85K\x01\x85\x88Nctorch\nfloat4_e2m1fn_x2\ntR"),
            "torch.float4_e2m1fn_x2 are not supported",
        ),
    ]);
}

#[test]
fn wrong_storages_are_refused() {
    check(vec![
        ("an id that is no tuple", persistent(b"N"), "persistent_load id must be a tuple, but got NoneType"),
        ("an id of two", persistent(b"Vstorage\nN\x86"), "has 2 parts, not 5"),
        ("an id of another kind", persistent(b"(Vmodule\nNNNNt"), "Only persistent_load of storage is allowed"),
        ("a class that is a string", persistent(b"(Vstorage\nVx\nV0\nVcpu\nK\x06t"), "a storage class is expected, but got str"),
        ("a class that is none", persistent(b"(Vstorage\nctorch\nSize\nV0\nVcpu\nK\x06t"), "torch.Size is not a storage class"),
        ("a quantized class", persistent(b"(Vstorage\nctorch\nQInt8Storage\nV0\nVcpu\nK\x06t"), "torch.QInt8Storage are not supported"),
        ("a key of None", persistent(b"(Vstorage\nctorch\nFloatStorage\nNVcpu\nK\x06t"), "must be strings"),
        ("a negative length", persistent(b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nJ\xff\xff\xff\xfft"), "at least 0"),
        (
            "a length of 2^63 elements",
            persistent(b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\n\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ft"),
            "larger than any file",
        ),
        (
            "a length that the record has not",
            persistent(b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nK\x07t"),
            "has 24 bytes, but the pickle says 28",
        ),
        ("a record that is not there", persistent(b"(Vstorage\nctorch\nFloatStorage\nV1\nVcpu\nK\x06t"), "file not found: a/data/1"),
        ("a key that leaves the folder", persistent(b"(Vstorage\nctorch\nFloatStorage\nV../data.pkl\nVcpu\nK\x06t"), "file not found"),
        ("a sixth part", persistent(b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nK\x06Nt"), "more than 5 parts"),
        ("two lengths", with_storage(b"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nK\x05tQ"), "storage 0 has 24 bytes here and 20 there"),
    ]);
}

#[test]
fn wrong_archives_are_refused() {
    let none = pickle(b"N");
    check(vec![
        ("no data.pkl", checkpoint(&[("a/other", b"x")]), "holds no data.pkl"),
        ("two data.pkl", checkpoint(&[("a/data.pkl", &none), ("b/data.pkl", &none)]), "several data.pkl"),
        ("TorchScript", checkpoint(&[("a/data.pkl", &none), ("a/constants.pkl", &none)]), "TorchScript"),
        ("another byte order", checkpoint(&[("a/data.pkl", &none), ("a/byteorder", b"middle")]), "Unknown endianness type: middle"),
        ("a long byte order", checkpoint(&[("a/data.pkl", &none), ("a/byteorder", &[b'l'; 100])]), "longer than any"),
        (
            "a big-endian storage of two widths",
            {
                let tensor = |dtype: &str| format!("ctorch._utils\n_rebuild_tensor_v3\n(h\0K\0))\u{89}Nctorch\n{dtype}\ntR");
                // Latin-1 bytes of the text above.
                let tensors: Vec<u8> = (tensor("int16") + &tensor("int32")).chars().map(|c| c as u8).collect();
                let body = [b"(Vstorage\nctorch.storage\nUntypedStorage\nV0\nVcpu\nK\x18tQq\x000", &tensors[..], b"\x86"].concat();
                checkpoint(&[("a/data.pkl", &pickle(&body)), ("a/byteorder", b"big"), ("a/data/0", &[0; 24])])
            },
            "different widths",
        ),
    ]);
    let limits = Limits { pickle_bytes: 3, ..Limits::default() };
    check(vec![(
        "a pickle beyond the limit",
        read_checkpoint(zip(&[("a/data.pkl", &none)]), &Options { limits, ..Options::default() }),
        "more than the limit of 3",
    )]);
}

/// Replaces bytes at a place given by what stands there.
fn patch(file: &[u8], find: &[u8], occurrence: usize, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = (0..=file.len() - find.len()).filter(|&at| file[at..].starts_with(find)).collect();
    let at = places[occurrence] + offset;
    let mut file = file.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

const CENTRAL: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const END: &[u8] = b"PK\x05\x06";

#[test]
fn broken_zip_files_are_refused() {
    let whole = zip(&[("a/data.pkl", &pickle(b"N")), ("a/data/0", &[1; 100]), ("a/data/1", &[2; 100])]);
    let read = |file: Vec<u8>| read_checkpoint(file, &Options::default());
    let patched = |find: &[u8], occurrence: usize, offset: usize, bytes: &[u8]| read(patch(&whole, find, occurrence, offset, bytes));
    let with_end = |extra: &[u8]| [&whole[..], extra].concat();
    assert!(read(whole.clone()).is_ok());
    check(vec![
        ("nothing", read(Vec::new()), "Ran out of input"),
        ("a bare signature", read(LOCAL.to_vec()), "too short"),
        ("no directory", read(whole[..whole.len() - 22].to_vec()), "failed finding central directory"),
        ("a byte too few", read(whole[..whole.len() - 1].to_vec()), "failed finding central directory"),
        ("a byte too many", read(with_end(b"x")), "failed finding central directory"),
        ("a wrong directory signature", patched(CENTRAL, 0, 0, b"XX"), "no signature"),
        ("a wrong header signature", patched(LOCAL, 1, 0, b"XX"), "has no header"),
        ("the same name twice", patched(b"a/data/1", 1, 0, b"a/data/0"), "comes twice"),
        ("another name in the header", patched(b"a/data/1", 0, 0, b"a/data/x"), "another name in its header"),
        ("an encrypted record", patched(CENTRAL, 1, 8, b"\x01"), "is encrypted"),
        ("another compression", patched(CENTRAL, 1, 10, b"\x0e"), "compression method 14"),
        ("two compressions", patched(LOCAL, 1, 8, b"\x08"), "two different compression methods"),
        ("two lengths", patched(CENTRAL, 1, 20, b"\x63"), "is stored with 99 bytes, but has 100"),
        ("a name that is not UTF-8", patched(b"a/data/1", 1, 0, b"\xff"), "not valid UTF-8"),
        ("a header in the directory", patched(CENTRAL, 1, 42, b"\xff\xff"), "lies outside the data"),
        ("a header far beyond", patched(CENTRAL, 1, 42, b"\x00\x00\x00\xf0"), "lies outside the data"),
        ("a record that reaches into the directory", patched(CENTRAL, 2, 20, b"\x00\x10\x00\x00\x00\x10\x00\x00"), "lies outside the data"),
        ("a record that reaches into the next", patched(CENTRAL, 1, 20, b"\xf0\x00\x00\x00\xf0\x00\x00\x00"), "overlap"),
        ("a directory elsewhere", patched(END, 0, 16, b"\x01"), "not where the end record says"),
        ("a longer directory", patched(END, 0, 12, b"\xff"), "not where the end record says"),
        ("more records than there are", patched(END, 0, 8, b"\x04\x00\x04\x00"), "too short for its number of records"),
        ("fewer records than there are", patched(END, 0, 8, b"\x02\x00\x02\x00"), "longer than its records"),
        ("far more records than fit", patched(END, 0, 8, b"\xff\xff\xff\xff"), "too short for its number of records"),
        ("several disks", patched(END, 0, 4, b"\x01"), "several disks"),
        ("a name longer than the directory", patched(CENTRAL, 2, 28, b"\xff\xff"), "cut short"),
        ("a changed pickle", patched(b"\x80\x02N.", 0, 2, b"\x88"), "invalid CRC-32 of record \"a/data.pkl\""),
    ]);
    let limits = Limits { records: 2, ..Limits::default() };
    check(vec![(
        "too many records",
        read_checkpoint(whole.clone(), &Options { limits, ..Options::default() }),
        "more than the limit of 2",
    )]);
}

#[test]
fn a_changed_storage_is_found_when_it_is_read() {
    let storage = b"(Vstorage\nctorch\nByteStorage\nV0\nVcpu\nK\x64tQ";
    let file = zip(&[("a/data.pkl", &pickle(storage)), ("a/data/0", &[7; 100])]);
    let file = patch(&file, &[7; 100], 0, 50, b"\x08");
    let error = read_checkpoint(file.clone(), &Options::default()).unwrap().read_storage(StorageId(0)).unwrap_err();
    assert!(error.to_string().contains("invalid CRC-32 of record \"a/data/0\""), "{error}");
    let options = Options { verify_checksums: false, ..Options::default() };
    assert_eq!(read_checkpoint(file, &options).unwrap().read_storage(StorageId(0)).unwrap()[50], 8);
}

/// A zip file of one deflated record, whose directory says `len_bytes`.
fn deflated(data: &[u8], len_bytes: u32) -> Vec<u8> {
    let stored = miniz_oxide::deflate::compress_to_vec(data, 6);
    deflated_raw(&stored, len_bytes, crc32fast::hash(data))
}

fn deflated_raw(stored: &[u8], len_bytes: u32, crc: u32) -> Vec<u8> {
    let file = zip(&[("a/data.pkl", stored)]);
    let file = patch(&file, LOCAL, 0, 8, b"\x08");
    let file = patch(&file, CENTRAL, 0, 10, b"\x08");
    let file = patch(&file, CENTRAL, 0, 16, &crc.to_le_bytes());
    patch(&file, CENTRAL, 0, 24, &len_bytes.to_le_bytes())
}

#[test]
fn deflated_records_are_read_within_limits() {
    let body = pickle(&[&b"X\x00\x10\x00\x00"[..], &[b'a'; 4096]].concat());
    let read = |file: Vec<u8>| read_checkpoint(file, &Options::default());
    let limits = Limits { inflated_bytes: 1000, ..Limits::default() };
    let checkpoint = read(deflated(&body, body.len() as u32)).unwrap();
    assert_eq!(checkpoint.root.as_str(), Some(&*"a".repeat(4096)));
    check(vec![
        ("a longer record than said", read(deflated(&body, 100)), "does not inflate to its 100 bytes"),
        ("a shorter record than said", read(deflated(&body, 9999)), "does not inflate to its 9999 bytes"),
        ("an impossible ratio", read(deflated(&body, 1 << 30)), "beyond what deflate can"),
        ("garbage", read(deflated_raw(&[0xff; 50], 60, 0)), "does not inflate"),
        (
            "a bomb",
            read_checkpoint(deflated(&body, body.len() as u32), &Options { limits, ..Options::default() }),
            "raise the limit on inflated_bytes",
        ),
    ]);
}

/// A legacy file: the object's pickle, the keys' pickle, the storages.
fn legacy(object: &[u8], keys: &[u8], storages: &[u8]) -> Vec<u8> {
    let head = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00.";
    [&head[..], &pickle(object), &pickle(keys), storages].concat()
}

#[test]
fn broken_legacy_files_are_refused() {
    let read = |file: Vec<u8>| read_checkpoint(file, &Options::default());
    let object = b"(Vstorage\nctorch\nFloatStorage\nVk\nVcpu\nK\x02NtQ";
    let data = [&2u64.to_le_bytes()[..], &[0; 8]].concat();
    let view = |view: &[u8]| legacy(&[b"(Vstorage\nctorch\nFloatStorage\nVk\nVcpu\nK\x02", view, b"tQ"].concat(), b"]Vk\na", &data);
    assert_eq!(read(legacy(object, b"]Vk\na", &data)).unwrap().read_storage(StorageId(0)).unwrap(), [0; 8]);
    assert!(read(view(b"Vv\nK\x01K\x01\x87")).is_ok());
    check(vec![
        ("text", read(b"hello, world".to_vec()), "Invalid magic number; corrupt file?"),
        ("binary", read(vec![0xff; 1000]), "Invalid magic number; corrupt file?"),
        ("another pickle", read(pickle(b"K\x01")), "Invalid magic number; corrupt file?"),
        ("another version", read(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xea\x03.".to_vec()), "Invalid protocol version"),
        ("magic alone", read(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec()), "Ran out of input"),
        ("no keys", read(legacy(object, b"", b"")[..74].to_vec()), "Ran out of input"),
        ("keys that are no list", read(legacy(object, b"N", &data)), "list of storage keys is missing"),
        ("a key of None", read(legacy(object, b"]Na", &data)), "a storage key must be a string"),
        ("a key that nothing uses", read(legacy(object, b"](Vk\nVx\ne", &data)), "storage x is listed, but nothing uses it"),
        ("a key twice", read(legacy(object, b"](Vk\nVk\ne", &data)), "storage k is listed twice"),
        ("a key that is missing", read(legacy(object, b"]", &data)), "storage k is used, but not in the file"),
        ("another length", read(legacy(object, b"]Vk\na", &[0; 16])), "storage k has 0 elements, but the pickle says 2"),
        ("a storage cut short", read(legacy(object, b"]Vk\na", &data[..12])), "was it cut short?"),
        ("a length cut short", read(legacy(object, b"]Vk\na", &data[..4])), "file ends too early"),
        ("a view beyond its storage", read(view(b"Vv\nK\x01K\x02\x87")), "is beyond its storage of 8"),
        ("a view that is none", read(view(b"K\x05")), "a storage view must be a tuple"),
        ("a view of two", read(view(b"K\x05K\x05\x86")), "(key, offset, size)"),
        ("a module", read(legacy(b"(Vmodule\nctorch\nSize\nNNtQ", b"]", b"")), "has 4 parts, not 5"),
    ]);
}

fn tar_member(name: &str, data: &[u8]) -> Vec<u8> {
    let mut header = vec![0u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend(data);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

#[test]
fn broken_tar_files_are_refused() {
    let read = |members: &[Vec<u8>]| read_checkpoint(members.concat(), &Options::default());
    let storage = |count: u64, views: &[u8]| {
        let head = [pickle(b"K\x01"), pickle(b"K\x07Vcpu\nctorch\nFloatStorage\n\x87")].concat();
        tar_member("storages", &[&head[..], &count.to_le_bytes(), &[0; 8], &pickle(views)].concat())
    };
    let tensor = |dims: u32, numbers: &[i64]| {
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let head = [pickle(b"K\x01"), pickle(b"K\x09K\x07N\x87")].concat();
        tar_member("tensors", &[&head[..], &dims.to_le_bytes(), &[0; 4], &numbers].concat())
    };
    let object = |body: &[u8]| tar_member("pickle", &pickle(body));
    assert!(read(&[storage(2, b"]"), tensor(1, &[2, 1, 0]), object(b"K\x09Q")]).is_ok());
    let mut changed = storage(2, b"]");
    changed[0] = b'x';
    check(vec![
        ("a wrong checksum", read(&[changed]), "wrong checksum"),
        ("no tensors", read(&[storage(2, b"]")]), "holds no tensors"),
        ("a member cut short", read(&[storage(2, b"]")[..530].to_vec()]), "cut short"),
        ("a member twice", read(&[storage(2, b"]"), storage(2, b"]")]), "comes twice"),
        ("a storage beyond the file", read(&[storage(1 << 60, b"]"), tensor(1, &[2, 1, 0])]), "larger than the file"),
        ("views that are no list", read(&[storage(2, b"N")]), "list of storage views"),
        ("a view beyond its storage", read(&[storage(2, b"](K\x08K\x07K\x01K\x02ta")]), "beyond its storage"),
        ("a view of nothing", read(&[storage(2, b"](K\x08K\x06K\x01K\x01ta")]), "storage 6 of a view does not exist"),
        ("a tensor beyond its storage", read(&[storage(2, b"]"), tensor(1, &[3, 1, 0])]), "out of bounds"),
        ("a negative size", read(&[storage(2, b"]"), tensor(1, &[-1, 1, 0])]), "negative size: -1"),
        ("2^31 dimensions", read(&[storage(2, b"]"), tensor(1 << 31, &[1])]), "at most 64"),
        ("a tensor that is not there", read(&[storage(2, b"]"), tensor(1, &[2, 1, 0]), object(b"K\x05Q")]), "is not a tensor"),
        ("a name off the list", read(&[storage(2, b"]"), tensor(1, &[2, 1, 0]), object(b"cos\nsystem\n")]), "is blocked"),
    ]);
}

fn safetensors(header: &str, data_bytes: usize) -> Result<SafeTensors> {
    read_safetensors([&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data_bytes]].concat())
}

#[test]
fn broken_safetensors_files_are_refused() {
    let one = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert!(safetensors(one, 8).is_ok());
    check(vec![
        ("nothing", read_safetensors(Vec::new()), "header too small"),
        ("seven bytes", read_safetensors(vec![0; 7]), "header too small"),
        ("a header of 2^64 bytes", read_safetensors(vec![0xff; 100]), "header too large"),
        ("a header beyond the file", read_safetensors([&99u64.to_le_bytes()[..], b"{}"].concat()), "invalid header length"),
        ("no JSON", safetensors("hello", 0), "Error while deserializing header"),
        ("nested JSON", safetensors(&"[".repeat(10_000), 0), "Error while deserializing header"),
        ("a byte too few", safetensors(one, 7), "not fully covered"),
        ("a byte too many", safetensors(one, 9), "not fully covered"),
        ("a gap", safetensors(&one.replace("[0,8]", "[1,9]"), 9), "Error while deserializing header"),
        ("backwards", safetensors(&one.replace("[0,8]", "[8,0]"), 8), "Error while deserializing header"),
        ("another shape", safetensors(&one.replace("[2]", "[3]"), 8), "Error while deserializing header"),
        ("a shape of 2^64", safetensors(&one.replace("[2]", "[4294967296,4294967296]"), 8), "Error while deserializing header"),
        ("a negative shape", safetensors(&one.replace("[2]", "[-2]"), 8), "Error while deserializing header"),
        ("an unknown dtype", safetensors(&one.replace("F32", "F31"), 8), "Error while deserializing header"),
        ("a 4-bit dtype", safetensors(&one.replace("F32", "F4").replace("[2]", "[16]"), 8), "has dtype F4, which is not supported"),
        (
            "an overlap",
            safetensors(r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#, 6),
            "Error while deserializing header",
        ),
    ]);
}

fn golden(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/files").join(name);
    std::fs::read(path).unwrap()
}

/// Reads everything a file offers; errors are fine.
fn exhaust(file: Vec<u8>) {
    let _ = inspect_source(file.clone(), &Options::default());
    if let Ok(checkpoint) = read_checkpoint(file, &Options { verify_checksums: false, ..Options::default() }) {
        for id in 0..checkpoint.storages.len() {
            let _ = checkpoint.read_storage(StorageId(id as u32));
        }
        let _ = pickle::write(&checkpoint.graph, &checkpoint.root);
    }
}

#[test]
fn no_beginning_of_a_file_is_read() {
    for name in ["parameters.pt", "legacy_parameters.pt", "bits.pt"] {
        let file = golden(name);
        for len in 0..file.len() {
            assert!(read_checkpoint(file[..len].to_vec(), &Options::default()).is_err(), "{name} cut to {len}");
        }
    }
}

#[test]
fn no_changed_byte_makes_a_panic() {
    for name in ["parameters.pt", "legacy_parameters.pt", "legacy_views.pt", "protocol_4.pt", "attributes.pt"] {
        let file = golden(name);
        for at in 0..file.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[at] ^= change;
                exhaust(changed);
            }
        }
    }
}

#[test]
fn what_fuzzing_found_is_read_or_refused() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut count = 0;
    for target in std::fs::read_dir(corpus).unwrap() {
        for file in std::fs::read_dir(target.unwrap().path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            // Whatever target it was found by, it is tried as every kind of file.
            exhaust(bytes.clone());
            exhaust(zip(&[("a/data.pkl", &bytes), ("a/data/0", &[7; 96]), ("a/data/1", &[])]));
            for globals in [Globals::Listed, Globals::Any] {
                let options = Options { globals, ..Options::default() };
                if let Ok((graph, root)) = pickle::read(&bytes, &options)
                    && let Ok(written) = pickle::write(&graph, &root)
                {
                    let (again, again_root) = pickle::read(&written, &options).expect("what was written is read");
                    assert_eq!(pickle::write(&again, &again_root).unwrap(), written);
                }
            }
            let _ = read_safetensors(bytes);
            count += 1;
        }
    }
    assert!(count > 200, "only {count} files in fuzz/corpus");
}
