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
