"""Records checkpoints that PyTorch writes, and what is in them, for the tests of src/io.

Run with a Python that has torch 2.13: `python tests/golden/files/record.py`. Each case is a file `name.pt` and its
content `name.json`; `describe` and the Rust function of the same name in src/io/tests/golden.rs give the same text.
"""

import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import tarfile
import warnings

import torch

HERE = pathlib.Path(__file__).parent
DTYPES = (
    "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool uint16 uint32 uint64 complex64 complex128 "
    "float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz"
).split()


def sample(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """A tensor of patterned bytes."""
    count = 1
    for size in shape:
        count *= size
    width = torch.empty(0, dtype=dtype).element_size()
    values = torch.arange(count * width, dtype=torch.int64).mul(37).add(11).remainder(251).to(torch.uint8)
    if dtype == torch.bool:
        return values.remainder(2).to(torch.bool).reshape(shape)
    return values.view(dtype).reshape(shape)


class Description:
    """The content of a value as JSON; objects with identity are numbered in the order they are met."""

    def __init__(self):
        self.objects, self.storages, self.keep = {}, {}, []

    def storage(self, storage):
        self.keep.append(storage)
        return self.storages.setdefault(storage._cdata, len(self.storages))

    def tensor(self, tensor):
        meta = tensor.device.type == "meta"
        plain = tensor.detach()
        if plain.is_conj():
            plain = plain.conj()
        if plain.is_neg():
            plain = torch._neg_view(plain)
        bits = b""
        if not meta:
            plain = plain.clone(memory_format=torch.contiguous_format).reshape(-1)
            bits = plain.view(torch.uint8).numpy().tobytes()
        attributes = dict(tensor.__dict__)
        return {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
            "strides": list(tensor.stride()),
            "offset": tensor.storage_offset(),
            "storage": None if meta else self.storage(tensor.untyped_storage()),
            "requires_grad": tensor.requires_grad,
            "conj": tensor.is_conj(),
            "neg": tensor.is_neg(),
            "attributes": self(attributes) if attributes else None,
            "bytes": bits.hex(),
        }

    def __call__(self, value):
        if value is None or isinstance(value, (bool, str)):
            return value
        if type(value) is int:
            return {"int": str(value)}
        if type(value) is float:
            return {"float": struct.pack(">d", value).hex()}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value)}
        if type(value) is tuple:
            return {"tuple": [self(item) for item in value]}
        if isinstance(value, torch.Size):
            return {"size": list(value)}
        if isinstance(value, torch.device):
            return {"device": [value.type, value.index]}
        if isinstance(value, torch.layout):
            return {"layout": str(value)}
        if type(value) is complex:
            return {"complex": [self(value.real), self(value.imag)]}
        if type(value) in (bytes, bytearray):
            return {type(value).__name__: value.hex()}
        self.keep.append(value)
        if id(value) in self.objects:
            return {"again": self.objects[id(value)]}
        self.objects[id(value)] = len(self.objects)
        if isinstance(value, torch.nn.Parameter):
            attributes = dict(value.__dict__)
            return {
                "parameter": self.tensor(value.data),
                "requires_grad": value.requires_grad,
                "state": self(attributes) if attributes else None,
            }
        if isinstance(value, torch.Tensor):
            return {"tensor": self.tensor(value)}
        if isinstance(value, torch.UntypedStorage):
            return {"storage": self.storage(value), "len": value.nbytes(), "dtype": None}
        if isinstance(value, torch.TypedStorage):
            untyped = value._untyped_storage
            return {"storage": self.storage(untyped), "len": untyped.nbytes(), "dtype": str(value.dtype)}
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


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
        self.norm = torch.nn.BatchNorm1d(4)
        self.last = torch.nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.last(self.norm(self.first(x)))


def trained(optimizer_class, **options):
    model = Model()
    for index, parameter in enumerate(model.parameters()):
        parameter.data = sample(torch.uint8, *parameter.shape).to(torch.float32).div(256) + index
    optimizer = optimizer_class(model.parameters(), **options)
    model(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def cases():
    for name in DTYPES:
        dtype = getattr(torch, name)
        yield f"dtype_{name}", {"vector": sample(dtype, 5), "matrix": sample(dtype, 3, 2), "scalar": sample(dtype)}

    base = torch.arange(24.0).reshape(4, 6)
    yield (
        "views",
        {
            "base": base,
            "transposed": base.t(),
            "part": base[1:3, ::2],
            "expanded": base[0].expand(3, 6),
            "row": base[2],
            "element": base[3, 5],
            "same": base,
        },
    )
    yield "empty", [torch.empty(0), torch.empty(0, 3), torch.empty(2, 0, 3, dtype=torch.int64), torch.tensor(7)]
    grad = torch.ones(2, requires_grad=True)
    yield "requires_grad", (grad, torch.zeros(2), grad)
    parameter = torch.nn.Parameter(torch.arange(3.0))
    frozen = torch.nn.Parameter(torch.arange(4), requires_grad=False)
    marked = torch.nn.Parameter(torch.arange(2.0))
    marked.tag = {"name": "marked", "ids": [1, 2]}
    yield "parameters", {"one": parameter, "tied": parameter, "frozen": frozen, "marked": marked}
    noted = torch.zeros(2)
    noted.note = "attribute"
    yield "attributes", [noted, torch.nn.Buffer(torch.ones(1))]
    yield "bits", [torch.tensor([1 + 2j]).conj(), torch.tensor([1 + 2j]).conj().imag, torch._neg_view(torch.ones(2))]
    yield "meta", torch.zeros(2, 3, device="meta")
    storage = torch.arange(4.0).untyped_storage()
    yield "storages", [storage, torch.arange(3, dtype=torch.int16)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield "typed_storage", torch.arange(4.0).storage()

    model, adam = trained(torch.optim.Adam, lr=1e-3, betas=(0.9, 0.99))
    yield "state_dict", model.state_dict()
    yield "adam", {"model": model.state_dict(), "optimizer": adam.state_dict(), "epoch": 3}
    _, sgd = trained(torch.optim.SGD, lr=0.1, momentum=0.9)
    yield "sgd", sgd.state_dict()

    shared = [1, 2]
    cycle = ["loop"]
    cycle.append(cycle)
    pair = ([],)
    pair[0].append(pair)
    yield (
        "plain",
        {
            "none": None,
            "bools": [True, False],
            "ints": [0, 1, -1, 255, 256, 65535, 65536, -32769, 2**31 - 1, 2**31, -(2**31), 2**40, 2**63 - 1, -(2**63)],
            "large": [2**63, -(2**63) - 1, 2**100, -(2**100)],
            "floats": [0.0, -0.0, 1.5, float("inf"), float("-inf"), float("nan"), 5e-324],
            "complex": 1 - 2j,
            "text": ["", "a", "näive", "日本語", "🔥", "a" * 300],
            "bytes": [b"abc", bytes(range(256)), bytearray(b"xyz"), bytearray()],
            "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
            "sets": [set(), {1}, {1, 2, 3}],
            "shared": [shared, shared],
            "cycle": cycle,
            "size": torch.Size([1, 2, 3]),
            "dtype": [torch.float32, torch.bfloat16, torch.float32],
            "device": [torch.device("cpu"), torch.device("cuda", 1)],
            "layout": torch.strided,
            "counter": collections.Counter("hello"),
            "ordered": collections.OrderedDict([("b", 1), ("a", {"nested": [None]})]),
            7: "int key",
            (1, "x"): "tuple key",
            1.5: "float key",
            None: "none key",
            True: "bool key",
        },
    )
    yield "long", {"list": list(range(1001)), "dict": {str(i): i for i in range(1001)}, "three": list(range(2001))}
    yield "beyond_torch", [2**2100, -(2**2100), pair]
    yield "root_int", 5
    yield "root_string", "text"


def write_tar(path):
    """The format of PyTorch before 0.2, as its loader reads it (nothing writes it any more)."""

    def dump(value, file, names=()):
        # Protocol 2 with names that this Python cannot pickle by reference.
        data = pickle.dumps(value, protocol=2)
        for placeholder, name in names:
            data = data.replace(placeholder, name)
        file.write(data)

    values = struct.pack("<6f", *range(6))
    storages, tensors = io.BytesIO(), io.BytesIO()
    dump(1, storages)
    name = [(b"ccollections\nCounter\n", b"ctorch\nFloatStorage\n")]
    dump((11, "cpu", collections.Counter), storages, name)
    storages.write(struct.pack("<q", 6) + values)
    dump([(12, 11, 2, 4)], storages)
    dump(2, tensors)
    kind = [(b"ccollections\nCounter\n", b"ctorch\nFloatTensor\n")]
    for key, storage, shape, strides, offset in [(21, 11, (2, 3), (3, 1), 0), (22, 12, (2,), (2,), 1)]:
        dump((key, storage, collections.Counter), tensors, kind)
        tensors.write(struct.pack("<ii", len(shape), 0))
        tensors.write(struct.pack(f"<{2 * len(shape)}q", *shape, *strides) + struct.pack("<q", offset))

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.key if isinstance(value, Reference) else None

    class Reference:
        def __init__(self, key):
            self.key = key

    pickled = io.BytesIO()
    Pickler(pickled, protocol=2).dump({"whole": Reference(21), "part": Reference(22), "epoch": 3})
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in [("storages", storages), ("tensors", tensors), ("pickle", pickled)]:
            info = tarfile.TarInfo(name)
            info.size = len(data.getvalue())
            archive.addfile(info, io.BytesIO(data.getvalue()))


def write(name, value, **options):
    torch.save(value, HERE / f"{name}.pt", **options)
    (HERE / f"{name}.json").write_text(json.dumps(Description()(value), ensure_ascii=False) + "\n")


def main():
    torch.manual_seed(0)
    legacy = {
        "views",
        "empty",
        "parameters",
        "state_dict",
        "plain",
        "adam",
        "dtype_float32",
        "dtype_bfloat16",
        "dtype_uint16",
        "typed_storage",
    }
    for name, value in cases():
        write(name, value)
        if name in legacy:
            write(f"legacy_{name}", value, _use_new_zipfile_serialization=False)
    value = {"w": torch.arange(3.0), "names": ["a", b"bytes", bytearray(b"x"), {1, 2}, frozenset([3]), (), 2**70]}
    for protocol in (3, 4, 5):
        write(f"protocol_{protocol}", value, pickle_protocol=protocol)
    torch.serialization.set_crc32_options(False)
    write("without_checksums", value)
    torch.serialization.set_crc32_options(True)
    write_tar(HERE / "tar.pt")
    value = torch.load(HERE / "tar.pt", weights_only=False)
    assert value["part"].tolist() == [3.0, 5.0] and value["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]


if __name__ == "__main__":
    sys.exit(main())
