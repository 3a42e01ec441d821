"""Files between PyTorch and rustnn, both ways: every dtype, layer, optimizer and schedule."""

import collections
import io
import pathlib
import pickle
import sys
import warnings

import pytest
import torch

import rustnn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden/files"))
import record

CASES = dict(record.cases())
del CASES["beyond_torch"]  # its weights_only reader lacks the instructions


def to_ours(value, save_options=(), **options):
    """A value of PyTorch through a file."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **dict(save_options))
    buffer.seek(0)
    return rustnn.load(buffer, **options)


def to_theirs(value, save_options=(), **options):
    """A value of ours through a file."""
    buffer = io.BytesIO()
    rustnn.save(value, buffer, **dict(save_options))
    buffer.seek(0)
    return torch.load(buffer, **options)


def content(value):
    return record.Description()(value)


LEGACY = {"_use_new_zipfile_serialization": False}


@pytest.mark.parametrize("name", sorted(set(CASES) - {"bits", "plain", "storages", "typed_storage"}))
@pytest.mark.parametrize("there", [{}, LEGACY])
@pytest.mark.parametrize("back", [{}, LEGACY])
@pytest.mark.parametrize("weights_only", [True, False])
def test_a_value_goes_there_and_back(name, there, back, weights_only):
    value = CASES[name]
    ours = to_ours(value, there, weights_only=weights_only)
    assert content(to_theirs(ours, back, weights_only=True)) == content(value)
    assert content(to_theirs(ours, back, weights_only=False)) == content(value)


def test_plain_values_go_there_and_back():
    value = {key: item for key, item in CASES["plain"].items() if key not in ("device", "layout")}
    for there in ({}, LEGACY):
        for weights_only in (True, False):
            assert content(to_theirs(to_ours(value, there, weights_only=weights_only), weights_only=True)) == content(
                value
            )


def test_lazy_bits_arrive_carried_out():
    ours = to_ours(CASES["bits"])
    theirs = to_theirs(ours)
    for found, wanted in zip(theirs, CASES["bits"], strict=True):
        assert torch.equal(found, wanted.resolve_conj().resolve_neg())


def test_storages_go_there_and_back():
    tensor = torch.arange(4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = to_ours([tensor, tensor.storage()])
        assert ours[0].untyped_storage() is ours[1].untyped()
        found = to_theirs(ours, weights_only=False)
        assert found[1].tolist() == tensor.tolist() and found[0].data_ptr() == found[1].data_ptr()
        bytes_ = to_ours(tensor.untyped_storage())
        assert bytes_.untyped().tolist() == tensor.untyped_storage().tolist()
        assert to_theirs(bytes_.untyped()).tolist() == tensor.untyped_storage().tolist()


def test_the_pickle_of_a_state_dict_is_pytorchs_byte_for_byte():
    import zipfile

    def data(module, value):
        buffer = io.BytesIO()
        module.save(value, buffer)
        with zipfile.ZipFile(buffer) as file:
            assert file.testzip() is None
            return file.read("archive/data.pkl")

    for name in ("state_dict", "views", "dtype_bfloat16", "parameters", "attributes", "empty", "sgd", "meta"):
        assert data(rustnn, to_ours(CASES[name])) == data(torch, CASES[name]), name


def test_their_mapped_loading_takes_our_files(tmp_path):
    rustnn.save(to_ours(CASES["views"]), tmp_path / "a.pt")
    assert content(torch.load(tmp_path / "a.pt", mmap=True)) == content(CASES["views"])
    torch.save(CASES["views"], tmp_path / "b.pt")
    assert content(to_theirs(rustnn.load(tmp_path / "b.pt", mmap=True))) == content(CASES["views"])


def test_errors_are_of_the_same_class_and_name_the_same_global(tmp_path):
    class Any:
        pass

    Any.__module__, Any.__qualname__ = "my.module", "Any"
    pickled = {
        "global": b"cmy.module\nAny\n)\x81",
        "blocked": b"cos\nsystem\nVtrue\n\x85R",
        "eval": b"c__builtin__\neval\nV1\n\x85R",
        "build": b"]}b",
        "unhashable": b"c__builtin__\nset\n)R]\x90",
    }
    for name, body in pickled.items():
        writer = torch._C.PyTorchFileWriter(str(tmp_path / "a.pt"))
        data = b"\x80\x02" + body + b"."
        writer.write_record("data.pkl", data, len(data))
        writer.write_end_of_file()
        texts = []
        for module in (torch, rustnn):
            with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed") as caught:
                module.load(tmp_path / "a.pt")
            texts.append(str(caught.value))
        if name in ("global", "blocked", "eval"):
            wanted = {"global": "my.module.Any", "blocked": "os.system", "eval": "eval"}[name]
            assert all(f"GLOBAL {wanted} " in text for text in texts)
    for data, error in ((b"", EOFError), (b"PK\x03\x04", RuntimeError), (b"\x80\x02N.", RuntimeError)):
        for module in (torch, rustnn):
            with pytest.raises(error):
                module.load(io.BytesIO(data))
    for module in (torch, rustnn):
        with pytest.raises(RuntimeError):
            module.save(1, tmp_path / "none" / "a.pt")
        with pytest.raises(FileNotFoundError):
            module.load(tmp_path / "none.pt")
        with pytest.raises(RuntimeError, match=r"Attempting to deserialize object on a CUDA device"):
            buffer = io.BytesIO()
            module.save(module.ones(1), buffer)
            buffer.seek(0)
            module.load(buffer, map_location="cuda")


def test_unsafe_globals_are_the_same(tmp_path):
    torch.save({"a": torch.nn.Linear(1, 1), "b": pathlib.PurePosixPath("a")}, tmp_path / "a.pt")
    find = [module.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "a.pt") for module in (torch, rustnn)]
    assert sorted(find[0]) == sorted(find[1])


# ---- layers ----------------------------------------------------------------------------------------------------------

# How each layer is made; () where it is not listed.
ARGUMENTS = {
    "AdaptiveAvgPool1d": (2,), "AdaptiveAvgPool2d": (2,), "AdaptiveAvgPool3d": (2,), "AdaptiveMaxPool1d": (2,),
    "AdaptiveMaxPool2d": (2,), "AdaptiveMaxPool3d": (2,), "AdaptiveLogSoftmaxWithLoss": (8, 12, [4, 8]),
    "AvgPool1d": (2,), "AvgPool2d": (2,), "AvgPool3d": (2,), "BatchNorm1d": (3,), "BatchNorm2d": (3,),
    "BatchNorm3d": (3,), "Bilinear": (2, 3, 4), "ChannelShuffle": (2,), "CircularPad1d": (1,), "CircularPad2d": (1,),
    "CircularPad3d": (1,), "ConstantPad1d": (1, 2.0), "ConstantPad2d": (1, 2.0), "ConstantPad3d": (1, 2.0),
    "Conv1d": (4, 6, 3), "Conv2d": (4, 6, 3, 2, "valid", 1, 2, False, "reflect"), "Conv3d": (2, 3, 2),
    "ConvTranspose1d": (4, 2, 3), "ConvTranspose2d": (4, 2, 3), "ConvTranspose3d": (4, 2, 3), "CrossMapLRN2d": (3,),
    "Embedding": (5, 3, 1), "EmbeddingBag": (5, 3), "Fold": (4, 2), "FractionalMaxPool2d": (2, 3),
    "FractionalMaxPool3d": (2, 3), "LinearCrossEntropyLoss": (5, 3), "GRU": (3, 2, 2), "GRUCell": (3, 2),
    "GroupNorm": (2, 4), "InstanceNorm1d": (3, 1e-5, 0.1, True, True), "InstanceNorm2d": (3,), "InstanceNorm3d": (3,),
    "LPPool1d": (2, 3), "LPPool2d": (2, 3), "LPPool3d": (2, 3), "LSTM": (3, 4, 2, True, False, 0.1, True, 2),
    "LSTMCell": (3, 2), "LayerNorm": ((2, 3),), "LazyBatchNorm1d": (), "LazyConv1d": (4, 3), "LazyConv2d": (4, 3),
    "LazyConv3d": (4, 3), "LazyConvTranspose1d": (4, 3), "LazyConvTranspose2d": (4, 3), "LazyConvTranspose3d": (4, 3),
    "LazyLinear": (3,), "Linear": (3, 5), "LocalResponseNorm": (2,), "MaxPool1d": (2,), "MaxPool2d": (3, 2, 1),
    "MaxPool3d": (2,), "MaxUnpool1d": (2,), "MaxUnpool2d": (2,), "MaxUnpool3d": (2,), "MultiheadAttention": (4, 2),
    "PReLU": (3,), "PixelShuffle": (2,), "PixelUnshuffle": (2,), "RMSNorm": (3,), "RNN": (3, 2),
    "RNNBase": ("GRU", 3, 2),
    "RNNCell": (3, 2), "RNNCellBase": (3, 2, True, 4), "ReflectionPad1d": (1,), "ReflectionPad2d": (1,),
    "ReflectionPad3d": (1,), "ReplicationPad1d": (1,), "ReplicationPad2d": (1,), "ReplicationPad3d": (1,),
    "Softmax": (1,), "LogSoftmax": (1,), "Softmin": (1,), "SyncBatchNorm": (3,), "Threshold": (0.1, 20.0),
    "Transformer": (4, 2, 1, 1, 8), "TransformerDecoderLayer": (4, 2, 8), "TransformerEncoderLayer": (4, 2, 8),
    "Unflatten": (1, (3, 4)), "Unfold": (2,), "Upsample": (None, 2), "UpsamplingBilinear2d": (None, 2),
    "UpsamplingNearest2d": (None, 2), "ZeroPad1d": (1,), "ZeroPad2d": (1,), "ZeroPad3d": (1,), "NLLLoss": (),
}  # fmt: skip


def built(nn, name):
    """The layer of this name, in the one package or the other."""
    module = torch if nn is torch.nn else rustnn
    special = {
        "Module": lambda: nn.Module(),
        "DataParallel": lambda: nn.DataParallel(nn.Linear(2, 2)),
        "ModuleDict": lambda: nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ReLU()}),
        "ModuleList": lambda: nn.ModuleList([nn.Linear(2, 2), nn.ReLU()]),
        "Sequential": lambda: nn.Sequential(collections.OrderedDict(a=nn.Linear(2, 2), b=nn.Sequential(nn.ReLU()))),
        "ParameterDict": lambda: nn.ParameterDict({"a": nn.Parameter(module.ones(2)), "b": module.zeros(1)}),
        "ParameterList": lambda: nn.ParameterList([nn.Parameter(module.ones(2)), nn.Parameter(module.zeros(1))]),
        "TransformerEncoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 2),
        "TransformerDecoder": lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return special[name]() if name in special else getattr(nn, name)(*ARGUMENTS.get(name, ()))


LAYERS = sorted(
    name
    for name in dir(rustnn.nn)
    if isinstance(getattr(rustnn.nn, name), type) and issubclass(getattr(rustnn.nn, name), rustnn.nn.Module)
)
# Not for whole pickles: a file may not hold PyTorch's copy of them.
STATE_ONLY = {"DataParallel"}


@pytest.mark.parametrize("name", LAYERS)
def test_the_state_of_every_layer_goes_there_and_back(name):
    torch.manual_seed(0)
    ours, theirs = built(rustnn.nn, name), built(torch.nn, name)
    lazy = name.startswith("Lazy")
    before = content(theirs.state_dict()) if not lazy else None
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    if lazy:  # there is nothing to save before the first forward
        return
    ours.load_state_dict(to_ours(state))
    back = to_theirs(ours.state_dict())
    assert content(back) == before
    built(torch.nn, name).load_state_dict(back)


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in STATE_ONLY])
@pytest.mark.parametrize("save_options", [{}, LEGACY])
def test_every_layer_goes_there_and_back_whole(name, save_options):
    torch.manual_seed(0)
    theirs = built(torch.nn, name)
    ours = to_ours(theirs, save_options, weights_only=False)
    kind = getattr(rustnn.nn, name)
    assert type(ours) is kind and repr(ours) == repr(theirs)
    again = to_theirs(ours, save_options, weights_only=False)
    assert type(again) is getattr(torch.nn, name) and repr(again) == repr(theirs)
    if not name.startswith("Lazy"):
        assert content(again.state_dict()) == content(theirs.state_dict())
    # One that never was PyTorch's.
    own = to_theirs(built(rustnn.nn, name), save_options, weights_only=False)
    assert type(own) is getattr(torch.nn, name) and repr(own) == repr(theirs)
    assert vars(own).keys() - vars(theirs).keys() <= {"_is_hf_initialized"}


def test_a_whole_network_of_theirs_computes_the_same_here():
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.GELU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(36, 8), torch.nn.LayerNorm(8), torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(8, 2)).requires_grad_(False).eval(),
    ).eval()  # fmt: skip
    theirs[-1] = torch.nn.Linear(8, 2)
    ours = to_ours(theirs, weights_only=False)
    x = torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        wanted = theirs(x)
    assert torch.allclose(torch.tensor(ours(rustnn.tensor(x.tolist())).tolist()), wanted, atol=1e-5)


# ---- optimizers and schedules ----------------------------------------------------------------------------------------

OPTIMIZERS = {
    "Adadelta": {"lr": 0.1}, "Adafactor": {"lr": 0.01}, "Adagrad": {"lr": 0.1}, "Adam": {"lr": 0.01, "amsgrad": True},
    "AdamW": {"lr": 0.01}, "Adamax": {"lr": 0.01}, "ASGD": {"lr": 0.01}, "LBFGS": {"lr": 0.1}, "NAdam": {"lr": 0.01},
    "RAdam": {"lr": 0.01}, "RMSprop": {"lr": 0.01, "momentum": 0.9, "centered": True}, "Rprop": {"lr": 0.01},
    "SGD": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}, "Muon": {"lr": 0.01},
}  # fmt: skip
HERE = [name for name in OPTIMIZERS if hasattr(rustnn.optim, name) and hasattr(torch.optim, name)]


def trained(module, name, steps=3):
    weight = module.nn.Parameter(module.arange(6.0).reshape(2, 3) / 7)
    more = module.nn.Parameter(module.ones(2, 2))
    groups = [{"params": [weight]}, {"params": [more], "lr": 0.05}]
    if name == "LBFGS":
        groups = [weight, more]
    optimizer = getattr(module.optim, name)(groups, **OPTIMIZERS[name])
    step(optimizer, steps)
    return optimizer


def step(optimizer, steps):
    params = [p for group in optimizer.param_groups for p in group["params"]]

    def closure():
        optimizer.zero_grad()
        loss = sum(((p - 2) ** 4).sum() for p in params)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return [p.tolist() for p in params]


def close(left, right, atol=1e-6):
    return torch.allclose(torch.tensor(left), torch.tensor(right), rtol=2e-5, atol=atol)


@pytest.mark.parametrize("name", HERE)
def test_an_optimizer_state_goes_there_and_back_and_on(name):
    ours, theirs = trained(rustnn, name), trained(torch, name)
    state = theirs.state_dict()
    ours.load_state_dict(to_ours(state))
    back = to_theirs(ours.state_dict())
    assert content(back["state"]) == content(state["state"])
    for group, wanted in zip(back["param_groups"], state["param_groups"], strict=True):
        assert {key: group[key] for key in wanted if key in group} == {
            key: wanted[key] for key in wanted if key in group
        }
    theirs.load_state_dict(back)
    # Muon iterates in bfloat16, where a sum in another order is another bit: a tenth of two steps of lr.
    atol = 0.1 * 2 * 0.01 if name == "Muon" else 1e-6
    for found, wanted in zip(step(ours, 2), step(theirs, 2), strict=True):
        assert close(found, wanted, atol)
    # The other way: from ours to theirs.
    fresh = trained(torch, name, 1)
    fresh.load_state_dict(to_theirs(trained(rustnn, name).state_dict()))
    step(fresh, 1)


def test_every_optimizer_here_is_tested():
    ours = {name for name in dir(rustnn.optim) if isinstance(getattr(rustnn.optim, name), type)}
    known = {name for name in ours if hasattr(torch.optim, name)} - {"Optimizer"}
    assert known - {"SparseAdam"} == set(HERE)


SCHEDULERS = {
    "StepLR": (2, 0.5), "MultiStepLR": ([1, 3], 0.5), "ConstantLR": (0.5, 3), "LinearLR": (0.5, 1.0, 4),
    "ExponentialLR": (0.9,), "CosineAnnealingLR": (5,), "CosineAnnealingWarmRestarts": (3,), "PolynomialLR": (5, 2.0),
    "CyclicLR": (0.01, 0.1, 3), "OneCycleLR": (0.1, 12), "LambdaLR": (lambda epoch: 0.9**epoch,),
    "MultiplicativeLR": (lambda epoch: 0.9,), "ReduceLROnPlateau": ("min", 0.5, 1),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in SCHEDULERS if hasattr(rustnn.optim.lr_scheduler, name)])
def test_a_schedule_goes_there_and_back_and_on(name):
    def made(module):
        optimizer = module.optim.SGD([module.nn.Parameter(module.ones(1))], lr=0.1, momentum=0.9)
        return optimizer, getattr(module.optim.lr_scheduler, name)(optimizer, *SCHEDULERS[name])

    def rates(pair, steps):
        optimizer, schedule = pair
        out = []
        for number in range(steps):
            optimizer.step()
            schedule.step(*((1.0 + number,) if name == "ReduceLROnPlateau" else ()))
            out.append(optimizer.param_groups[0]["lr"])
        return out

    theirs, ours = made(torch), made(rustnn)
    assert rates(theirs, 3) == pytest.approx(rates(ours, 3))
    other = made(rustnn)
    other[0].load_state_dict(to_ours(theirs[0].state_dict()))
    # Schedules hold classes such as Counter or plain functions' names: as PyTorch, not always weights only.
    other[1].load_state_dict(to_ours(theirs[1].state_dict(), weights_only=False))
    another = made(torch)
    another[0].load_state_dict(to_theirs(ours[0].state_dict()))
    another[1].load_state_dict(to_theirs(ours[1].state_dict(), weights_only=False))
    wanted = rates(theirs, 4)
    assert rates(other, 4) == pytest.approx(wanted) and rates(another, 4) == pytest.approx(wanted)


# ---- safetensors -----------------------------------------------------------------------------------------------------


def test_safetensors_go_there_and_back(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    values = {name: record.sample(getattr(torch, name), 3, 2) for name in record.DTYPES if name != "complex128"}
    values |= {"scalar": torch.tensor(1.5), "empty": torch.empty(0, 3)}
    save_file(values, tmp_path / "a.safetensors", metadata={"format": "pt", "ä": "ö"})
    ours = rustnn.safetensors.load_file(tmp_path / "a.safetensors")
    with rustnn.safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
        rustnn.safetensors.save_file(ours, tmp_path / "b.safetensors", file.metadata())
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "ä": "ö"}
    found = load_file(tmp_path / "b.safetensors")
    assert set(found) == set(values)
    for name, value in values.items():
        assert content(found[name].clone()) == content(value.clone()), name
    assert content(to_theirs(rustnn.load(tmp_path / "a.safetensors"))["bfloat16"].clone()) == content(
        values["bfloat16"]
    )
