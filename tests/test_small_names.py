"""Small parts of PyTorch that programs name: what they do here, and what they say where they cannot."""

import pytest

import rustnn
from rustnn.utils import cpp_extension


def test_tensors_are_flattened_and_unflattened():
    from rustnn._utils import _flatten_dense_tensors, _take_tensors, _unflatten_dense_tensors

    tensors = [rustnn.arange(3.0), rustnn.ones(2, 2), rustnn.zeros(0, 2), rustnn.tensor(5.0)]
    flat = _flatten_dense_tensors(tensors)
    assert flat.tolist() == [0.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 5.0]
    parts = _unflatten_dense_tensors(flat, tensors)
    assert all(rustnn.equal(part, tensor) for part, tensor in zip(parts, tensors, strict=True))
    parts[1].zero_()
    assert flat[3:7].tolist() == [0.0] * 4
    assert _flatten_dense_tensors(tensors[:1]).data_ptr() == tensors[0].data_ptr()
    with pytest.raises(RuntimeError, match=r"start \(3\) \+ length \(4\) exceeds dimension size \(4\)"):
        _unflatten_dense_tensors(flat[:4], tensors)
    several = [rustnn.ones(3), rustnn.ones(3, dtype=rustnn.int64), rustnn.ones(5), rustnn.ones(1)]
    assert [[x.numel() for x in group] for group in _take_tensors(several, 20)] == [[3], [5], [1], [3]]


def test_nested_tensors_are_found_in_order():
    a, b = rustnn.ones(1), rustnn.zeros(2)
    found, structure = rustnn.jit._flatten((a, [b, {"again": a}]))
    assert found[0] is a and found[1] is b and found[2] is a and "again" in repr(structure)
    with pytest.raises(RuntimeError, match="received an input of unsupported type: int"):
        rustnn.jit._flatten((a, 3))


def test_the_older_autocast_of_the_cpu_casts():
    with rustnn.cpu.amp.autocast():
        assert (rustnn.ones(2, 2) @ rustnn.ones(2, 2)).dtype is rustnn.bfloat16
    with rustnn.cpu.amp.autocast(enabled=False):
        assert (rustnn.ones(2, 2) @ rustnn.ones(2, 2)).dtype is rustnn.float32


def test_cudas_kernels_of_attention_are_switches_only():
    cuda = rustnn.backends.cuda
    with cuda.sdp_kernel(enable_flash=False):
        assert not cuda.flash_sdp_enabled() and cuda.math_sdp_enabled()
    assert cuda.flash_sdp_enabled()
    assert cuda.SDPBackend is rustnn.nn.attention.SDPBackend
    q = rustnn.ones(1, 1, 2, 4)
    params = cuda.SDPAParams(q, q, q, None, 0.0, False, False)
    assert params.query is q and params.enable_gqa is False
    assert not cuda.can_use_flash_attention(params) and not cuda.can_use_cudnn_attention(params)
    with pytest.warns(UserWarning, match="All tensors need to be on cuda device. Got query on device: cpu"):
        assert not cuda.can_use_efficient_attention(params, debug=True)
    with pytest.raises(TypeError, match="must be SDPAParams"):
        cuda.can_use_flash_attention(q)


def test_marks_for_a_profiler_that_is_not_there_are_accepted():
    nvtx = rustnn.cuda.nvtx

    @nvtx.range("step {}", 3)
    def step():
        return 4

    with nvtx.range("outer"):
        assert step() == 4 and nvtx.range_push("inner") == nvtx.range_pop() == -2
    assert nvtx.mark("here") is None and nvtx.range_end(nvtx.range_start("elsewhere")) is None
    einsum = rustnn.backends.opt_einsum
    assert not einsum.is_available() and not einsum.enabled and einsum.strategy is None
    assert einsum.get_opt_einsum() is None


def test_what_needs_cuda_says_so():
    nccl = rustnn.cuda.nccl
    for call in (rustnn.cuda.cudart, nccl.version, lambda: nccl.all_reduce([rustnn.ones(1)])):
        with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
            call()
    with pytest.warns(UserWarning, match="not compiled with NCCL"):
        assert not nccl.is_available([rustnn.ones(1)])


def test_extensions_in_other_languages_are_refused(tmp_path):
    for call in (
        lambda: cpp_extension.load("name", ["a.cpp"]),
        lambda: cpp_extension.load_inline("name", "int f();"),
        lambda: cpp_extension.CUDAExtension("name", ["a.cu"]),
        lambda: cpp_extension.BuildExtension.with_options(use_ninja=False)(),
    ):
        with pytest.raises(NotImplementedError, match="rustnn has no C"):
            call()
    assert cpp_extension.CUDA_HOME is None


def test_names_of_pytorchs_inside():
    assert rustnn._C._get_default_device() == "cpu"
    with rustnn.device("meta"):
        assert rustnn._C._get_default_device() == "meta"
    assert repr(rustnn.TensorType.get()) == "Tensor"
    assert rustnn.autograd.ProfilerActivity.CPU is rustnn.profiler.ProfilerActivity.CPU
    assert rustnn.serialization.normalize_storage_type(rustnn.FloatStorage) is rustnn.FloatStorage
    text = rustnn._tensor_str._tensor_str(rustnn.ones(2, 2), 3)
    assert text == "[[1., 1.],\n    [1., 1.]]"
    assert rustnn._tensor_str._add_suffixes("tensor(1.", ["a=1", "b=2"], 7, False) == "tensor(1., a=1, b=2)"

    class Wrapper(rustnn.Tensor):
        pass

    with pytest.raises(TypeError, match="Wrapper must define __torch_dispatch__"):
        rustnn.Tensor._make_wrapper_subclass(Wrapper, (2, 3))
    Wrapper.__torch_dispatch__ = classmethod(lambda cls, *args: None)
    with pytest.raises(NotImplementedError, match="rustnn calls no __torch_dispatch__"):
        rustnn.Tensor._make_wrapper_subclass(Wrapper, (2, 3))


def test_hash_tensor_is_the_exclusive_or_of_the_bits():
    x = rustnn.tensor([[1.0, 2.0, -3.0], [0.5, 0.0, 0.0]])
    assert rustnn.hash_tensor(x[0]).item() == 13832806255468478464  # as PyTorch has it
    assert rustnn.hash_tensor(rustnn.tensor([1, 2, -3])).item() == 2**64 - 2
    assert x.hash_tensor(1, keepdim=True).shape == (2, 1)
    assert rustnn.hash_tensor(x, (0, 1)).item() == rustnn.hash_tensor(x).item() == rustnn.hash_tensor(x.T).item()
    assert rustnn.hash_tensor(rustnn.tensor(True)).item() == 1
    with pytest.raises(RuntimeError, match="Unknown hash_tensor mode: 1"):
        rustnn.hash_tensor(x, mode=1)
    with pytest.raises(IndexError, match="Expected reduction dim 0 to have non-zero size"):
        rustnn.hash_tensor(rustnn.zeros(0, 3), 0)
    with pytest.raises(RuntimeError, match="Expected reduction dim to be specified"):
        rustnn.hash_tensor(rustnn.zeros(0))
    with pytest.raises(NotImplementedError, match="ComplexFloat"):
        rustnn.hash_tensor(x.to(rustnn.complex64))


def test_uint64_are_read_without_a_sign():
    x = rustnn.tensor([-1, 3]).view(rustnn.uint64)
    assert x.tolist() == [2**64 - 1, 3]
    assert x[0].item() == 2**64 - 1
    assert float(x[0]) == float(2**64 - 1)
    with pytest.raises(RuntimeError, match="without overflow"):
        int(x[0])


def test_dtypes_know_their_complex_ones():
    assert rustnn.float64.to_complex() is rustnn.complex128
    assert rustnn.bfloat16.to_complex() is rustnn.complex64.to_complex() is rustnn.complex64
    with pytest.raises(RuntimeError, match="Unknown Complex ScalarType for Int"):
        rustnn.int32.to_complex()


def test_old_constructors_refuse_another_device_and_take_data_by_name():
    for make in (rustnn.Tensor, rustnn.tensor([1.0]).new):
        with pytest.raises(RuntimeError, match="legacy constructor expects device type: cpu"):
            make(2, device="meta")
    assert rustnn.Tensor(data=[1, 2]).tolist() == [1.0, 2.0]
    assert rustnn.Tensor([1, 2], device="cpu").tolist() == [1.0, 2.0]


def test_an_out_of_another_shape_is_resized_with_a_warning():
    with pytest.warns(UserWarning, match="An output with one or more elements was resized since it had shape"):
        out = rustnn.add(rustnn.ones(3), 1, out=rustnn.empty(5))
    assert out.tolist() == [2.0, 2.0, 2.0]
    assert rustnn.add(rustnn.ones(3), 1, out=rustnn.empty(0)).shape == (3,)


def test_numbers_between_complex_numbers():
    assert rustnn.linspace(0, 2j, 3).tolist() == [0j, 1j, 2j]
    assert rustnn.linspace(1, 1 + 2j, 2, dtype=rustnn.complex128).tolist() == [1 + 0j, 1 + 2j]
    assert abs(rustnn.logspace(0, 1j, 2)[1].item() - 10**1j) < 1e-6
    for function in (rustnn.linspace, rustnn.logspace):
        with pytest.raises(RuntimeError, match="can't be safely cast to passed dtype Float"):
            function(0, 1j, 3, dtype=rustnn.float32)


def test_a_list_in_itself_is_no_tensor():
    nested = [0]
    nested.append(nested)
    with pytest.raises(TypeError, match="self-referential lists are incompatible"):
        rustnn.tensor(nested)


def test_the_greatest_integer_fills():
    assert rustnn.full((1,), 2**63 - 1).tolist() == [2**63 - 1]
    with pytest.raises(RuntimeError, match="without overflow"):
        rustnn.full((1,), 2.0**63, dtype=rustnn.int64)


def test_deep_copies_of_subclasses_have_what_was_in_slots():
    import copy

    class Wrapper(rustnn.Tensor):
        __slots__ = ("elem",)

        @staticmethod
        def __new__(cls, elem):
            made = rustnn.Tensor._make_subclass(cls, elem.to("meta"))
            made.elem = elem
            return made

        def clone(self):
            return type(self)(self.elem.clone())

    wrapper = Wrapper(rustnn.ones(2))
    copied = copy.deepcopy(wrapper)
    assert type(copied) is Wrapper
    assert copied.elem.tolist() == [1.0, 1.0]
    assert copied.elem is not wrapper.elem


def test_numpy_arrays_without_dimensions_are_numbers_in_lists():
    import numpy

    assert rustnn.tensor([[7, numpy.array(5)], [numpy.array(9), 5.0]]).dtype is rustnn.float32
    assert rustnn.tensor([7, numpy.array(5.0)]).dtype is rustnn.float64
    assert rustnn.tensor([numpy.array(5), 3]).tolist() == [5, 3]
    assert rustnn.tensor([numpy.array(1, dtype=numpy.float32)]).dtype is rustnn.float32


def test_integers_beyond_int64_are_numbers_of_floats_booleans_and_uint64():
    assert rustnn.tensor([2**63, 1.5]).tolist() == [2.0**63, 1.5]
    assert rustnn.tensor(2**64, dtype=rustnn.float64).item() == 2.0**64
    assert rustnn.tensor([2**64, 0], dtype=rustnn.bool).tolist() == [True, False]
    assert rustnn.tensor([1e-323j, 0j, 1, 0], dtype=rustnn.bool).tolist() == [True, False, True, False]
    assert rustnn.tensor([2**63 + 1], dtype=rustnn.uint64).tolist() == [2**63 + 1]
    for value, dtype in ((2**63, None), (2**63, rustnn.int32), (2**64, rustnn.uint64), (10**400, rustnn.float64)):
        with pytest.raises(ValueError, match="Overflow when unpacking long long"):
            rustnn.tensor(value, dtype=dtype)


def test_new_tensors_of_integers_require_no_gradient():
    for make in (
        lambda: rustnn.zeros(2, dtype=rustnn.int64, requires_grad=True),
        lambda: rustnn.arange(3, requires_grad=True),
    ):
        with pytest.raises(
            RuntimeError, match="Only Tensors of floating point and complex dtype can require gradients"
        ):
            make()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_numbers_of_numpy_are_indices_as_pythons(dtype):
    import numpy

    x = rustnn.arange(12).reshape(3, 4)
    two = getattr(numpy, dtype)(2)
    assert x[two].tolist() == x[numpy.array(two)].tolist() == x[2].tolist()
    assert x[two, numpy.int64(-1)].item() == 11
    assert x[:, two].tolist() == [2, 6, 10]
    assert x[..., numpy.int16(1), None].shape == (3, 1)
    x[two] = 0
    assert x[2].tolist() == [0, 0, 0, 0]
    assert x[numpy.array([0, 2])].shape == (2, 4)
    with pytest.raises(IndexError, match="index 3 is out of bounds for dimension 0 with size 3"):
        x[numpy.int64(3)]


def test_types_of_pythons_numbers_stand_for_dtypes():
    x = rustnn.ones(2)
    dtypes = {float: rustnn.float64, int: rustnn.int64, bool: rustnn.bool, complex: rustnn.complex128}
    for kind, dtype in dtypes.items():
        assert x.to(kind).dtype is x.to(dtype=kind).dtype is x.to("cpu", kind).dtype is dtype
        assert rustnn.tensor([1], dtype=kind).dtype is dtype
    assert x.view(int).dtype is rustnn.int64
    assert x.to_sparse().to(bool).dtype is rustnn.bool
    assert rustnn.nn.Linear(1, 1).to(float).weight.dtype is rustnn.float64
    assert rustnn.nn.Linear(1, 1).to(dtype=float).weight.dtype is rustnn.float64
    with pytest.raises(TypeError, match="invalid combination of arguments"):
        x.to(str)
