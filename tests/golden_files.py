"""Reading and writing the golden files: safetensors, so that the Rust tests read them with the crate of that name.

One file per family of ops. Keys are `<case>.in<k>`, `<case>.out<k>` and `<case>.grad<k>` (the gradient for input k);
`__metadata__` maps each case to a JSON text with the call as written, the results that are not tensors, the names of
the grad_fn and which outputs are views. All numbers lie in logical (row-major) order whatever the layout in the call.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "golden" / "ops"
CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
NAMES = {code: name for name, code in CODES.items()}
Stored = tuple[str, tuple[int, ...], bytes]  # dtype name, shape, little-endian bytes


def decode(stored: Stored) -> np.ndarray:
    """The numbers as float64, int64 or bool: exact for every dtype."""
    dtype, shape, data = stored
    if dtype == "bfloat16":
        numbers = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        numbers = np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))
    wide = np.float64 if "float" in dtype else bool if dtype == "bool" else np.int64
    return numbers.astype(wide).reshape(shape)


def write(path: Path, tensors: dict[str, Stored], metadata: dict[str, str]) -> None:
    header: dict[str, object] = {"__metadata__": metadata}
    offset = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data for _, _, data in tensors.values()))


def read(path: Path) -> tuple[dict[str, Stored], dict[str, dict]]:
    """(tensors by key, metadata by case)."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    metadata = {case: json.loads(text) for case, text in header.pop("__metadata__").items()}
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (NAMES[entry["dtype"]], tuple(entry["shape"]), content[start + begin : start + end])
    return tensors, metadata
