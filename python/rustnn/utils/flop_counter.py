"""Counting of multiply-adds: ``rustnn.summary`` counts them by layer."""

__all__ = ["FlopCounterMode"]


class FlopCounterMode:
    """Raises NotImplementedError when entered: ops are not counted one by one; see ``rustnn.summary``."""

    def __init__(self, mods=None, depth=2, display=True, custom_mapping=None):
        self.depth, self.display = depth, display

    def __enter__(self):
        raise NotImplementedError(
            "FlopCounterMode: rustnn counts no ops; rustnn.summary(model, size) gives multiply-adds"
        )

    def __exit__(self, *exception):
        return False
