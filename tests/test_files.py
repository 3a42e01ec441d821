"""Checkpoints and safetensors from Python: what is written reads as what it was, and where it goes."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import functools
import gzip
import io
import json
import mmap
import os
import pathlib
import pickle
import re
import struct
import time
import zipfile

import pytest

import rustnn
from rustnn import nn

FILES = pathlib.Path(__file__).parent / "golden" / "files"
DTYPES = (
    "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool uint16 uint32 uint64 complex64 complex128 "
    "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz"
).split()


def raw(tensor) -> bytes:
    """A tensor's elements as bytes, in row-major order."""
    return rustnn._core._get_bytes(rustnn._core._storage_bytes(tensor.detach().contiguous().clone()))


def sample(dtype: str, *shape: int):
    """A tensor of patterned bytes."""
    kind = getattr(rustnn, dtype)
    count = 1
    for size in shape:
        count *= size
    patterned = bytes((37 * i + 11) % (2 if dtype == "bool" else 251) for i in range(count * kind.itemsize))
    storage = rustnn.UntypedStorage.from_buffer(patterned)
    strides = [1] * len(shape)
    for d in range(len(shape) - 1, 0, -1):
        strides[d - 1] = strides[d] * shape[d]
    return rustnn._core._tensor_over(storage._bytes, kind, 0, list(shape), strides)


def again(value, save_options=(), **options):
    """What a file of a value loads as."""
    buffer = io.BytesIO()
    rustnn.save(value, buffer, **dict(save_options))
    buffer.seek(0)
    return rustnn.load(buffer, **options)


class Description:
    """The content of a value as tests/golden/files/record.py describes PyTorch's."""

    def __init__(self):
        self.objects, self.storages, self.keep = {}, {}, []

    def storage(self, cdata):
        return self.storages.setdefault(cdata, len(self.storages))

    def tensor(self, tensor):
        self.keep.append(tensor)
        attributes = dict(tensor.__dict__)
        return {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "strides": list(tensor.stride()),
            "offset": tensor.storage_offset(),
            "storage": None if tensor.is_meta else self.storage(tensor._storage()[2]),
            "requires_grad": tensor.requires_grad,
            "conj": False,
            "neg": False,
            "attributes": self(attributes) if attributes else None,
            "bytes": "" if tensor.is_meta else raw(tensor).hex(),
        }

    def __call__(self, value):
        if value is None or isinstance(value, (bool, str)):
            return value
        if type(value) is int:
            return {"int": str(value)}
        if type(value) is float:
            return {"float": struct.pack(">d", value).hex()}
        if isinstance(value, rustnn.dtype):
            return {"dtype": str(value)}
        if type(value) is tuple:
            return {"tuple": [self(item) for item in value]}
        if isinstance(value, rustnn.Size):
            return {"size": list(value)}
        if isinstance(value, rustnn.device):
            return {"device": [value.type, value.index]}
        if isinstance(value, rustnn.layout):
            return {"layout": str(value)}
        if type(value) is complex:
            return {"complex": [self(value.real), self(value.imag)]}
        if type(value) in (bytes, bytearray):
            return {type(value).__name__: value.hex()}
        self.keep.append(value)
        if id(value) in self.objects:
            return {"again": self.objects[id(value)]}
        self.objects[id(value)] = len(self.objects)
        if isinstance(value, nn.Parameter):
            attributes = dict(value.__dict__)
            plain = value.detach()
            return {
                "parameter": self.tensor(plain),
                "requires_grad": value.requires_grad,
                "state": self(attributes) if attributes else None,
            }
        if isinstance(value, rustnn.Tensor):
            return {"tensor": self.tensor(value)}
        if isinstance(value, rustnn.UntypedStorage):
            return {"storage": self.storage(value._cdata), "len": value.nbytes(), "dtype": None}
        if isinstance(value, rustnn.TypedStorage):
            return {"storage": self.storage(value.untyped()._cdata), "len": value.nbytes(), "dtype": str(value.dtype)}
        if type(value) in (set, frozenset):
            return {type(value).__name__: sorted((self(item) for item in value), key=json.dumps)}
        if type(value) is list:
            return {"list": [self(item) for item in value]}
        if isinstance(value, dict):
            kind = {dict: "dict", collections.OrderedDict: "OrderedDict", collections.Counter: "Counter"}[type(value)]
            result = {kind: [[self(k), self(v)] for k, v in value.items()]}
            if getattr(value, "__dict__", None):
                result["attributes"] = self(dict(value.__dict__))
            return result
        raise TypeError(type(value))


def content(value):
    return Description()(value)


GOLDEN = sorted(path.stem for path in FILES.glob("*.json"))


def expected(name):
    """What PyTorch's file holds."""
    return json.loads((FILES / f"{name}.json").read_text())


# ---- PyTorch's files, read without PyTorch ---------------------------------------------------------------------------


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("name", [name for name in GOLDEN if name != "bits"])
def test_a_file_of_pytorch_reads_as_what_it_is(name, weights_only):
    found = content(rustnn.load(FILES / f"{name}.pt", weights_only=weights_only))
    wanted = expected(name)
    if name == "storages" or (not weights_only and name.endswith("storage")):
        # PyTorch's own loader gives a typed storage where an untyped one was saved, too.
        found, wanted = (
            re.sub(r'"dtype": (null|"torch\.uint8")', '"dtype": 0', json.dumps(x)) for x in (found, wanted)
        )
    assert found == wanted


@pytest.mark.parametrize("weights_only", [True, False])
def test_conjugation_and_negation_bits_are_carried_out(weights_only):
    conj, imag, neg = rustnn.load(FILES / "bits.pt", weights_only=weights_only)
    assert raw(conj) == struct.pack("<2f", 1, -2) and imag.tolist() == [-2.0] and neg.tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("weights_only", [True, False])
def test_the_oldest_format_reads(weights_only):
    value = rustnn.load(FILES / "tar.pt", weights_only=weights_only)
    assert (
        value["whole"].tolist() == [[0, 1, 2], [3, 4, 5]] and value["part"].tolist() == [3, 5] and value["epoch"] == 3
    )


@pytest.mark.parametrize("name", ["adam", "sgd", "state_dict", "views"])
def test_a_file_of_pytorch_reads_mapped(name):
    assert content(rustnn.load(FILES / f"{name}.pt", mmap=True)) == expected(name)
    assert content(rustnn.load(FILES / f"{name}.pt", mmap=True, weights_only=False)) == expected(name)


@pytest.mark.parametrize(
    "name", [name for name in GOLDEN if name not in ("bits", "storages", "typed_storage", "plain")]
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_of_pytorch_written_anew_reads_the_same(name, legacy):
    if name in ("legacy_plain", "legacy_typed_storage"):
        pytest.skip("holds what only PyTorch has")
    value = rustnn.load(FILES / f"{name}.pt")
    options = {"_use_new_zipfile_serialization": not legacy}
    for weights_only in (True, False):
        assert content(again(value, options, weights_only=weights_only)) == expected(name)


# ---- tensors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_survives(dtype, legacy, weights_only):
    value = {
        "vector": sample(dtype, 5),
        "matrix": sample(dtype, 3, 2),
        "scalar": sample(dtype),
        "empty": sample(dtype, 0, 3),
    }
    found = again(value, {"_use_new_zipfile_serialization": not legacy}, weights_only=weights_only)
    assert content(found) == content(value)


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("legacy", [False, True])
def test_views_of_one_storage_stay_views_of_one_storage(legacy, weights_only):
    base = rustnn.arange(24.0).reshape(4, 6)
    value = [base, base.t(), base[1:3, ::2], base[0].expand(3, 6), base[3, 5], base]
    found = again(value, {"_use_new_zipfile_serialization": not legacy}, weights_only=weights_only)
    assert content(found) == content(value)
    assert found[0] is found[5]
    found[0][3, 5] = 100.0
    assert found[4].item() == 100.0 and found[1][5, 3].item() == 100.0


def test_one_storage_of_two_dtypes_stays_one():
    floats = rustnn.arange(4.0)
    for legacy in (False, True):
        ints = rustnn._core._tensor_over(floats.untyped_storage()._bytes, rustnn.int32, 0, [4], [1])
        found = again([floats, ints], {"_use_new_zipfile_serialization": not legacy})
        found[0][0] = 1.0
        assert found[1][0].item() == 0x3F800000


def test_a_small_view_brings_its_whole_storage_along():
    assert again(rustnn.arange(1000.0)[:2])._storage()[1] == 4000


def test_gradients_wanted_and_attributes_are_kept():
    weight = nn.Parameter(rustnn.ones(2), requires_grad=False)
    weight.tag = {"name": "x", "ids": [1, 2]}
    leaf = rustnn.ones(2, requires_grad=True)
    noted = rustnn.zeros(1)
    noted.note = "attribute"
    buffer = nn.Buffer(rustnn.ones(1), persistent=False)
    for weights_only in (True, False):
        found = again([weight, leaf, leaf * 2, noted, buffer, weight], weights_only=weights_only)
        assert type(found[0]) is nn.Parameter and not found[0].requires_grad and found[0].tag == weight.tag
        assert found[1].requires_grad and found[2].requires_grad and found[2].is_leaf
        assert found[3].note == "attribute" and isinstance(found[4], nn.Buffer) and not found[4].persistent
        assert found[5] is found[0]


class Marked(rustnn.Tensor):
    pass


def test_a_subclass_of_tensor_keeps_its_class_and_attributes():
    value = Marked._make_subclass(Marked, rustnn.ones(2))
    value.note = 1
    with pytest.raises(pickle.UnpicklingError, match=rf"GLOBAL {__name__}.Marked was not an allowed global by default"):
        again(value)
    with rustnn.serialization.safe_globals([Marked]):
        allowed = again(value)
    for found in (allowed, again(value, weights_only=False)):
        assert type(found) is Marked and found.note == 1 and found.tolist() == [1, 1]


def test_tensors_of_the_meta_device_have_no_data():
    value = rustnn.empty(2, 3, device="meta").t()
    for weights_only in (True, False):
        found = again(value, weights_only=weights_only)
        assert found.is_meta and found.shape == (3, 2) and found.stride() == (1, 3)


@pytest.mark.parametrize("weights_only", [True, False])
def test_storages_by_themselves_survive_and_stay_shared(weights_only):
    tensor = rustnn.arange(3, dtype=rustnn.int16)
    typed, found = again([tensor.storage(), tensor], weights_only=weights_only)
    assert type(typed) is rustnn.TypedStorage and typed.dtype is rustnn.int16 and typed.tolist() == [0, 1, 2]
    assert typed.untyped() is found.untyped_storage()
    # Seen both as numbers and as bytes, a storage is written as bytes.
    typed, untyped, found = again([tensor.storage(), tensor.untyped_storage(), tensor], weights_only=weights_only)
    assert untyped.untyped().tolist() == [0, 0, 1, 0, 2, 0] and found.tolist() == [0, 1, 2]
    assert typed.untyped() is untyped.untyped() is found.untyped_storage()


def test_a_storage_is_one_object_and_knows_its_bytes():
    tensor = rustnn.tensor([1, 2], dtype=rustnn.int16)
    storage = tensor.untyped_storage()
    assert storage is tensor[1:].untyped_storage() and len(storage) == storage.nbytes() == 4
    assert storage[0] == 1 and storage[2:].tolist() == [2, 0] and list(storage) == [1, 0, 2, 0]
    storage[0] = 7
    assert tensor.tolist() == [7, 2]
    storage.byteswap(rustnn.int16)
    assert tensor.tolist() == [0x700, 0x200]
    assert storage.clone().tolist() == [0, 7, 0, 2] and storage.clone() is not storage
    assert rustnn.FloatStorage([1.0, 2.0]).tolist() == [1.0, 2.0] and rustnn.FloatStorage.dtype is rustnn.float32
    with pytest.raises(RuntimeError, match=r"out of bounds for storage of size 4"):
        rustnn._core._tensor_over(storage._bytes, rustnn.int16, 1, [2], [1])


def test_memory_is_seen_as_another_dtype():
    numbers = rustnn.tensor([[1.0, 2.0], [3.0, 4.0]])
    bits = numbers.view(rustnn.int32)
    assert bits.tolist() == [[0x3F800000, 0x40000000], [0x40400000, 0x40800000]]
    bits[0, 0] = 0
    assert numbers[0, 0].item() == 0.0
    halves = numbers.view(rustnn.int16)
    assert halves.shape == (2, 4) and halves[1].tolist() == [0, 0x4040, 0, 0x4080]
    assert rustnn.equal(halves[1:].view(rustnn.float32), numbers[1:])
    assert numbers.t().view(rustnn.int32).tolist() == bits.t().tolist()
    assert rustnn.tensor([0, 1], dtype=rustnn.uint8).view(rustnn.bool).tolist() == [False, True]
    for wrong, message in (
        (lambda: numbers.t().view(rustnn.int16), r"self.stride\(-1\) must be 1 to view Float as Short"),
        (lambda: rustnn.tensor(1.0).view(rustnn.int8), r"self.dim\(\) cannot be 0 to view Float as Char"),
        (lambda: rustnn.ones(3).view(rustnn.int64), r"self.size\(-1\) must be divisible by 2 to view Float as Long"),
        (lambda: rustnn.ones(3)[1:].view(rustnn.int64), r"self.storage_offset\(\) must be divisible by 2"),
        (lambda: rustnn.ones(2, 3)[:, :2].view(rustnn.int64), r"self.stride\(0\) must be divisible by 2"),
        (lambda: rustnn.tensor([2], dtype=rustnn.uint8).view(rustnn.bool), r"cannot be seen as bool"),
    ):
        with pytest.raises(RuntimeError, match=message):
            wrong()


def test_plain_pickle_keeps_views_and_flags():
    base = rustnn.arange(6.0).reshape(2, 3)
    whole, turned, leaf = pickle.loads(pickle.dumps([base, base.t(), rustnn.ones(1, requires_grad=True)]))
    whole[0, 1] = 9.0
    assert turned[1, 0].item() == 9.0 and leaf.requires_grad
    for dtype in DTYPES:
        value = sample(dtype, 3)
        found = pickle.loads(pickle.dumps(value))
        assert found.dtype is value.dtype and raw(found) == raw(value)


def test_a_bool_of_another_byte_becomes_true():
    record = json.loads((FILES / "dtype_bool.json").read_text())
    data = bytearray((FILES / "dtype_bool.pt").read_bytes())
    vector = bytes.fromhex(record["dict"][0][1]["tensor"]["bytes"])
    at = data.index(vector, data.index(b"/data/0"))
    data[at] = 2
    for name, value in (("crc", None), ("none", 0)):
        changed = bytearray(data)
        if value is None:
            with pytest.raises(RuntimeError, match=r"invalid CRC-32"):
                rustnn.load(io.BytesIO(bytes(changed)))
            continue
        with zipfile.ZipFile(FILES / "dtype_bool.pt") as source:
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as target:
                for info in source.infolist():
                    bytes_ = source.read(info)
                    if info.filename.endswith("/data/0"):
                        bytes_ = b"\x02" + bytes_[1:]
                    target.writestr(info.filename, bytes_)
        for weights_only in (True, False):
            found = rustnn.load(io.BytesIO(out.getvalue()), weights_only=weights_only)["vector"]
            assert found[0].item() is True and int(found.sum()) == 1 + sum(vector[1:]), name
            assert raw(found)[0] == 1


# ---- plain values and objects ----------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


class Pair(collections.namedtuple("Pair", "left right")):
    class Inner:
        def __init__(self):
            self.value = 3


class Slots:
    __slots__ = ("__dict__", "first")


def shared_and_cyclic():
    shared = [1]
    loop = ["loop"]
    loop.append(loop)
    pair = ([],)
    pair[0].append(pair)
    return {"shared": [shared, shared], "loop": loop, "pair": pair}


@pytest.mark.parametrize("weights_only", [True, False])
def test_shared_and_cyclic_values_keep_their_shape(weights_only):
    found = again(shared_and_cyclic(), weights_only=weights_only)
    assert found["shared"][0] is found["shared"][1] and found["loop"][1] is found["loop"]
    assert found["pair"][0][0] is found["pair"]


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5, -1])
def test_objects_go_through_pickle_when_asked(protocol):
    slots = Slots()
    slots.first, slots.second = 1, 2
    value = {
        "enum": Colour.RED,
        "named": Pair(1, rustnn.ones(1)),
        "inner": Pair.Inner(),
        "slots": slots,
        "default": collections.defaultdict(list, {"a": [1]}),
        "deque": collections.deque([1, 2], 3),
        "path": pathlib.PurePosixPath("a/b"),
        "date": datetime.date(2020, 1, 2),
        "decimal": decimal.Decimal("1.5"),
        "partial": functools.partial(int, base=2),
        "pattern": re.compile("a+"),
        "range": range(3),
        "slice": slice(1, 2),
        "function": shared_and_cyclic,
        "builtin": len,
        "method": "abc".upper,
        "none": type(None),
        "ellipsis": ...,
        "relu": nn.functional.relu,
    }
    found = again(value, {"pickle_protocol": protocol}, weights_only=False)
    assert found["enum"] is Colour.RED and found["named"].right.tolist() == [1] and found["inner"].value == 3
    assert (found["slots"].first, found["slots"].second) == (1, 2)
    assert found["partial"]("101") == 5 and found["method"]() == "ABC" and found["function"] is shared_and_cyclic
    for key in (
        "default",
        "deque",
        "path",
        "date",
        "decimal",
        "pattern",
        "range",
        "slice",
        "builtin",
        "none",
        "ellipsis",
        "relu",
    ):
        assert found[key] == value[key], key


def test_what_cannot_be_pickled_is_named():
    class Local:
        pass

    for value, text in ((lambda: 0, "it's not found as"), (Local(), "it's not found as"), (io.BytesIO, None)):
        if text is None:
            assert again(value, weights_only=False) is value
            continue
        with pytest.raises(pickle.PicklingError, match=text):
            rustnn.save(value, io.BytesIO())
    with pytest.raises(TypeError, match=r"cannot pickle"):
        rustnn.save({"lock": __import__("threading").Lock()}, io.BytesIO())
    with pytest.raises(ValueError, match=r"pickle protocol must be <= 5"):
        rustnn.save(1, io.BytesIO(), pickle_protocol=7)


def test_deep_nesting_is_refused_not_trusted():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RecursionError, match=r"nested deeper than 500"):
        rustnn.save(value, io.BytesIO())


def test_another_pickle_module_writes_and_reads():
    class Module:
        """As dill: pickle under another name."""

        Pickler, Unpickler, load, dump, __name__ = pickle._Pickler, pickle._Unpickler, pickle.load, pickle.dump, "other"

    base = rustnn.arange(4.0)
    value = {"base": base, "view": base[1:], "bf16": rustnn.ones(2, dtype=rustnn.bfloat16), "u16": sample("uint16", 2)}
    buffer = io.BytesIO()
    rustnn.save(value, buffer, pickle_module=Module, pickle_protocol=4)
    buffer.seek(0)
    found = rustnn.load(buffer, pickle_module=Module)
    assert content(found) == content(value)
    with pytest.raises(RuntimeError, match=r"explicit pickle_module is specified"):
        rustnn.load(buffer, pickle_module=pickle, weights_only=True)


def test_a_whole_module_loads_with_its_class():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))
    net[0].weight.requires_grad_(False)
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL torch.nn.modules.container.Sequential was not"):
        again(net)
    with rustnn.serialization.safe_globals([nn.Sequential, nn.Linear, nn.BatchNorm1d, nn.ReLU, set]):
        allowed = again(net)
    x = rustnn.randn(4, 2)
    for found in (
        allowed,
        again(net, weights_only=False),
        again(net, {"_use_new_zipfile_serialization": False}, weights_only=False),
    ):
        assert type(found) is nn.Sequential and rustnn.equal(found.eval()(x), net.eval()(x))
        assert not found[0].weight.requires_grad and repr(found) == repr(net)


# ---- weights_only ----------------------------------------------------------------------------------------------------


class Evil:
    ran = []

    def __reduce__(self):
        return Evil.ran.append, ("code ran",)


class OfOs:
    def __reduce__(self):
        return os.system, ("touch /tmp/rustnn-evil",)


def checkpoint(body: bytes, storages=(b"",)) -> io.BytesIO:
    """A zip checkpoint of a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a/data.pkl", b"\x80\x02" + body + b".")
        for key, data in enumerate(storages):
            file.writestr(f"a/data/{key}", data)
    buffer.seek(0)
    return buffer


def test_a_pickle_that_calls_code_does_nothing():
    buffer = io.BytesIO()
    rustnn.save({"weights": rustnn.ones(1), "x": OfOs()}, buffer)
    for f in (
        buffer,
        checkpoint(b"cposix\nsystem\nX\x02\x00\x00\x00ls\x85R"),
        checkpoint(b"c__builtin__\neval\nVprint(1)\n\x85R"),
    ):
        f.seek(0)
        with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed[\s\S]*(blocked|not an allowed)"):
            rustnn.load(f)
    assert not os.path.exists("/tmp/rustnn-evil")
    with rustnn.serialization.safe_globals([os.system, (os.system, "posix.system")]):
        buffer.seek(0)
        with pytest.raises(pickle.UnpicklingError, match=r"whose module posix is blocked"):
            rustnn.load(buffer)


@pytest.mark.parametrize(
    "body",
    [
        b"ctorch\nTensor\nK\x05\x85\x81",  # a new Tensor
        b"ctorch.storage\nUntypedStorage\n\x8a\x05\x00\x00\x00\x00\x01\x85R",
        b"ctorch.storage\nTypedStorage\n)R",
        b"ctorch\nFloatStorage\n\x8a\x05\x00\x00\x00\x00\x01\x85R",
        b"ctorch._utils\n_rebuild_sparse_tensor\nNN\x86R",
        b"ctorch._utils\n_rebuild_wrapper_subclass\n(NNNNNNNtR",
        b"ctorch._utils\n_rebuild_device_tensor_from_numpy\n(NNNNtR",
        b"ctorch\nFloatTensor\nK\x05\x85R",
    ],
)
def test_names_on_the_list_are_not_for_calling(body):
    with pytest.raises(
        (pickle.UnpicklingError, RuntimeError),
        match=r"not call it|does not have|which rustnn lacks|rustnn has torch.sparse_coo only",
    ):
        rustnn.load(checkpoint(body))
    # Also where something else was allowed.
    with rustnn.serialization.safe_globals([Colour]), pytest.raises((pickle.UnpicklingError, RuntimeError)):
        rustnn.load(checkpoint(body))


def test_allowed_globals_come_and_go():
    serialization = rustnn.serialization
    buffer = io.BytesIO()
    rustnn.save({"colour": Colour.RED, "pair": Pair(1, 2)}, buffer)

    def load():
        buffer.seek(0)
        return rustnn.load(buffer)

    assert serialization.get_safe_globals() == []
    with pytest.raises(pickle.UnpicklingError, match=rf"GLOBAL {__name__}.Colour was not an allowed global by default"):
        load()
    buffer.seek(0)
    assert sorted(serialization.get_unsafe_globals_in_checkpoint(buffer)) == [f"{__name__}.Colour", f"{__name__}.Pair"]
    with serialization.safe_globals([Colour]):
        buffer.seek(0)
        assert serialization.get_unsafe_globals_in_checkpoint(buffer) == [f"{__name__}.Pair"]
        with serialization.safe_globals([(Pair, f"{__name__}.Pair")]):
            assert load()["colour"] is Colour.RED
        with pytest.raises(pickle.UnpicklingError, match=rf"GLOBAL {__name__}.Pair"):
            load()
    serialization.add_safe_globals([Colour, Pair])
    assert load()["pair"] == Pair(1, 2)
    assert serialization.get_safe_globals() == [Colour, Pair]
    serialization.clear_safe_globals()
    with pytest.raises(pickle.UnpicklingError):
        load()
    # A name may stand for another object than its own.
    with serialization.safe_globals([(Slots, f"{__name__}.Pair"), Colour]), pytest.raises(TypeError):
        load()
    for wrong, error in (((Pair,), ValueError), ((Pair, 3), TypeError)):
        with serialization.safe_globals([wrong]), pytest.raises(error, match=r"Expected"):
            load()


def test_the_message_says_what_to_do():
    with pytest.raises(pickle.UnpicklingError) as caught:
        rustnn.load(checkpoint(b"cmy.module\nModel\n)\x81"))
    text = str(caught.value)
    for part in (
        "Weights only load failed. This file can still be loaded, to do so you have two options",
        "WeightsUnpickler error: Unsupported global: GLOBAL my.module.Model was not an allowed global by default",
        "add_safe_globals([my.module.Model])",
        "safe_globals([my.module.Model])",
        "weights_only=False",
        "inspect_checkpoint",
    ):
        assert part in text


def test_the_environment_can_force_either_way(monkeypatch):
    buffer = io.BytesIO()
    rustnn.save(Colour.RED, buffer)

    def load(**options):
        buffer.seek(0)
        return rustnn.load(buffer, **options)

    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.warns(UserWarning, match=r"forcing weights_only=False"):
        assert load() is Colour.RED
    with pytest.raises(pickle.UnpicklingError):
        load(weights_only=True)
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "yes")
    with pytest.raises(RuntimeError, match=r"Only one of"):
        load()
    monkeypatch.delenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    with pytest.raises(pickle.UnpicklingError):
        load(weights_only=False)


def test_inspection_lists_what_a_file_holds_and_needs(tmp_path):
    net = nn.Sequential(nn.Linear(2, 3))
    rustnn.save({"net": net, "state": net.state_dict(), "colour": Colour.RED}, tmp_path / "a.pt")
    for f in (tmp_path / "a.pt", str(tmp_path / "a.pt"), open(tmp_path / "a.pt", "rb")):
        found = rustnn.inspect_checkpoint(f)
        assert found["format"] == "zip" and found["storage_bytes"] == 36
        assert found["file_bytes"] == (tmp_path / "a.pt").stat().st_size
        assert [name for name, is_allowed in found["globals"] if not is_allowed] == ["builtins.set" for _ in ()] + [
            f"{__name__}.Colour",
            "torch.nn.modules.container.Sequential",
            "torch.nn.modules.linear.Linear",
        ]
        names = {name: (dtype, shape, is_parameter) for name, dtype, shape, is_parameter in found["tensors"]}
        assert (rustnn.float32, [3, 2], True) in names.values()
    f.close()


# ---- map_location ----------------------------------------------------------------------------------------------------


def from_cuda(tag=b"cuda:0") -> io.BytesIO:
    """A file as PyTorch writes it on another device."""
    body = b"(Vstorage\nctorch\nFloatStorage\nV0\nV%s\nK\x02tQ" % tag
    body = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + body + b"K\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
    )
    return checkpoint(body, [struct.pack("<2f", 1, 2)])


def tagged(storage, tag):
    assert tag in ("cuda:0", "cpu") and storage.nbytes() == 8 and storage.device.type == "cpu"
    return storage


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize(
    "place",
    [
        None,
        "cpu",
        "cpu:0",
        rustnn.device("cpu"),
        {"cuda:0": "cpu"},
        {"cuda:0": rustnn.device("cpu")},
        {"cuda:1": "cpu"},
        {},
        tagged,
        lambda storage, tag: None,
        lambda storage, tag: storage.cpu(),
        lambda storage, tag: storage.clone(),
    ],
)
def test_tensors_of_other_devices_come_to_the_cpu(place, weights_only):
    for tag in (b"cuda:0", b"cuda", b"mps", b"xpu:1", b"hpu", b"cpu"):
        if place is tagged and tag not in (b"cuda:0", b"cpu"):
            continue
        found = rustnn.load(from_cuda(tag), map_location=place, weights_only=weights_only)
        assert found.device.type == "cpu" and found.tolist() == [1, 2]


@pytest.mark.parametrize("weights_only", [True, False])
def test_the_meta_device_reads_no_data(tmp_path, weights_only):
    rustnn.save({"a": rustnn.ones(2, 3).t(), "b": nn.Parameter(rustnn.ones(1))}, tmp_path / "a.pt")
    rustnn.save({"a": rustnn.ones(2, 3).t()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for place in ("meta", rustnn.device("meta"), {"cpu": "meta"}, lambda storage, tag: storage.to(device="meta")):
        for name in ("a.pt", "old.pt"):
            found = rustnn.load(tmp_path / name, map_location=place, weights_only=weights_only)
            assert found["a"].is_meta and found["a"].stride() == (1, 3)
    assert rustnn.load(tmp_path / "a.pt", map_location="meta", mmap=True)["b"].is_meta


@pytest.mark.parametrize("weights_only", [True, False])
def test_devices_that_are_not_here_raise_where_they_are_asked_for(weights_only):
    def load(place):
        return rustnn.load(from_cuda(), map_location=place, weights_only=weights_only)

    for place in ("cuda", "cuda:1", {"cuda:0": "cuda:1"}, b"cuda"):
        with pytest.raises(RuntimeError, match=r"Attempting to deserialize object on a CUDA device"):
            load(place)
    with pytest.raises(RuntimeError, match=r"Attempting to deserialize object on a MPS device"):
        load("mps")
    with pytest.raises(RuntimeError, match=r"don't know how to restore data location .*tagged with nowhere"):
        load("nowhere")
    with pytest.raises(AssertionError, match=r"not compiled with CUDA"):
        load(lambda storage, tag: storage.cuda(0))
    for wrong in (3, 1.5):
        with pytest.raises(TypeError, match=r"map_location must be"):
            load(wrong)
    with pytest.raises(TypeError, match=r"must return a storage or None, but returned str"):
        load(lambda storage, tag: "cpu")
    with pytest.raises(RuntimeError, match=r"a storage of 3 bytes for one of 8"):
        load(lambda storage, tag: rustnn.UntypedStorage(3))


def test_a_gpu_is_used_where_there_is_one_and_missed_clearly_where_not():
    try:
        rustnn.ones(1).to("gpu")
    except RuntimeError:
        with pytest.raises(RuntimeError, match=r"Attempting to deserialize object on gpu"):
            rustnn.load(from_cuda(), map_location="gpu")
    else:
        found = rustnn.load(from_cuda(), map_location="gpu")
        assert found.device.type == "gpu" and found.tolist() == [1, 2]


def test_a_function_is_called_once_for_each_storage_and_its_storage_is_used():
    base = rustnn.arange(4.0)
    buffer = io.BytesIO()
    rustnn.save([base, base[1:], rustnn.ones(2)], buffer)
    for weights_only in (True, False):
        calls = []

        def place(storage, tag):
            calls.append((storage.nbytes(), tag))  # noqa: B023
            return storage.clone().fill_(0)

        buffer.seek(0)
        found = rustnn.load(buffer, map_location=place, weights_only=weights_only)
        assert calls == [(16, "cpu"), (8, "cpu")]
        assert found[0].tolist() == [0] * 4
        found[0][1] = 5.0
        assert found[1][0].item() == 5.0


def test_a_package_registers_its_own_places(monkeypatch):
    serialization = rustnn.serialization
    monkeypatch.setattr(serialization, "_packages", [])
    serialization.register_package(
        5, lambda storage: None, lambda storage, tag: storage.clone() if tag == "npu:0" else None
    )
    assert rustnn.load(from_cuda(b"npu:0")).tolist() == [1, 2]
    assert serialization.location_tag(rustnn.ones(1).untyped_storage()) == "cpu"


# ---- byte order, checksums, data left out ----------------------------------------------------------------------------


def big_endian(value, with_mark=True) -> io.BytesIO:
    """The file that a big-endian machine would write of a dict of tensors."""
    buffer, out = io.BytesIO(), io.BytesIO()
    rustnn.save(value, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(out, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith("/byteorder"):
                if not with_mark:
                    continue
                data = b"big"
            elif "/data/" in info.filename:
                tensor = list(value.values())[int(info.filename.rpartition("/")[2])]
                width = tensor.element_size() // (2 if tensor.dtype.is_complex else 1)
                data = b"".join(data[i : i + width][::-1] for i in range(0, len(data), width))
            target.writestr(info.filename, data)
    out.seek(0)
    return out


def test_big_endian_files_are_turned_around(tmp_path):
    typed = {name: sample(name, 3, 2) for name in DTYPES}
    for weights_only in (True, False):
        # PyTorch cannot tell the width of the newer dtypes while it reads; weights_only can.
        names = DTYPES if weights_only else [name for name in DTYPES if not name.startswith("uint") or name == "uint8"]
        value = {name: typed[name] for name in names}
        found = rustnn.load(big_endian(value), weights_only=weights_only)
        assert content(found) == content(value)
    (tmp_path / "big.pt").write_bytes(big_endian(typed).getvalue())
    assert content(rustnn.load(tmp_path / "big.pt", mmap=True)) == content(typed)


def test_files_without_a_byte_order_take_the_default():
    serialization, value = rustnn.serialization, {"a": rustnn.arange(3.0)}
    try:
        serialization.set_default_load_endianness(serialization.LoadEndianness.BIG)
        assert rustnn.load(big_endian(value, False))["a"].tolist() == [0, 1, 2]
        assert again(value)["a"].tolist() == [0, 1, 2]
        unmarked = again(value, {"_disable_byteorder_record": True})["a"]
        assert unmarked.tolist() != [0, 1, 2]
        serialization.set_default_load_endianness(serialization.LoadEndianness.NATIVE)
        assert again(value, {"_disable_byteorder_record": True})["a"].tolist() == [0, 1, 2]
        assert serialization.get_default_load_endianness() is serialization.LoadEndianness.NATIVE
    finally:
        serialization.set_default_load_endianness(None)
    with pytest.raises(TypeError):
        serialization.set_default_load_endianness("big")


def test_checksums_are_compared_unless_they_were_left_out(tmp_path):
    serialization = rustnn.serialization
    path = tmp_path / "a.pt"
    for has_checksums in (True, False):
        serialization.set_crc32_options(has_checksums)
        try:
            rustnn.save(rustnn.zeros(1000), path)
        finally:
            serialization.set_crc32_options(True)
        data = bytearray(path.read_bytes())
        data[data.index(bytes(4000)) + 1999] = 0x3F
        path.write_bytes(data)
        if has_checksums:
            with pytest.raises(RuntimeError, match=r"invalid CRC-32 of record .*data/0"):
                rustnn.load(path)
            with pytest.raises(RuntimeError, match=r"invalid CRC-32 of record .*data/0"):
                rustnn.load(path, weights_only=False)
        else:
            assert rustnn.load(path)[499].item() != 0


def test_data_can_be_left_out():
    with rustnn.serialization.skip_data():
        assert again(rustnn.ones(3)).tolist() == [0, 0, 0]
        with pytest.raises(RuntimeError, match=r"skip_data"):
            rustnn.save(1, io.BytesIO(), _use_new_zipfile_serialization=False)
    buffer = io.BytesIO()
    rustnn.save(rustnn.ones(3), buffer)
    for weights_only in (True, False):
        with rustnn.serialization.skip_data():
            buffer.seek(0)
            assert rustnn.load(buffer, weights_only=weights_only).tolist() == [0, 0, 0]
    buffer.seek(0)
    assert rustnn.load(buffer).tolist() == [1, 1, 1]


# ---- paths and file objects ------------------------------------------------------------------------------------------


class Raw(io.RawIOBase):
    """A file that takes and gives a few bytes at a time."""

    def __init__(self, data=b""):
        self.data, self.at = bytearray(data), 0

    def writable(self):
        return True

    def readable(self):
        return True

    def seekable(self):
        return True

    def write(self, data):
        part = bytes(data)[:1000]
        self.data[self.at : self.at + len(part)] = part
        self.at += len(part)
        return len(part)

    def seek(self, offset, whence=0):
        self.at = offset + (0, self.at, len(self.data))[whence]
        return self.at

    def tell(self):
        return self.at

    def readinto(self, out):
        part = self.data[self.at : self.at + min(len(out), 1000)]
        out[: len(part)] = part
        self.at += len(part)
        return len(part)


def test_any_path_or_file_object_will_do(tmp_path):
    value = {"a": rustnn.arange(3000.0), "b": "text"}
    path = tmp_path / "häuser und gärten.pt"
    for f in (path, str(path)):
        rustnn.save(value, f)
        assert content(rustnn.load(f)) == content(value)
    raw_file = Raw()
    rustnn.save(value, raw_file)
    raw_file.seek(0)
    assert content(rustnn.load(raw_file)) == content(value)
    with gzip.open(tmp_path / "a.gz", "wb") as f:
        rustnn.save(value, f)
    with gzip.open(tmp_path / "a.gz", "rb") as f:
        assert content(rustnn.load(f)) == content(value)
        f.seek(0)
        assert content(rustnn.load(f, weights_only=False)) == content(value)
    for buffering in (0, 100, -1):
        with open(tmp_path / "b.pt", "wb+", buffering=buffering) as f:
            rustnn.save(value, f)
            f.seek(0)
            assert content(rustnn.load(f)) == content(value)
    # A checkpoint behind something else.
    for legacy in (False, True):
        buffer = io.BytesIO(b"header")
        buffer.seek(6)
        rustnn.save(value, buffer, _use_new_zipfile_serialization=not legacy)
        (tmp_path / "c.pt").write_bytes(buffer.getvalue())
        for weights_only in (True, False):
            with open(tmp_path / "c.pt", "rb") as f:
                f.seek(6)
                assert content(rustnn.load(f, weights_only=weights_only)) == content(value)


def test_legacy_files_hold_one_object_after_another(tmp_path):
    for f in (io.BytesIO(), open(tmp_path / "a.pt", "wb+")):
        for number in range(3):
            rustnn.save({"w": rustnn.full((2,), float(number))}, f, _use_new_zipfile_serialization=False)
        for weights_only in (True, False):
            f.seek(0)
            found = [rustnn.load(f, weights_only=weights_only)["w"][0].item() for _ in range(3)]
            assert found == [0, 1, 2]
        f.close()


def test_a_file_that_cannot_seek_raises_clearly():
    read, write = os.pipe()
    os.write(write, b"abc")
    os.close(write)
    with os.fdopen(read, "rb") as pipe, pytest.raises(OSError):
        rustnn.load(pipe)

    class NoSeek(io.BytesIO):
        def tell(self):
            raise io.UnsupportedOperation("underlying stream is not seekable")

    class ReadOnly:
        def read(self, count=-1):
            return b""

    with pytest.raises(io.UnsupportedOperation, match=r"You can only torch.load from a file that is seekable"):
        rustnn.load(NoSeek())
    for wrong in (ReadOnly(), 3, None):
        with pytest.raises(AttributeError, match=r"You can only torch.load from a file that is seekable"):
            rustnn.load(wrong)
    with pytest.raises(AttributeError, match=r"a file-like object with a 'write' attribute"):
        rustnn.save(1, 3)


def test_what_a_file_object_raises_comes_through():
    class Broken(io.BytesIO):
        def write(self, data):
            raise KeyError("no")

        def read(self, *_):
            raise KeyError("no")

    with pytest.raises(KeyError, match=r"no"):
        rustnn.save(rustnn.ones(3), Broken())
    with pytest.raises(KeyError, match=r"no"):
        rustnn.load(Broken())


def test_errors_of_the_file_system_name_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "none.pt"))) as caught:
        rustnn.load(tmp_path / "none.pt")
    assert caught.value.errno == 2 and caught.value.filename == str(tmp_path / "none.pt")
    with pytest.raises(FileNotFoundError):
        rustnn.load(tmp_path / "none.pt", weights_only=False)
    with pytest.raises(FileNotFoundError):
        rustnn.load(tmp_path / "none.pt", mmap=True)
    # PyTorch's class, and the better one.
    with pytest.raises(RuntimeError, match=r"none/a.pt") as caught:
        rustnn.save(1, tmp_path / "none" / "a.pt")
    assert isinstance(caught.value, FileNotFoundError) and caught.value.errno == 2
    with pytest.raises(IsADirectoryError):
        rustnn.load(tmp_path)
    with pytest.raises(RuntimeError) as caught:
        rustnn.save(1, tmp_path)
    assert isinstance(caught.value, IsADirectoryError)


def test_texts_of_python_2_are_decoded_as_asked():
    for encoding, wanted in (("latin1", "\xe9"), ("bytes", b"\xe9")):
        with pytest.warns(UserWarning, match=r"pickle_load_args only works"):
            assert rustnn.load(checkpoint(b"U\x01\xe9"), encoding=encoding) == wanted
        assert rustnn.load(checkpoint(b"U\x01\xe9"), encoding=encoding, weights_only=False) == wanted
    with pytest.raises(pickle.UnpicklingError, match=r"can't decode byte 0xe9"):
        rustnn.load(checkpoint(b"U\x01\xe9"))


# ---- mapped files ----------------------------------------------------------------------------------------------------


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_mapped_file_loads_lazily_and_in_milliseconds(tmp_path):
    path = tmp_path / "large.pt"
    rustnn.save({f"layer{i}": rustnn.full((1 << 20,), float(i)) for i in range(64)}, path)  # 256 MiB
    rustnn.load(path, mmap=True)
    for weights_only in (True, False):
        before, start = resident_bytes(), time.perf_counter()
        found = rustnn.load(path, mmap=True, weights_only=weights_only)
        elapsed = time.perf_counter() - start
        assert elapsed < 0.2, f"{elapsed} s"
        assert resident_bytes() - before < 8 << 20
        assert found["layer7"][:2].tolist() == [7, 7]


def test_writing_to_a_mapped_tensor_changes_no_file_unless_it_is_shared(tmp_path):
    path = tmp_path / "a.pt"
    rustnn.save(rustnn.ones(1000), path)
    before = path.read_bytes()
    for weights_only in (True, False):
        found = rustnn.load(path, mmap=True, weights_only=weights_only)
        found[0] = 5.0
        assert found[0].item() == 5.0 and path.read_bytes() == before
        # A save over the file leaves the mapped one as it is.
        rustnn.save(rustnn.ones(1000), path)
        assert found[1].item() == 1.0
    with rustnn.serialization.set_default_mmap_options(mmap.MAP_SHARED):
        found = rustnn.load(path, mmap=True)
        found[0] = 5.0
    assert rustnn.serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    assert struct.pack("<f", 5.0) in path.read_bytes()
    with pytest.raises(ValueError, match=r"set_default_mmap_options"):
        rustnn.serialization.set_default_mmap_options(0)


def test_only_zip_files_by_path_can_be_mapped(tmp_path):
    rustnn.save(rustnn.ones(1), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for weights_only in (True, False):
        with pytest.raises(RuntimeError, match=r"mmap can only be used with files saved with"):
            rustnn.load(tmp_path / "old.pt", mmap=True, weights_only=weights_only)
        with pytest.raises(ValueError, match=r"f must be a file path in order to use the mmap argument"):
            rustnn.load(io.BytesIO(), mmap=True, weights_only=weights_only)


def test_compressed_and_unaligned_records_of_repacked_files_are_read_not_mapped(tmp_path):
    value = {"a": rustnn.arange(1000.0), "b": rustnn.arange(5)}
    rustnn.save(value, tmp_path / "a.pt")
    for method, prefix in ((zipfile.ZIP_DEFLATED, "a"), (zipfile.ZIP_STORED, "a"), (zipfile.ZIP_STORED, "abc")):
        with zipfile.ZipFile(tmp_path / "a.pt") as source, zipfile.ZipFile(tmp_path / "b.pt", "w", method) as target:
            for info in source.infolist():
                target.writestr(f"{prefix}/{info.filename.partition('/')[2]}", source.read(info))
        for options in ({}, {"mmap": True}, {"mmap": True, "weights_only": False}):
            assert content(rustnn.load(tmp_path / "b.pt", **options)) == content(value)


# ---- safetensors -----------------------------------------------------------------------------------------------------


def test_safetensors_keep_every_dtype_they_have(tmp_path):
    value = {name: sample(name, 3, 2) for name in DTYPES if name != "complex128"}
    value |= {"scalar": rustnn.tensor(1.5), "empty": rustnn.empty(0, 3), "view": rustnn.arange(6.0).reshape(2, 3).t()}
    safetensors = rustnn.safetensors
    safetensors.save_file(value, tmp_path / "a.safetensors", {"format": "pt", "ä": "ö"})
    for found in (
        safetensors.load_file(tmp_path / "a.safetensors"),
        safetensors.load((tmp_path / "a.safetensors").read_bytes()),
        safetensors.load(safetensors.save(value)),
        rustnn.load(tmp_path / "a.safetensors"),
        rustnn.load_safetensors(tmp_path / "a.safetensors"),
    ):
        assert set(found) == set(value)
        for name, tensor in value.items():
            assert found[name].dtype is tensor.dtype and found[name].shape == tensor.shape, name
            assert raw(found[name]) == raw(tensor), name
    with safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "ä": "ö"} and sorted(file.keys()) == sorted(value)
        assert file.get_tensor("float32").tolist() == value["float32"].tolist()
        part = file.get_slice("int64")
        assert part.get_shape() == [3, 2] and part.get_dtype() == "I64"
        assert part[1:].tolist() == value["int64"][1:].tolist()
        with pytest.raises(KeyError, match=r"does not contain tensor nothing"):
            file.get_tensor("nothing")


def test_safetensors_refuse_what_they_cannot_hold(tmp_path):
    save = rustnn.safetensors.save_file
    with pytest.raises(ValueError, match=r"cannot hold complex128"):
        save({"a": sample("complex128", 1)}, tmp_path / "a")
    with pytest.raises(ValueError, match=r"Key `a` is invalid"):
        save({"a": [1]}, tmp_path / "a")
    with pytest.raises(ValueError, match=r"Expected a dict"):
        save([1], tmp_path / "a")
    with pytest.raises(RuntimeError, match=r"meta device"):
        save({"a": rustnn.empty(1, device="meta")}, tmp_path / "a")
    assert os.listdir(tmp_path) == []
    with pytest.raises(RuntimeError, match=r"dict map_location is not supported"):
        rustnn.load(tmp_path / "a.safetensors", map_location={})


def test_tied_weights_are_written_once_and_found_again(tmp_path):
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    rustnn.safetensors.save_model(net, tmp_path / "a.safetensors")
    assert sorted(rustnn.safetensors.load_file(tmp_path / "a.safetensors")) == ["0.bias", "0.weight", "1.bias"]
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    other[1].weight = other[0].weight
    assert rustnn.safetensors.load_model(other, tmp_path / "a.safetensors") == ([], [])
    assert content(other.state_dict()) == content(net.state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key"):
        rustnn.safetensors.load_model(nn.Sequential(*[nn.Linear(3, 3) for _ in range(3)]), tmp_path / "a.safetensors")


def test_storages_are_made_of_buffers_and_of_each_other():
    numbers = rustnn.IntStorage.from_buffer(b"abcdefgh", "big", offset=0, count=1)
    assert numbers.tolist() == [0x61626364] and numbers.type() == "torch.IntStorage"
    assert rustnn.ByteStorage.from_buffer(bytearray(b"ab")).tolist() == [97, 98]
    assert rustnn.FloatStorage([1.5, 2.0]).int().tolist() == [1, 2]
    assert rustnn.FloatStorage([1.5]).type("torch.DoubleStorage").double().dtype is rustnn.float64
    same = rustnn.LongStorage([1])
    assert same.long() is same and same._cdata == same.untyped()._cdata and not same.resizable()
    assert rustnn.FloatStorage([0.0]).copy_(same).tolist() == [1.0]
    for arguments, message in (
        ((b"abcd", "middle"), "invalid byte_order 'middle'"),
        ((b"abcde", "native"), "must be a multiple of element size"),
    ):
        with pytest.raises(ValueError, match=message):
            rustnn.IntStorage.from_buffer(*arguments)
    with pytest.raises(ValueError, match="specified a size of 2"):
        rustnn.IntStorage.from_buffer(b"abcd", "native", count=2)
    with pytest.raises(RuntimeError, match="no storage is called"):
        same.type("Nothing")


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "latin1", "bytes"])
@pytest.mark.filterwarnings("ignore:pickle_load_args")
def test_keys_of_storages_that_python_2_wrote_are_read_in_every_encoding(encoding, weights_only):
    file = io.BytesIO()
    rustnn.save([rustnn.arange(3.0), "caf\xe9"], file, _use_new_zipfile_serialization=False)
    # Texts of Python 2 are bytes with a length of one byte.
    old, count = re.subn(rb"X(.)\0\0\0(\d+)", rb"U\1\2", file.getvalue())
    assert count >= 2
    numbers, text = rustnn.load(io.BytesIO(old), encoding=encoding, weights_only=weights_only)
    assert numbers.tolist() == [0, 1, 2] and text == "caf\xe9"
