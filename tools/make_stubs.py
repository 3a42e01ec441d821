"""Writes python/rustnn/_core.pyi from the op table and the built module; `make stubs`.

Ops come from `rustnn._core._op_schemas()`: PyTorch-style schema texts such as
`sum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None)`, one per overload. What is
not an op (classes, properties, plain functions) is read from the module itself. `--check` writes nothing and fails if
the file is not what would be written.
"""

from __future__ import annotations

import inspect
import keyword
import re
import sys
from pathlib import Path
from typing import Any

STUB = Path(__file__).resolve().parent.parent / "python" / "rustnn" / "_core.pyi"

HEADER = '''"""Types of the native module; written by tools/make_stubs.py from the op table, do not edit."""

import builtins
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self, TypeAlias, final, overload

# Here `int`, `float` and `bool` are dtypes and functions, and methods of Tensor hide what else they are named after.
_int: TypeAlias = builtins.int
_float: TypeAlias = builtins.float
_bool: TypeAlias = builtins.bool
_str: TypeAlias = builtins.str
_dtype: TypeAlias = dtype
_device: TypeAlias = device
_Number: TypeAlias = _int | _float | _bool
_IntList: TypeAlias = _int | Sequence[_int]
_DeviceLike: TypeAlias = _device | _str | _int

'''

PARAMETER_TYPES = {
    "Tensor": "Tensor",
    "Operand": "Tensor | _Number",
    "Scalar": "_Number",
    "int": "_int",
    "SymInt": "_int",
    "float": "_float",
    "bool": "_bool",
    "str": "_str",
    "ScalarType": "_dtype",
    "Device": "_DeviceLike",
    "Generator": "Generator",
    "Layout": "Any",
    "MemoryFormat": "Any",
    "Any": "Any",
}
# What does not return one Tensor.
PAIRS = "sort topk kthvalue mode cummax cummin aminmax var_mean std_mean frexp"
RETURN_TYPES = {
    **dict.fromkeys(PAIRS.split(), "tuple[Tensor, Tensor]"),
    **dict.fromkeys("split split_with_sizes chunk tensor_split unbind meshgrid".split(), "tuple[Tensor, ...]"),
    **dict.fromkeys("equal allclose is_floating_point is_complex is_signed is_nonzero".split(), "_bool"),
    **dict.fromkeys("numel dim size_of_dim".split(), "_int"),
    **dict.fromkeys("unique unique_consecutive".split(), "Any"),
}
# A pair if a dimension is named, one Tensor otherwise.
PAIR_WITH_DIM = ("max", "min", "median", "nanmedian")

BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
COMPARISONS = "eq ne lt le gt ge".split()
DUNDERS = {
    **{f"__{p}{name}__": "(self, other: Any, /) -> Tensor" for name in BINARY for p in ("", "r", "i")},
    **{f"__{p}pow__": "(self, other: Any, mod: Any = None, /) -> Tensor" for p in ("", "r")},
    **{f"__{name}__": "(self, other: Any, /) -> Tensor" for name in COMPARISONS},
    **{f"__{name}__": "(self) -> Tensor" for name in ("neg", "pos", "abs", "invert")},
    "__getitem__": "(self, index: Any, /) -> Tensor",
    "__setitem__": "(self, index: Any, value: Any, /) -> None",
    "__len__": "(self) -> _int",
    "__iter__": "(self) -> Iterator[Tensor]",
    "__bool__": "(self) -> _bool",
    "__int__": "(self) -> _int",
    "__float__": "(self) -> _float",
    "__index__": "(self) -> _int",
    "__contains__": "(self, item: Any, /) -> _bool",
    "__hash__": "(self) -> _int",
    "__deepcopy__": "(self, memo: Any) -> Self",
    "__array__": "(self, dtype: Any = None, copy: _bool | None = None) -> Any",
    "__dlpack__": "(self, *, stream: Any = ..., max_version: Any = ..., dl_device: Any = ..., copy: Any = ...) -> Any",
    "__dlpack_device__": "(self) -> tuple[_int, _int]",
}


def parameter_type(text: str) -> str:
    """`int[1]?` -> `IntList | None`."""
    optional = text.endswith("?")
    text = text.removesuffix("?")
    listed = re.fullmatch(r"(\w+)(\?)?\[([\d.]*)\]", text)
    if listed:
        inner, inner_optional, count = listed.groups()
        item = PARAMETER_TYPES[inner]
        if inner in ("int", "SymInt"):
            found = "_IntList"
        else:
            item = f"{item} | None" if inner_optional else item
            found = f"{item} | Sequence[{item}]" if count else f"Sequence[{item}]"
    else:
        found = PARAMETER_TYPES[text]
    return f"{found} | None" if optional else found


def return_type(name: str, parameters: list[str]) -> str:
    if name in PAIR_WITH_DIM and any(part.startswith("int dim") for part in parameters):
        return "tuple[Tensor, Tensor]"
    return RETURN_TYPES.get(name, "Tensor")


def default_value(text: str) -> str:
    return {"true": "True", "false": "False", "null": "None"}.get(
        text.lower(), "..." if not re.fullmatch(r"[-\w.]+", text) else text
    )


def split_parameters(text: str) -> list[str]:
    """At commas outside brackets and quotes."""
    return [
        part.strip()
        for part in re.findall(r"(?:[^,\[\]()'\"]|\[[^\]]*\]|\([^)]*\)|'[^']*'|\"[^\"]*\")+", text)
        if part.strip()
    ]


def signatures(schema: str, method: bool) -> list[str]:
    """The Python signatures of one schema: two where sizes may come one by one, as in `x.view(2, 3)`."""
    match = re.fullmatch(r"(\w+)\((.*)\)", schema, re.S)
    if not match:
        raise ValueError(f"not a schema: {schema}")
    parts = split_parameters(match[2])
    result = return_type(match[1], parts)
    listed, spread = (["self"], ["self"]) if method else ([], [])
    for at, part in enumerate(parts):
        if part == "*":
            listed.append("*")
            if not any(item.startswith("*") for item in spread):
                spread.append("*")
            continue
        declared, _, default = part.partition("=")
        kind, name = declared.strip().rsplit(" ", 1)
        if at == 0 and method:
            continue
        name = "input" if name == "self" else f"{name}_" if keyword.iskeyword(name) else name
        shown = f"{name}: {parameter_type(kind)}" + (f" = {default_value(default.strip())}" if default else "")
        if kind == "int[...]":
            listed.append(f"{name}: Sequence[_int]")
            spread.append(f"*{name}: _int")
            continue
        if kind == "Tensor" and name in ("other", "exponent"):
            shown = shown.replace("Tensor", "Tensor | _Number")  # a number is wrapped
        listed.append(shown)
        spread.append(shown)
    texts = [f"({', '.join(found[:-1] if found[-1:] == ['*'] else found)}) -> {result}" for found in (listed, spread)]
    return texts if "int[...]" in schema else texts[:1]


def docstring(text: str | None, indent: str) -> str:
    first = (text or "").strip().split("\n\n")[0].replace("\n", " ").replace("\\", "\\\\").replace('"""', "'''")
    return f'\n{indent}"""{first}"""' if first else ""


def function(name: str, signatures: list[str], doc: str | None, indent: str = "") -> list[str]:
    lines = []
    for text in dict.fromkeys(signatures):
        if len(set(signatures)) > 1:
            lines.append(f"{indent}@overload")
        shown = docstring(doc, indent + "    ")
        lines.append(f"{indent}def {name}{text}:{shown or ' ...'}")
        doc = None
    return lines


def builtin_signature(value: Any, method: bool) -> str:
    """From `__text_signature__`; whatever it does not tell is Any."""
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (ValueError, TypeError):
        return f"({'self, ' * method}*args: Any, **kwargs: Any) -> Any"
    found: list[str] = []
    marked = positional_only = False
    for p in parameters[1:] if method else parameters:
        name = p.name
        if found and "/" not in found and p.kind is not p.POSITIONAL_ONLY and positional_only:
            found.append("/")
        positional_only = p.kind is p.POSITIONAL_ONLY
        if p.kind is p.VAR_POSITIONAL:
            found.append(f"*{name}: Any")
            marked = True
        elif p.kind is p.VAR_KEYWORD:
            found.append(f"**{name}: Any")
        else:
            if p.kind is p.KEYWORD_ONLY and not marked:
                found.append("*")
                marked = True
            found.append(f"{name}: Any" + (" = ..." if p.default is not p.empty else ""))
    if positional_only:
        found.append("/")
    return f"({', '.join(['self', *found] if method else found)}) -> Any"


BASETYPE = 1 << 10  # Py_TPFLAGS_BASETYPE
# What `object` has, or what tells nothing about use.
COMMON_DUNDERS = {
    *dir(object),
    "__module__",
    "__dict__",
    "__weakref__",
    "__slotnames__",  # which copyreg leaves on classes it has copied
    "__annotations__",
    "__slots__",
    "__match_args__",
}


def class_block(name: str, value: type, schemas: dict[str, tuple[list[str], str]]) -> list[str]:
    bases = [base.__name__ for base in value.__bases__ if base is not object]
    lines = [] if value.__flags__ & BASETYPE else ["@final"]
    lines += [f"class {name}({', '.join(bases)}):" if bases else f"class {name}:"]
    doc = docstring(value.__doc__, "    ")
    if doc:
        lines.append(doc.removeprefix("\n"))
    body: list[str] = []
    if "__new__" in value.__dict__ and not issubclass(value, BaseException):
        made = builtin_signature(value, method=False)[1:].replace("-> Any", "-> Self")
        body += [f"    def __new__(cls, {made}: ...".replace("cls, )", "cls)")]
    for attribute in sorted(vars(value)):
        member = inspect.getattr_static(value, attribute)
        if attribute in DUNDERS and name == "Tensor":
            body += [f"    def {attribute}{DUNDERS[attribute]}: ..."]
            # `object` compares to bool; `**=` takes no modulus, `**` does.
            ignored = {"__eq__": "override", "__ne__": "override", "__ipow__": "misc"}.get(attribute)
            body[-1] += f"  # type: ignore[{ignored}]" if ignored else ""
        elif attribute in COMMON_DUNDERS or (
            attribute.startswith("_") and not attribute.endswith("__") and name != "Tensor"
        ):
            continue
        elif inspect.isgetsetdescriptor(member) or isinstance(member, property):
            body += ["    @property", f"    def {attribute}(self) -> Any: ..."]
            if not isinstance(member, property) or member.fset:
                body += [f"    @{attribute}.setter", f"    def {attribute}(self, value: Any) -> None: ..."]
        elif name == "Tensor" and attribute in schemas and not inspect.isfunction(member):
            texts = [text for schema in schemas[attribute][0] for text in signatures(schema, method=True)]
            body += function(attribute, texts, schemas[attribute][1], "    ")
        elif isinstance(member, (staticmethod, classmethod)):
            shown = builtin_signature(member.__func__, isinstance(member, classmethod)).replace("(self", "(cls", 1)
            body += [f"    @{type(member).__name__}", f"    def {attribute}{shown}: ..."]
        elif inspect.isbuiltin(member) or type(member).__name__ == "classmethod_descriptor":
            shown = builtin_signature(getattr(value, attribute), method=False)[1:]
            kind = "staticmethod" if inspect.isbuiltin(member) else "classmethod"
            first = "" if kind == "staticmethod" else "cls, "
            body += [f"    @{kind}", f"    def {attribute}({first}{shown}: ...".replace("cls, )", "cls)")]
        elif callable(member):
            body += function(attribute, [builtin_signature(member, True)], getattr(member, "__doc__", None), "    ")
        else:
            body.append(f"    {attribute}: ClassVar[Any]")
    return [*lines, *(body or ["    ..."] if not doc or body else [])]


def written_in_python(value: type) -> bool:
    try:
        return bool(inspect.getsource(value))
    except (OSError, TypeError):
        return False


def first_docs(schemas: dict[str, Any]) -> dict[str, tuple[list[str], str]]:
    """{name: (schemas, doc of the first overload)}"""
    return {name: (list(texts), docs[0]) for name, (texts, docs, *_) in schemas.items()}


def stub() -> str:
    from rustnn import _core

    schemas = first_docs(_core._op_schemas())
    lines: list[str] = []
    for name in sorted(n for n in dir(_core) if not n.startswith("__")):
        value = getattr(_core, name)
        if isinstance(value, type) and written_in_python(value):
            lines.append(f"from {value.__module__} import {value.__name__} as {name}")
        elif isinstance(value, type):
            lines += class_block(name, value, schemas)
        elif name in schemas:
            lines += function(
                name,
                [text for schema in schemas[name][0] for text in signatures(schema, method=False)],
                schemas[name][1],
            )
        elif callable(value):
            lines += function(name, [builtin_signature(value, False)], value.__doc__)
        else:
            kind = type(value).__name__
            known = {"int": "_int", "float": "_float", "str": "_str", "bool": "_bool", "dtype": "_dtype"}
            lines.append(f"{name}: {known.get(kind, 'Any')}")
    return HEADER + "\n".join(lines) + "\n"


def main() -> int:
    text = stub()
    if "--check" in sys.argv[1:]:
        current = STUB.read_text() if STUB.exists() else ""
        if current != text:
            print(f"{STUB.name} is not what the op table says: run `make stubs`")
            return 1
        return 0
    STUB.write_text(text)
    print(f"{STUB.name}: {text.count(chr(10))} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
