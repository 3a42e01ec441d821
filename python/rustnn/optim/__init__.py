"""Optimizers and learning-rate schedules, with PyTorch's names, options and checkpoint format."""

from .._lazy import names_on_demand
from .adam import Adam
from .adamw import AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = """
    ASGD LBFGS SGD Adadelta Adafactor Adagrad Adam AdamW Adamax Muon NAdam Optimizer RAdam RMSprop Rprop SparseAdam
    lr_scheduler swa_utils
""".split()

__getattr__, __dir__ = names_on_demand(
    __name__,
    modules=("lr_scheduler", "swa_utils"),
    names={
        name: name.lower()
        for name in __all__
        if name not in ("Adam", "AdamW", "Optimizer", "SGD", "lr_scheduler", "swa_utils")
    },
)
