"""Optimizers and learning-rate schedules, with PyTorch's names, options and checkpoint format."""

from .._lazy import names_on_demand
from .adam import Adam
from .adamw import AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = """
    LBFGS SGD Adadelta Adagrad Adam AdamW Adamax NAdam Optimizer RAdam RMSprop lr_scheduler
""".split()

__getattr__, __dir__ = names_on_demand(
    __name__,
    modules=("lr_scheduler",),
    names={name: name.lower() for name in ("Adadelta", "Adagrad", "Adamax", "LBFGS", "NAdam", "RAdam", "RMSprop")},
)
