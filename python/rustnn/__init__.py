"""PyTorch's ``nn`` world on a small Rust engine.

``import rustnn as torch`` and programs run: names, signatures, semantics, messages and files are PyTorch 2.13's. Where
they differ on purpose, docs/differences.md says so.

Importing it loads the core and what every program needs; ``rustnn.nn``, ``rustnn.optim`` and the rest load when a
program first names them.
"""

from math import e, inf, nan, pi

from . import _core

globals().update({name: value for name, value in vars(_core).items() if not name.startswith("_")})

from . import _tensor  # noqa: E402
from ._lazy import names_on_demand  # noqa: E402
from ._size import Size  # noqa: E402
from ._tensor import _FunctionOff as DisableTorchFunctionSubclass  # noqa: E402

_tensor.install()

from .autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled  # noqa: E402

# Modules written in Python reach these through `_core`, like the native functions.
for _name in ("enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "Size"):
    setattr(_core, _name, globals()[_name])
del _name

from .random import get_rng_state, initial_seed, manual_seed, seed, set_rng_state  # noqa: E402
from .torch_version import TorchVersion  # noqa: E402

# The version of PyTorch whose names and semantics these are, which programs ask for; the package's own behind it.
__version__ = TorchVersion("2.13.0+rustnn.0.1.0")

newaxis = None

__getattr__, __dir__ = names_on_demand(
    __name__,
    modules=(
        "_C",
        "_tensor_str",
        "_utils",
        "_VF",
        "_dynamo",
        "__config__",
        "__future__",
        "accelerator",
        "amp",
        "ao",
        "as_torch",
        "autograd",
        "backends",
        "compiler",
        "cpu",
        "cuda",
        "datasets",
        "distributed",
        "distributions",
        "export",
        "fft",
        "func",
        "functional",
        "futures",
        "fx",
        "gpu",
        "hub",
        "jit",
        "library",
        "linalg",
        "masked",
        "mps",
        "multiprocessing",
        "nn",
        "onnx",
        "ops",
        "optim",
        "overrides",
        "profiler",
        "quasirandom",
        "return_types",
        "safetensors",
        "serialization",
        "signal",
        "sparse",
        "special",
        "storage",
        "testing",
        "types",
        "utils",
        "version",
        "xpu",
    ),
    names={
        "vmap": "_vmap",
        **dict.fromkeys(
            """_assert _check _check_index _check_is_size _check_not_implemented _check_tensor_all _check_type
            _check_value _check_with""".split(),
            "_checks",
        ),
        **dict.fromkeys(("istft", "stft"), "_spectrogram"),
        **dict.fromkeys(("matrix_exp", "matrix_power"), "linalg"),
        **dict.fromkeys(
            """bilinear channel_shuffle cosine_embedding_loss cosine_similarity ctc_loss embedding_bag
            hinge_embedding_loss margin_ranking_loss pairwise_distance pdist pixel_shuffle pixel_unshuffle
            poisson_nll_loss triplet_margin_loss""".split(),
            "nn.functional",
        ),
        **{
            f"_foreach_{name}": "foreach"
            for name in """
                abs abs_ acos acos_ add add_ addcdiv addcdiv_ addcmul addcmul_ asin asin_ atan atan_
                ceil ceil_ clamp_max clamp_max_ clamp_min clamp_min_ clone copy_ cos cos_ cosh cosh_
                div div_ erf erf_ erfc erfc_ exp exp_ expm1 expm1_ floor floor_ frac frac_ lerp
                lerp_ lgamma lgamma_ log log10 log10_ log1p log1p_ log2 log2_ log_ max maximum
                maximum_ minimum minimum_ mm mul mul_ neg neg_ norm pow pow_ powsum reciprocal
                reciprocal_ round round_ rsqrt rsqrt_ sigmoid sigmoid_ sign sign_ sin sin_ sinh
                sinh_ sqrt sqrt_ sub sub_ tan tan_ tanh tanh_ trunc trunc_ zero_
            """.split()
        },
        "Future": "futures",
        "_assert_async": "functional",
        "_segment_reduce": "functional",
        "GradScaler": "amp",
        "PyTorchFileReader": "_file_reader",
        "ScriptFunction": "jit",
        "ScriptModule": "jit",
        "SymBool": "types",
        "SymFloat": "types",
        "SymInt": "types",
        "autocast": "amp",
        "compile": "compiler",
        "finfo": "numeric_limits",
        "fork_rng": "random",
        "from_dlpack": "utils.dlpack",
        "iinfo": "numeric_limits",
        "inspect_checkpoint": "serialization",
        "load": "serialization",
        "load_safetensors": "safetensors",
        "range": "ranges",
        "save": "serialization",
        "save_safetensors": "safetensors",
        "set_printoptions": "_tensor_str",
        "smm": "_sparse",
        "sparse_bsc_tensor": "sparse",
        "sparse_bsr_tensor": "sparse",
        "sparse_compressed_tensor": "sparse",
        "sparse_coo_tensor": "_sparse",
        "sparse_csc_tensor": "sparse",
        "sparse_csr_tensor": "sparse",
        "spmm": "_sparse",
        "summary": "_summary",
        **dict.fromkeys(("igamma", "igammac"), "special"),
        **dict.fromkeys(
            """_dirichlet_grad _sample_dirichlet _standard_gamma _standard_gamma_grad binomial poisson""".split(),
            "samplers",
        ),
        **dict.fromkeys(
            """_add_relu _add_relu_ _debug_has_internal_overlap _log_softmax_backward_data _masked_softmax
            _nnpack_available _shape_as_tensor _softmax_backward_data _weight_norm""".split(),
            "_native_names",
        ),
        "to_dlpack": "utils.dlpack",
    },
    parts=(
        "functional",
        "_native_names",
        "_matrix_functions",
        "settings",
        "storage",
        "tensor_types",
        "amp.autocast_mode",
    ),
)
del names_on_demand

TYPE_CHECKING = False  # as in typing, which is not worth importing for it
if TYPE_CHECKING:
    from . import (
        accelerator,
        amp,
        ao,
        as_torch,
        autograd,
        backends,
        compiler,
        cpu,
        cuda,
        datasets,
        distributed,
        distributions,
        fft,
        func,
        functional,
        futures,
        fx,
        gpu,
        hub,
        jit,
        library,
        linalg,
        mps,
        multiprocessing,
        nn,
        onnx,
        ops,
        optim,
        overrides,
        profiler,
        quasirandom,
        return_types,
        safetensors,
        serialization,
        signal,
        sparse,
        special,
        storage,
        testing,
        types,
        utils,
        version,
        xpu,
    )
    from ._matrix_functions import *
    from ._native_names import *
    from ._sparse import smm, sparse_coo_tensor, spmm
    from ._spectrogram import istft, stft
    from ._summary import summary
    from ._tensor_str import set_printoptions
    from .amp import GradScaler, autocast
    from .amp.autocast_mode import *
    from .compiler import compile
    from .functional import *
    from .linalg import matrix_exp, matrix_power
    from .numeric_limits import finfo, iinfo
    from .random import fork_rng
    from .ranges import range
    from .safetensors import load_safetensors, save_safetensors
    from .samplers import binomial, poisson
    from .serialization import inspect_checkpoint, load, save
    from .settings import *
    from .special import igamma, igammac
    from .tensor_types import *
del TYPE_CHECKING
