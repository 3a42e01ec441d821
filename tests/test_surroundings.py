"""What programs say around their models: dtypes' limits, old types, other devices, switches, mixed precision."""

import math
import pickle
import warnings

import pytest

import rustnn


def test_finfo_has_the_limits_that_arithmetic_shows():
    for dtype in (rustnn.float16, rustnn.bfloat16, rustnn.float32, rustnn.float64):
        limits = rustnn.finfo(dtype)
        one = rustnn.ones((), dtype=dtype)
        assert (one + limits.eps).item() == 1.0 + limits.eps
        assert (one + limits.eps / 2).item() == 1.0
        greatest = rustnn.tensor(limits.max, dtype=dtype)
        assert greatest.item() == limits.max and math.isinf((greatest * 2).item())
        assert limits.min == -limits.max and limits.bits == dtype.itemsize * 8


def test_limits_show_themselves_as_in_pytorch():
    assert repr(rustnn.finfo(rustnn.float16)) == (
        "finfo(resolution=0.001, min=-65504, max=65504, eps=0.000976562, smallest_normal=6.10352e-05, "
        "tiny=6.10352e-05, dtype=float16)"
    )
    assert repr(rustnn.iinfo(rustnn.int64)) == "iinfo(min=-9.22337e+18, max=9.22337e+18, dtype=int64)"
    assert repr(rustnn.finfo()) == repr(rustnn.finfo(rustnn.complex64)) == repr(rustnn.finfo(rustnn.float32))


def test_limits_are_compared_and_pickled_by_dtype():
    limits = rustnn.iinfo(rustnn.uint16)
    assert pickle.loads(pickle.dumps(limits)) == limits != rustnn.iinfo(rustnn.int16)
    assert (limits.min, limits.max) == (0, 65535)


def test_limits_of_the_wrong_kind_raise():
    with pytest.raises(TypeError, match="requires a floating point input type"):
        rustnn.finfo(rustnn.int32)
    with pytest.raises(TypeError, match="requires an integer input type"):
        rustnn.iinfo(rustnn.float32)


def test_old_types_make_tensors_and_recognise_them():
    assert rustnn.LongTensor([1.5, 2]).tolist() == [1, 2]
    assert rustnn.FloatTensor(2, 3).shape == (2, 3) and rustnn.FloatTensor().shape == (0,)
    assert isinstance(rustnn.ones(2), rustnn.FloatTensor) and not isinstance(rustnn.ones(2), rustnn.LongTensor)
    assert rustnn.ones(2).type(rustnn.LongTensor).dtype is rustnn.int64
    same = rustnn.ones(2)
    rustnn.FloatTensor(same)[0] = 5
    assert same.tolist() == [5, 1]


def test_old_types_refuse_numbers_and_other_dtypes():
    with pytest.raises(TypeError, match=r"new\(\): data must be a sequence \(got float\)"):
        rustnn.FloatTensor(3.5)
    with pytest.raises(TypeError, match="expected LongTensor"):
        rustnn.LongTensor(rustnn.ones(1))


def test_the_default_tensor_type_is_the_default_dtype():
    try:
        rustnn.set_default_tensor_type(rustnn.DoubleTensor)
        assert rustnn.ones(1).dtype is rustnn.float64
        rustnn.set_default_tensor_type("torch.FloatTensor")
        assert rustnn.ones(1).dtype is rustnn.float32
        with pytest.raises(TypeError, match="only floating-point types"):
            rustnn.set_default_tensor_type(rustnn.IntTensor)
    finally:
        rustnn.set_default_dtype(rustnn.float32)


def test_other_devices_are_absent_and_harmless_to_ask_for():
    assert not rustnn.cuda.is_available() and rustnn.cuda.device_count() == 0
    assert not rustnn.backends.mps.is_available() and not rustnn.xpu.is_available() and not rustnn.mps.is_available()
    assert rustnn.cuda.manual_seed_all(3) is None and rustnn.cuda.empty_cache() is None
    assert rustnn.cuda.max_memory_allocated() == 0 and rustnn.version.cuda is None
    assert not rustnn.distributed.is_available() and not rustnn.distributed.is_initialized()


@pytest.mark.parametrize("name", ["synchronize", "current_device", "get_device_name", "Stream", "Event", "FloatTensor"])
def test_using_cuda_raises(name):
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        getattr(rustnn.cuda, name)()


def test_without_a_real_gpu_there_is_no_accelerator(monkeypatch):
    accelerator = rustnn.accelerator
    monkeypatch.setattr(accelerator.gpu, "device_count", lambda: 0)
    assert not accelerator.is_available() and accelerator.device_count() == 0
    assert accelerator.current_accelerator() is None and accelerator.current_accelerator(check_available=True) is None
    assert accelerator.memory_allocated() == 0 and accelerator.empty_cache() is None
    for call in (accelerator.synchronize, accelerator.current_device_index, lambda: accelerator.set_device_index(0)):
        with pytest.raises(RuntimeError, match="Cannot access accelerator device when none is available"):
            call()
    with accelerator.device_index(None):
        pass
    with pytest.raises(RuntimeError, match="none is available"), accelerator.device_index(0):
        pass


def test_using_other_devices_raises():
    with pytest.raises(AssertionError, match="XPU"):
        rustnn.xpu.synchronize()
    with pytest.raises(RuntimeError, match="MPS"):
        rustnn.mps.synchronize()
    with pytest.raises(ValueError, match="init_process_group"):
        rustnn.distributed.get_rank()
    with pytest.raises(RuntimeError, match="one process"):
        rustnn.distributed.init_process_group("gloo")


def test_switches_are_remembered():
    rustnn.backends.cudnn.benchmark = True
    with rustnn.backends.cudnn.flags(benchmark=False):
        assert not rustnn.backends.cudnn.benchmark
    assert rustnn.backends.cudnn.benchmark
    rustnn.backends.cudnn.benchmark = False
    rustnn.set_float32_matmul_precision("high")
    assert rustnn.get_float32_matmul_precision() == "high"
    with pytest.warns(UserWarning, match="low is not one of"):
        rustnn.set_float32_matmul_precision("low")
    rustnn.set_float32_matmul_precision("highest")
    rustnn.use_deterministic_algorithms(True, warn_only=True)
    assert rustnn.are_deterministic_algorithms_enabled() and rustnn.get_deterministic_debug_mode() == 1
    rustnn.set_deterministic_debug_mode("default")
    assert not rustnn.are_deterministic_algorithms_enabled()


def test_new_tensors_lie_on_the_default_device():
    assert rustnn.get_default_device() == rustnn.device("cpu")
    rustnn.set_default_device("meta")
    try:
        assert rustnn.get_default_device() == rustnn.device("meta")
        assert rustnn.nn.Linear(2, 1).weight.device == rustnn.tensor([1.0]).device == rustnn.device("meta")
        assert rustnn.ones(1, device="cpu").device == rustnn.device("cpu")
        with rustnn.device("cpu"):
            assert rustnn.randn(2).device == rustnn.get_default_device() == rustnn.device("cpu")
        assert rustnn.arange(2).device == rustnn.device("meta")
    finally:
        rustnn.set_default_device(None)
    assert rustnn.ones(1).device == rustnn.device("cpu")


def test_compile_returns_what_it_is_given():
    net = rustnn.nn.Linear(2, 1)
    assert rustnn.compile(net, mode="max-autotune") is net
    assert rustnn.compile(fullgraph=True)(len) is len
    assert not rustnn.compiler.is_compiling()
    with pytest.raises(RuntimeError, match="Either mode or options"):
        rustnn.compile(net, mode="default", options={})


def test_autocast_computes_products_in_halves_and_losses_in_float32():
    layer, x = rustnn.nn.Linear(3, 2), rustnn.ones(4, 3)
    conv = rustnn.nn.Conv2d(1, 1, 2)
    with rustnn.autocast("cpu"):
        assert rustnn.is_autocast_enabled("cpu") and rustnn.is_autocast_cpu_enabled()
        out = layer(x)
        assert out.dtype is (x @ x.T).dtype is conv(rustnn.ones(1, 1, 2, 2)).dtype is rustnn.bfloat16
        assert (x + x).dtype is rustnn.float32 and rustnn.cat([out, x[:, :2]]).dtype is rustnn.float32
        loss = rustnn.nn.functional.cross_entropy(out, rustnn.zeros(4, dtype=rustnn.int64))
        assert loss.dtype is rustnn.float32
        with rustnn.autocast("cpu", enabled=False):
            assert layer(x).dtype is rustnn.float32
        with rustnn.autocast("cpu", dtype=rustnn.float16):
            assert layer(x).dtype is rustnn.float16 is rustnn.get_autocast_dtype("cpu")
        assert (x.double() @ x.T.double()).dtype is rustnn.float64
    loss.backward()
    assert layer.weight.grad.dtype is rustnn.float32 and not rustnn.is_autocast_enabled("cpu")
    assert rustnn.autocast("cpu")(layer)(x).dtype is rustnn.bfloat16 and layer(x).dtype is rustnn.float32


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_what_is_computed_again_is_computed_under_the_same_autocast(use_reentrant):
    seen = []

    def run(x):
        seen.append(rustnn.get_autocast_dtype("cpu") if rustnn.is_autocast_enabled("cpu") else None)
        return (x @ x).float()

    x = rustnn.ones(2, 2, requires_grad=True)
    with rustnn.autocast("cpu"):
        out = rustnn.utils.checkpoint.checkpoint(run, x, use_reentrant=use_reentrant)
    out.sum().backward()
    assert seen == [rustnn.bfloat16] * 2 and x.grad.tolist() == [[4, 4], [4, 4]]


def test_functions_of_ones_own_say_how_they_are_cast():
    class Square(rustnn.autograd.Function):
        @staticmethod
        @rustnn.amp.custom_fwd(device_type="cpu", cast_inputs=rustnn.float32)
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x @ x

        @staticmethod
        @rustnn.amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            seen.append(rustnn.is_autocast_enabled("cpu"))
            return 2 * ctx.saved_tensors[0] @ grad

    seen = []
    with rustnn.autocast("cpu"):
        out = Square.apply(rustnn.ones(2, 2, dtype=rustnn.bfloat16, requires_grad=True))
        assert out.dtype is rustnn.float32
    out.sum().backward()
    assert seen == [True]


def test_autocast_says_where_there_is_none():
    with pytest.warns(UserWarning, match="target dtype is not supported"), rustnn.autocast("cpu", dtype=rustnn.float64):
        assert not rustnn.is_autocast_enabled("cpu")
    with pytest.warns(UserWarning, match="CUDA is not available"):
        rustnn.cuda.amp.autocast()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rustnn.autocast("cuda", enabled=False)(len)([1]) == 1
    with pytest.raises(RuntimeError, match="device type at start of device string: foo"):
        rustnn.autocast("foo")


def _scaled_weight():
    weight = rustnn.nn.Parameter(rustnn.ones(2))
    return weight, rustnn.optim.SGD([weight], lr=0.1), rustnn.amp.GradScaler("cpu")


def test_a_grad_scaler_takes_its_factor_out_of_gradients():
    weight, optimizer, scaler = _scaled_weight()
    scaler.scale((weight * 2).sum()).backward()
    assert weight.grad.tolist() == [131072.0, 131072.0]
    scaler.unscale_(optimizer)
    assert weight.grad.tolist() == [2.0, 2.0]
    scaler.step(optimizer)
    scaler.update()
    assert weight.tolist() == pytest.approx([0.8, 0.8]) and scaler.state_dict()["_growth_tracker"] == 1


def test_a_grad_scaler_leaves_out_steps_with_infinite_gradients():
    weight, optimizer, scaler = _scaled_weight()
    scaler.scale((weight * math.inf).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert weight.tolist() == [1.0, 1.0] and scaler.get_scale() == 32768.0


def test_a_grad_scaler_grows_after_its_interval_and_its_state_is_restored():
    weight, optimizer, _ = _scaled_weight()
    scaler = rustnn.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale(weight.sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 8.0
    other = rustnn.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()


def test_a_grad_scaler_refuses_a_wrong_order():
    weight, optimizer, scaler = _scaled_weight()
    with pytest.raises(AssertionError, match="Attempted step but _scale is None"):
        scaler.step(optimizer)
    scaler.scale(weight.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"after step\(\)"):
        scaler.unscale_(optimizer)


def test_a_grad_scaler_that_is_off_only_steps():
    weight, optimizer, _ = _scaled_weight()
    with pytest.warns(UserWarning, match="Disabling"):
        scaler = rustnn.amp.GradScaler()
    scaler.scale(weight.sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert weight.tolist() == pytest.approx([0.9, 0.9]) and scaler.get_scale() == 1.0 and scaler.state_dict() == {}


def test_zeros_and_infinities_alone_are_printed_unaligned():
    assert repr(rustnn.tensor([0.0, -math.inf])) == "tensor([0., -inf])"
    assert repr(rustnn.tensor([math.nan, 0.0])) == "tensor([nan, 0.])"


def test_tensors_that_have_the_common_shape_are_broadcast_to_themselves():
    matrix = rustnn.ones(2, 3)
    row, same = rustnn.broadcast_tensors(rustnn.ones(3), matrix)
    assert same is matrix and row.shape == (2, 3)


def test_scripts_stay_python_and_traces_raise():
    net = rustnn.nn.Linear(2, 1)
    assert rustnn.jit.script(net) is net and rustnn.jit.ignore(len) is len and rustnn.jit.ignore(drop=True)(len) is len
    assert not rustnn.jit.is_scripting() and not rustnn.onnx.is_in_onnx_export()
    with pytest.raises(NotImplementedError, match=r"jit\.trace: rustnn has no TorchScript"):
        rustnn.jit.trace(net, rustnn.ones(1, 2))
    with pytest.raises(NotImplementedError, match=r"onnx\.export"):
        rustnn.onnx.export(net, rustnn.ones(1, 2), "net.onnx")


def test_close_tensors_pass_and_others_say_where_they_differ():
    close = rustnn.testing.assert_close
    close(rustnn.ones(2) + 1e-7, rustnn.ones(2))
    close({"a": [1.0, None]}, {"a": [1.0, None]})
    close(rustnn.tensor([math.nan]), rustnn.tensor([math.nan]), equal_nan=True)
    with pytest.raises(AssertionError) as error:
        close(rustnn.tensor([[1.0, 2.0], [3.0, 5.0]]), rustnn.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert str(error.value) == (
        "Tensor-likes are not close!\n\nMismatched elements: 1 / 4 (25.0%)\n"
        "Greatest absolute difference: 1.0 at index (1, 1) (up to 1e-05 allowed)\n"
        "Greatest relative difference: 0.25 at index (1, 1) (up to 1.3e-06 allowed)"
    )
    with pytest.raises(AssertionError, match="NaN"):
        close(rustnn.tensor([math.nan]), rustnn.tensor([math.nan]), msg=lambda text: "NaN: " + text)


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        (rustnn.ones(2), rustnn.ones(3), r"attribute 'shape' do not match: torch.Size\(\[2\]\) != torch.Size\(\[3\]\)"),
        (rustnn.ones(2), rustnn.ones(2).double(), "attribute 'dtype' do not match: torch.float32 != torch.float64"),
        (rustnn.tensor([1, 2]), rustnn.tensor([1, 3]), "Tensor-likes are not equal!"),
        (1.0, 2.0, "Scalars are not close!\n\nExpected 2.0 but got 1.0."),
        ([1.0], [1.0, 2.0], "length of the sequences mismatch: 1 != 2"),
        ({"a": 1.0}, {"b": 1.0}, "keys of the mappings do not match"),
        ([rustnn.ones(2), 1.0], [rustnn.ones(2), 2.0], r"The failure occurred for item \[1\]"),
        ([None], [1.0], "None mismatch"),
    ],
)
def test_values_that_are_not_close_raise(actual, expected, message):
    with pytest.raises(AssertionError, match=message):
        rustnn.testing.assert_close(actual, expected)


def test_one_tolerance_alone_raises():
    with pytest.raises(ValueError, match="must both be specified"):
        rustnn.testing.assert_close(1.0, 1.0, rtol=0.1)


def test_foreach_functions_do_an_op_on_each_tensor_of_a_list():
    tensors = [rustnn.ones(2), rustnn.full((1,), 4.0)]
    assert [t.tolist() for t in rustnn._foreach_mul(tensors, 3)] == [[3.0, 3.0], [12.0]]
    assert rustnn._foreach_add_(tensors, [rustnn.ones(2), rustnn.ones(1)], alpha=2) is tensors
    assert [t.tolist() for t in tensors] == [[3.0, 3.0], [6.0]]
    rustnn._foreach_addcdiv_(tensors, tensors, tensors, value=2)
    assert [t.tolist() for t in tensors] == [[5.0, 5.0], [8.0]]
    rustnn._foreach_lerp_(tensors, [rustnn.zeros(2), rustnn.zeros(1)], 0.5)
    assert [norm.item() for norm in rustnn._foreach_norm(tensors)] == pytest.approx([2.5 * math.sqrt(2), 4.0])
    rustnn._foreach_zero_(tensors)
    assert not any(t.any() for t in tensors)
    with pytest.raises(RuntimeError, match="same number of tensors, got 2 and 1"):
        rustnn._foreach_add(tensors, [rustnn.ones(2)])
    with pytest.raises(RuntimeError, match="at least one tensor"):
        rustnn._foreach_sqrt([])
    with pytest.raises(RuntimeError, match="same number of elements as scalar list"):
        rustnn._foreach_mul(tensors, [1.0])
    with pytest.raises(RuntimeError, match="expected to be 0 dim but it has 1 dimensions and 2 elements"):
        rustnn._foreach_mul(tensors, rustnn.ones(2))


def test_foreach_functions_take_numbers_of_each_tensor():
    tensors = [rustnn.ones(2), rustnn.full((1,), 4.0)]
    assert [t.tolist() for t in rustnn._foreach_mul(tensors, [2, 3])] == [[2.0, 2.0], [12.0]]
    assert [t.tolist() for t in rustnn._foreach_addcmul(tensors, tensors, tensors, [1, 2])] == [[2.0, 2.0], [36.0]]
    assert [t.tolist() for t in rustnn._foreach_pow(2.0, tensors)] == [[2.0, 2.0], [16.0]]
    assert [t.item() for t in rustnn._foreach_max(tensors)] == [1.0, 4.0]
    assert [t.item() for t in rustnn._foreach_powsum(tensors, 2)] == [2.0, 16.0]


def test_every_foreach_function_is_reached_from_the_top_level():
    from rustnn import foreach

    assert foreach.__all__ == [name for name in foreach.__all__ if getattr(rustnn, name) is getattr(foreach, name)]


def test_a_kernel_of_attention_is_chosen_without_effect():
    from rustnn.nn.attention import SDPBackend, sdpa_kernel

    q = rustnn.randn(1, 3, 4)
    attend = rustnn.nn.functional.scaled_dot_product_attention
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        inside = attend(q, q, q)
    assert inside.equal(attend(q, q, q))
    with pytest.raises(TypeError, match="instance of SDPBackend"), sdpa_kernel("flash"):
        pass


def test_weights_are_fetched_once_and_checked(tmp_path, capsys):
    import hashlib

    source = tmp_path / "source.pt"
    rustnn.save({"weight": rustnn.ones(2)}, source)
    digits = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    named = source.rename(tmp_path / f"net-{digits}.pth")
    url, folder = named.as_uri(), str(tmp_path / "kept")
    load = rustnn.hub.load_state_dict_from_url
    assert load(url, folder, check_hash=True)["weight"].tolist() == [1.0, 1.0]
    assert "Downloading" in capsys.readouterr().err
    named.unlink()
    assert load(url, folder, check_hash=True)["weight"].tolist() == [1.0, 1.0]
    wrong = tmp_path / "net-00000000.pth"
    wrong.write_bytes(b"other")
    with pytest.raises(RuntimeError, match="invalid hash value"):
        load(wrong.as_uri(), folder, check_hash=True, progress=False)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [f"net-{digits}.pth"]


def test_the_folder_for_downloads_can_be_set(monkeypatch):
    monkeypatch.setenv("TORCH_HOME", "/somewhere")
    monkeypatch.setattr(rustnn.hub, "_folder", None)
    assert rustnn.hub.get_dir() == "/somewhere/hub"
    rustnn.hub.set_dir("/elsewhere")
    assert rustnn.hub.get_dir() == "/elsewhere"


def _square_of(index, path):
    with open(f"{path}{index}", "w") as file:
        file.write(str(index**2))


def _fails(index):
    raise ValueError(f"no {index}")


def test_processes_are_spawned_and_their_errors_told(tmp_path):
    import rustnn.multiprocessing as processes

    processes.spawn(_square_of, (str(tmp_path / "out"),), nprocs=2)
    assert (tmp_path / "out1").read_text() == "1"
    with pytest.raises(processes.ProcessRaisedException, match="ValueError: no 0"):
        processes.spawn(_fails, nprocs=1)
    assert processes.get_sharing_strategy() in processes.get_all_sharing_strategies()


def test_overrides_are_found_and_called():
    from rustnn import overrides

    class Logged(rustnn.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__

    own = rustnn.ones(1).as_subclass(Logged)
    plain = (rustnn.ones(1), rustnn.nn.Parameter(rustnn.ones(1)), 3)
    assert overrides.has_torch_function((own,)) and not overrides.has_torch_function(plain)
    assert overrides.is_tensor_like(plain[0]) and not overrides.is_tensor_like(3)

    @overrides.wrap_torch_function(lambda x: (x,))
    def doubled(x):
        return x + x

    assert doubled(plain[0]).item() == 2 and doubled(own) == "doubled"


def test_names_that_annotations_and_marks_of_other_libraries_need_are_there():
    from rustnn._jit_internal import _copy_to_script_wrapper, export
    from rustnn.serialization import MAP_LOCATION, FileLike

    assert isinstance("cpu", MAP_LOCATION) and isinstance(rustnn.device("cpu"), MAP_LOCATION)
    assert isinstance("a.pt", FileLike) and not isinstance(3, FileLike)
    assert _copy_to_script_wrapper(len) is len and export(len) is len


@pytest.mark.parametrize(
    "name", "float32 float16 bfloat16 float64 complex64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()
)
def test_arbitrary_contents_show_themselves_under_deterministic_algorithms(name):
    dtype = getattr(rustnn, name)
    like = rustnn.zeros(3, 2, dtype=dtype)
    makers = [
        lambda: rustnn.empty(3, 2, dtype=dtype),
        lambda: rustnn.empty(3, 2, out=rustnn.zeros(0, dtype=dtype)),
        lambda: rustnn.empty_like(like),
        lambda: like.new_empty(3),
        lambda: rustnn.empty_strided((3, 2), (1, 4), dtype=dtype),
        lambda: rustnn.empty_permuted((2, 3), (1, 0), dtype=dtype),
        lambda: rustnn.zeros(0, dtype=dtype).resize_(2),
    ]
    marked = (
        rustnn.isnan
        if dtype.is_floating_point or dtype.is_complex
        else lambda x: x == (True if name == "bool" else rustnn.iinfo(dtype).max)
    )
    rustnn.use_deterministic_algorithms(True)
    try:
        assert all(marked(make()).all() for make in makers)
        rustnn.utils.deterministic.fill_uninitialized_memory = False
        assert not marked(rustnn.empty_like(like)).any()
        with pytest.raises(TypeError, match="must be a bool"):
            rustnn.utils.deterministic.fill_uninitialized_memory = 1
        rustnn.utils.deterministic.fill_uninitialized_memory = True
        assert rustnn.utils.deterministic.fill_uninitialized_memory is True and marked(makers[0]()).all()
    finally:
        rustnn.utils.deterministic.fill_uninitialized_memory = True
        rustnn.use_deterministic_algorithms(False)
    assert not marked(rustnn.empty_like(like)).any()
