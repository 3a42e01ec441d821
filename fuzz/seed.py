"""Puts pickles and files made from tests/golden/files into fuzz/corpus, beside what fuzzing found worth keeping."""

import json
import pathlib
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
FILES = HERE.parent / "tests/golden/files"


def put(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def record(path, name):
    """A record's bytes, whatever its checksum says."""
    with zipfile.ZipFile(path) as archive:
        with archive.open(f"{path.stem}/{name}") as file:
            file._expected_crc = None
            return file.read()


for path in sorted(FILES.glob("*.pt")):
    data = path.read_bytes()
    if not zipfile.is_zipfile(path):
        put("legacy", path.stem, data)
        continue
    put("zip", path.stem, data)
    pickle = record(path, "data.pkl")
    put("pickle", path.stem, pickle)
    put("checkpoint", path.stem, pickle)

header = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"k": "v"}}
text = json.dumps(header).encode()
put("safetensors", "one", len(text).to_bytes(8, "little") + text + bytes(8))

for path in sorted((HERE.parent / "tests/golden/programs").glob("*.safetensors")):
    if ".cases" not in path.name:
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        put("program", path.stem, b"\0" + data)
        put("program", f"{path.stem}_graph", b"\1" + header["__metadata__"]["program"].encode())
