"""Quantization is not done here: models that could be quantized run in floating point, what would quantize raises."""

from ...nn import Module

__all__ = ["DeQuantStub", "QuantStub", "QuantWrapper"]


class QuantStub(Module):
    """Returns its input: where a quantized model would begin."""

    def __init__(self, qconfig=None):
        super().__init__()
        if qconfig:
            self.qconfig = qconfig

    def forward(self, x):
        return x


class DeQuantStub(QuantStub):
    """Returns its input: where a quantized model would end."""


class QuantWrapper(Module):
    """A module between the two stubs."""

    def __init__(self, module):
        super().__init__()
        self.add_module("quant", QuantStub())
        self.add_module("dequant", DeQuantStub())
        self.add_module("module", module)
        self.train(module.training)

    def forward(self, X):
        return self.dequant(self.module(self.quant(X)))


def _refused(name):
    def function(*args, **kwargs):
        raise NotImplementedError(f"ao.quantization.{name}: rustnn does not quantize")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Raises NotImplementedError: there is no quantization."
    return function


for (
    _name
) in """convert fuse_modules fuse_modules_qat get_default_qat_qconfig get_default_qconfig prepare prepare_qat quantize
        quantize_dynamic quantize_qat QConfig""".split():
    globals()[_name] = _refused(_name)
    __all__.append(_name)
del _name
