"""Ops that programs define: rustnn.library and rustnn.ops."""

import pytest

import rustnn
from rustnn import library


def test_an_op_is_found_by_its_name_and_has_kernels_by_device():
    @library.custom_op("testing::twice", mutates_args=())
    def twice(x: rustnn.Tensor) -> rustnn.Tensor:
        return x * 2

    @twice.register_fake
    def _(x):
        return rustnn.empty_like(x)

    x = rustnn.ones(2)
    assert (
        twice(x).tolist()
        == rustnn.ops.testing.twice(x).tolist()
        == rustnn.ops.testing.twice.default(x).tolist()
        == [2, 2]
    )
    assert twice(rustnn.ones(3, device="meta")).shape == (3,)
    twice.register_kernel("cpu", lambda x: x * 20)
    assert twice(x).tolist() == [20, 20]
    assert rustnn.ops.testing.twice.overloads() == ["default"]
    with pytest.raises(AttributeError, match="'testing' object has no attribute 'never'"):
        _ = rustnn.ops.testing.never
    with pytest.raises(ValueError, match="namespace::name"):
        library.custom_op("twice", lambda x: x, mutates_args=(), schema="(Tensor x) -> Tensor")


def test_a_registered_gradient_is_used_and_saves_what_it_needs():
    lib = library.Library("testing", "FRAGMENT")
    lib.define("cube(Tensor x, float scale=1.0) -> Tensor")
    lib.impl("cube", lambda x, scale=1.0: x**3 * scale, "CPU")

    def setup(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.scale = inputs[1]

    library.register_autograd(
        "testing::cube", lambda ctx, grad: (grad * 3 * ctx.saved_tensors[0] ** 2 * ctx.scale, None), setup_context=setup
    )
    x = rustnn.tensor([2.0], requires_grad=True)
    rustnn.ops.testing.cube(x, scale=10.0).backward()
    assert x.grad.item() == 120
    with rustnn.no_grad():
        assert rustnn.ops.testing.cube(x).grad_fn is None
    with pytest.raises(
        NotImplementedError, match="Could not run 'testing::cube' with arguments from the 'Meta' backend"
    ):
        rustnn.ops.testing.cube(rustnn.ones(1, device="meta"))


def test_schemas_follow_from_annotations():
    def prototype(
        x: rustnn.Tensor, n: int, s: float = 1.5, *, names: list[str], t: rustnn.Tensor | None = None
    ) -> None:
        pass

    schema = library.infer_schema(prototype, mutates_args={"x"})
    assert schema == "(Tensor(a0!) x, SymInt n, float s=1.5, *, str[] names, Tensor? t=None) -> ()"
    with pytest.raises(ValueError, match="must have a type annotation"):
        library.infer_schema(lambda x: x, mutates_args=())


def test_aten_names_are_the_packages_functions():
    x = rustnn.tensor([-1.0, 1.0])
    assert rustnn.ops.aten.relu(x).tolist() == rustnn.ops.aten.relu.default(x).tolist() == [0, 1]
    with pytest.raises(AttributeError, match="no attribute 'no_such_op'"):
        _ = rustnn.ops.aten.no_such_op


def test_compiled_libraries_and_kernels_that_are_missing_raise():
    with pytest.raises(OSError, match="compiled for PyTorch"):
        rustnn.ops.load_library("ops.so")
    with pytest.raises(RuntimeError, match="does not exist"):
        library.impl("testing::nowhere", "cpu", lambda x: x)
    with pytest.raises(ValueError, match="Unsupported kind"):
        library.Library("testing", "OTHER")
    with pytest.raises(NotImplementedError, match="does not quantize"):
        rustnn.ao.quantization.prepare(rustnn.nn.ReLU())
