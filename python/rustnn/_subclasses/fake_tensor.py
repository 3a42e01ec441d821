"""Tensors without data that know their device: the meta device is what is here."""

__all__ = ["FakeTensor", "FakeTensorMode", "is_fake"]


class FakeTensor:
    """For ``isinstance``: no tensor is one."""

    def __init__(self, *args, **kwargs):
        raise NotImplementedError("FakeTensor: rustnn has none; tensors on the meta device have no data")


class FakeTensorMode:
    """Raises NotImplementedError when entered: make tensors on the meta device instead."""

    def __init__(self, *args, **kwargs):
        pass

    def __enter__(self):
        raise NotImplementedError(
            "FakeTensorMode: rustnn has none; `with torch.device('meta')` makes tensors without data"
        )

    def __exit__(self, *exception):
        return False


def is_fake(x):
    """Whether a tensor is one of a trace: never."""
    return False
