"""Every line of the op table: against PyTorch's recorded values, gradient checks, forms, dtype rules, meta device.

A test collects everything wrong with one op and reports it together. No PyTorch here; tests/parity/ compares live.
"""

from __future__ import annotations

import json
import traceback
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import golden_files
import rustnn
from closeness import difference, dtype_name, largest, numbers
from references import DTYPES, FLOATS, OPS, Case, Op, cotangent, find, flatten

EXACT_SIGNS = ("elementwise", "elementwise_binary")
# Where one op is one node, as in PyTorch; elsewhere the fused or composed parts differ.
NAMED = ("elementwise", "elementwise_binary", "activations", "reductions", "shape")
# A gradient check takes two calls for each number of the input.
GRADCHECK_NUMBERS = 40
GRADCHECK_SAMPLES = 4

each_op = pytest.mark.parametrize("line", OPS.values(), ids=OPS.keys())


def ops_with(form: str) -> Any:
    lines = [line for line in OPS.values() if form in line.forms]
    return pytest.mark.parametrize("line", lines, ids=[line.name for line in lines])


@cache
def golden(family: str) -> tuple[dict, dict]:
    return golden_files.read(golden_files.FOLDER / f"{family}.safetensors")


@cache
def dtype_rules() -> dict:
    return json.loads((golden_files.FOLDER / "dtypes.json").read_text())


def recorded_inputs(case: Case) -> list[np.ndarray]:
    tensors, metadata = golden(case.op.family)
    assert case.key in metadata, f"{case.key} is not recorded: run tests/record_golden.py"
    described = f"{case.op.name}({case.sample.describe()})"
    assert metadata[case.key]["call"] == described, f"{case.key} changed: run tests/record_golden.py"
    return [golden_files.decode(tensors[f"{case.key}.in{k}"]) for k in range(len(case.sample.inputs()))]


class Findings:
    """Collects what is wrong, so that one run shows all of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def check(self, case: Case, what: Callable[[], str | None]) -> None:
        try:
            found = what()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic is no Exception
            place = traceback.extract_tb(error.__traceback__)[-1]
            found = f"{type(error).__name__}: {str(error)[:300]} ({place.name}:{place.lineno})"
        if found:
            self.lines.append(f"{case.op.name}({case.sample.describe()}) [{case.key}]: {found}")

    def report(self) -> None:
        if self.lines:
            pytest.fail("\n".join(line[:600] for line in self.lines), pytrace=False)


def call(case: Case, args: tuple, kwargs: dict) -> list:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return flatten(case.op.call(rustnn, *args, **kwargs))


def differentiate(outputs: list, leaves: list, create_graph: bool = False) -> tuple:
    dys = [rustnn.tensor(cotangent(tuple(out.shape))).to(out.dtype) for out in outputs]
    return rustnn.autograd.grad(outputs, leaves, dys, allow_unused=True, create_graph=create_graph)


def class_of(name: str | None) -> str | None:
    """The name of a grad_fn without the number of the overload, which follows PyTorch's C++ declarations."""
    return name and name.split("::")[-1].rstrip("0123456789").lower()


def requiring(results: list) -> list:
    return [out for out in results if isinstance(out, rustnn.Tensor) and out.requires_grad]


@each_op
def test_values_are_pytorchs(line: Op) -> None:
    findings = Findings()
    tensors, metadata = golden(line.family)

    def check(case: Case) -> str | None:
        inputs = recorded_inputs(case)
        args, kwargs, built = case.build(rustnn, inputs, requires_grad=line.differentiable)
        results = call(case, args, kwargs)
        expected = metadata[case.key]["out"]
        if len(results) != len(expected):
            return f"{len(results)} results, expected {len(expected)}"
        for k, (out, about) in enumerate(zip(results, expected, strict=True)):
            if "value" in about:
                if out != about["value"]:
                    return f"result {k} is {out!r}, expected {about['value']!r}"
                continue
            stored = tensors[f"{case.key}.out{k}"]
            if dtype_name(out) != stored[0]:
                return f"dtype {dtype_name(out)}, expected {stored[0]}"
            signs = line.signs and line.family in EXACT_SIGNS
            floor = largest(inputs)
            wrong = difference(numbers(out), golden_files.decode(stored), stored[0], line.ulp, line.scale, signs, floor)
            if wrong:
                return f"result {k}: {wrong}"
            names = class_of(out.grad_fn and out.grad_fn.name()), class_of(about.get("grad_fn"))
            if line.named and line.family in NAMED and names[0] != names[1]:
                return f"result {k}: grad_fn {names[0]}, expected {names[1]}"
            if "view" in about and list(out.stride()) != about["view"]:
                return f"result {k}: strides {list(out.stride())}, expected {about['view']} of a view"
        for k, (tensor, before) in enumerate(zip(built, inputs, strict=True)):
            written = line.name in ("batch_norm", "instance_norm")  # the running statistics
            if not written and difference(
                numbers(tensor), numbers(case.sample.inputs()[k].build(rustnn, before)), "float64", 0
            ):
                return f"input {k} was changed"
        return None

    for case in line.cases():
        findings.check(case, lambda case=case: check(case))
    findings.report()


@each_op
def test_gradients_are_pytorchs_and_the_same_when_their_graph_is_asked_for(line: Op) -> None:
    findings = Findings()
    tensors, _ = golden(line.family)

    def check(case: Case, create_graph: bool) -> str | None:
        args, kwargs, built = case.build(rustnn, recorded_inputs(case), requires_grad=True)
        outputs = requiring(call(case, args, kwargs))
        leaves = [(k, x) for k, x in enumerate(built) if x.requires_grad]
        if not outputs or not leaves:
            missing = [k for k in range(len(built)) if f"{case.key}.grad{k}" in tensors]
            return f"no gradient for inputs {missing}" if missing else None
        grads = differentiate(outputs, [x for _, x in leaves], create_graph)
        for (k, leaf), grad in zip(leaves, grads, strict=True):
            stored = tensors.get(f"{case.key}.grad{k}")
            if stored is None or grad is None:
                # No gradient says as much as one of zeros.
                given = numbers(grad) if grad is not None else golden_files.decode(stored) if stored else None
                if given is not None and given.any():
                    return f"gradient {k} is {'None' if grad is None else 'a tensor'}, expected the other"
                continue
            if dtype_name(grad) != stored[0] or grad.shape != leaf.shape:
                return f"gradient {k} is {dtype_name(grad)} {tuple(grad.shape)}, expected {stored[0]} {stored[1]}"
            wrong = difference(
                numbers(grad), golden_files.decode(stored), stored[0], line.grad_ulp, "tensor", floor=1.0
            )
            if wrong:
                return f"gradient {k}{' under create_graph' * create_graph}: {wrong}"
        return None

    if not line.differentiable:
        pytest.skip("not differentiable")
    for case in line.cases():
        findings.check(case, lambda case=case: check(case, False))
        findings.check(case, lambda case=case: check(case, True))
    findings.report()


def smooth_cases(line: Op) -> list[Case]:
    """The cases for the numerical gradient: small, drawn at random, in float64."""
    found = []
    for index, sample in enumerate(line.samples):
        inputs = sample.inputs()
        floats = [x for x in inputs if x.dtype in FLOATS and x.grad]
        drawn = all(x.values is None and x.layout != "expanded" for x in floats)
        if floats and drawn and 0 < sum(int(np.prod(x.shape)) for x in floats) <= GRADCHECK_NUMBERS:
            found.append(Case(line, f"{line.name}.{index}", sample.cast("float64")))
    return found[:GRADCHECK_SAMPLES]


@each_op
def test_gradients_agree_with_differences_to_second_order(line: Op) -> None:
    cases = smooth_cases(line)
    if not line.differentiable or not line.numeric or not cases:
        pytest.skip("no differences to take")
    findings = Findings()

    def check(case: Case) -> str | None:
        _, kwargs, built = case.build(rustnn, case.numbers(), requires_grad=True)
        leaves = [x for x in built if x.requires_grad]

        def function(*tensors: Any) -> tuple:
            given = iter(tensors)
            exchanged = iter([next(given) if x.requires_grad else x for x in built])
            new_args, new_kwargs = case.sample.map(lambda _: next(exchanged))
            new_kwargs = {k: kwargs[k] if isinstance(v, str) else v for k, v in new_kwargs.items()}
            return tuple(requiring(call(case, new_args, new_kwargs)))

        if not function(*leaves):
            return None
        assert rustnn.autograd.gradcheck(function, leaves)
        if line.second:
            assert rustnn.autograd.gradgradcheck(function, leaves)
        return None

    for case in cases:
        findings.check(case, lambda case=case: check(case))
    findings.report()


@each_op
def test_meta_tensors_give_the_same_shapes_and_dtypes(line: Op) -> None:
    if not line.meta:
        pytest.skip("the shape depends on the data")
    findings = Findings()
    tensors, metadata = golden(line.family)

    def check(case: Case) -> str | None:
        _, kwargs, built = case.build(rustnn, recorded_inputs(case))
        moved = iter([x.to("meta") for x in built])
        args, meta_kwargs = case.sample.map(lambda _: next(moved))
        meta_kwargs = {k: kwargs[k] if isinstance(v, str) else v for k, v in meta_kwargs.items()}
        for k, out in enumerate(call(case, args, meta_kwargs)):
            if "value" in metadata[case.key]["out"][k]:
                continue
            dtype, shape, _ = tensors[f"{case.key}.out{k}"]
            found = dtype_name(out), tuple(out.shape), str(out.device)
            if found != (dtype, shape, "meta" if built else "cpu"):
                return f"result {k} is {found}, expected {dtype} {shape} on meta"
        return None

    for case in line.cases():
        findings.check(case, lambda case=case: check(case))
    findings.report()


def same(first: list, second: list, signed_zeros: bool = True) -> str | None:
    """What differs between two lists of results, to the last bit."""
    if len(first) != len(second):
        return f"{len(first)} results, expected {len(second)}"
    for out, expected in zip(first, second, strict=True):
        if not isinstance(expected, rustnn.Tensor):
            if out != expected:
                return f"{out!r}, expected {expected!r}"
        elif out.dtype != expected.dtype:
            return f"{out.dtype}, expected {expected.dtype}"
        elif wrong := difference(numbers(out), numbers(expected), dtype_name(expected), 0, signed_zeros=signed_zeros):
            return wrong
    return None


@ops_with("m")
def test_method_does_what_the_function_does(line: Op) -> None:
    findings = Findings()

    def check(case: Case) -> str | None:
        args, kwargs, _ = case.build(rustnn, recorded_inputs(case))
        if not isinstance(args[0], rustnn.Tensor):
            return None
        return same(flatten(getattr(args[0], line.name)(*args[1:], **kwargs)), call(case, args, kwargs))

    for case in line.cases():
        findings.check(case, lambda case=case: check(case))
    findings.report()


@ops_with("i")
def test_in_place_method_writes_the_same_into_its_tensor(line: Op) -> None:
    findings = Findings()

    def check(case: Case) -> str | None:
        args, kwargs, built = case.build(rustnn, recorded_inputs(case), requires_grad=line.differentiable)
        if not isinstance(args[0], rustnn.Tensor) or case.sample.inputs()[0].layout == "expanded":
            return None
        expected = call(case, args, kwargs)
        if expected[0].shape != args[0].shape or expected[0].dtype != args[0].dtype:
            return None
        x = args[0].clone()
        address = x.data_ptr()
        out = getattr(x, f"{line.name}_")(*args[1:], **kwargs)
        if out is not x or x.data_ptr() != address:
            return "the result is not the tensor itself"
        if wrong := same([x], expected):
            return wrong
        leaves = [leaf for leaf in built if leaf.requires_grad]
        if not x.requires_grad or not leaves:
            return None
        # A gradient formula that reads the result reads the changed tensor; one that reads the input must not.
        return same(list(differentiate([x], leaves)), list(differentiate(expected, leaves)), signed_zeros=False)

    for case in line.cases():
        findings.check(case, lambda case=case: check(case))
    findings.report()


@ops_with("o")
def test_out_receives_the_result_whatever_its_layout(line: Op) -> None:
    findings = Findings()

    def check(case: Case) -> str | None:
        args, kwargs, _ = case.build(rustnn, recorded_inputs(case))
        expected = call(case, args, kwargs)
        function = find(rustnn, line.function)
        empty = rustnn.empty(0, dtype=expected[0].dtype)
        if function(*args, **kwargs, out=empty) is not empty:
            return "the result is not out"
        if wrong := same([empty], expected):
            return f"empty out: {wrong}"
        shape = tuple(expected[0].shape)
        strided = rustnn.full((*shape, 2), 1, dtype=expected[0].dtype)[..., 0]
        function(*args, **kwargs, out=strided)
        if wrong := same([strided], expected):
            return f"strided out: {wrong}"
        return None

    for case in line.cases():
        findings.check(case, lambda case=case: check(case))
    findings.report()


elementwise_ops = [line for line in OPS.values() if line.elementwise]


@pytest.mark.parametrize("line", elementwise_ops, ids=[line.name for line in elementwise_ops])
def test_result_dtype_follows_pytorchs_promotion(line: Op) -> None:
    tensors = [rustnn.ones(2, dtype=getattr(rustnn, name)) for name in DTYPES]
    arguments = line.samples[0].args[1:] if line.elementwise == 1 else ()
    values = {"int": 2, "float": 2.5, "bool": True}
    wrong = []
    for form, expected in dtype_rules()[line.name].items():
        if form == "tensor":
            calls = [(x, *arguments) for x in tensors]
        elif form == "tensor, tensor":
            calls = [(x, y) for x in tensors for y in tensors]
        elif form == "tensor, 0-dim":
            calls = [(x, y[0]) for x in tensors for y in tensors]
        elif form.startswith("tensor"):
            calls = [(x, values[form.split(", ")[1]]) for x in tensors]
        else:
            calls = [(values[form.split(", ")[0]], x) for x in tensors]
        for args, result in zip(calls, expected, strict=True):
            try:
                found = dtype_name(line.call(rustnn, *args))
            except Exception as error:
                # Where ours has a better class it inherits from torch's (design §7).
                found = result if result in [c.__name__ for c in type(error).__mro__] else type(error).__name__
            # What PyTorch has no kernel for may work here.
            if found != result and not result.endswith("Error"):
                shown = ", ".join(dtype_name(a) if isinstance(a, rustnn.Tensor) else repr(a) for a in args)
                wrong.append(f"{line.name}({shown}) with {form}: {found}, expected {result}")
    assert not wrong, "\n" + "\n".join(wrong)
