"""Optimizers and learning-rate schedules, with PyTorch's names, options and checkpoint format."""

from .._lazy import names_on_demand
from .adam import Adam
from .adamw import AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = """
    ASGD LBFGS SGD Adadelta Adafactor Adagrad Adam AdamW Adamax Muon NAdam Optimizer RAdam RMSprop Rprop lr_scheduler
""".split()

__getattr__, __dir__ = names_on_demand(
    __name__,
    modules=("lr_scheduler",),
    names={
        name: name.lower()
        for name in "ASGD Adadelta Adafactor Adagrad Adamax LBFGS Muon NAdam RAdam RMSprop Rprop".split()
    },
)
