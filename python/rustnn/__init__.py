"""PyTorch's ``nn`` world on a small Rust engine.

``import rustnn as torch`` and programs run: names, signatures, semantics, messages and files are PyTorch 2.13's. Where
they differ on purpose, docs/differences.md says so.
"""

from . import _core

globals().update({name: value for name, value in vars(_core).items() if not name.startswith("_")})

from . import _tensor  # noqa: E402
from ._size import Size  # noqa: E402
from ._tensor import _FunctionOff as DisableTorchFunctionSubclass  # noqa: E402

_tensor.install()

from . import return_types  # noqa: E402
from .autograd import enable_grad, inference_mode, no_grad, set_grad_enabled  # noqa: E402

# Modules written in Python reach these through `_core`, like the native functions.
for _name in ("enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "Size"):
    setattr(_core, _name, globals()[_name])
del _name

from . import linalg  # noqa: E402

_core.linalg = linalg

from . import autograd, nn, optim, random, serialization, utils  # noqa: E402
from ._tensor_str import set_printoptions  # noqa: E402
from .functional import *  # noqa: E402
from .random import get_rng_state, initial_seed, manual_seed, seed, set_rng_state  # noqa: E402
from .serialization import inspect_checkpoint, load, save  # noqa: E402
from .summary import summary  # noqa: E402

__version__ = "0.1.0"


def __getattr__(name):
    # Parts that a program may never use are imported when they are.
    if name in ("datasets", "linalg"):
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
