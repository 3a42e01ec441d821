"""What programs import from PyTorch's compiler for masks under ``vmap``."""

__all__ = ["TransformGetItemToIndex"]


class TransformGetItemToIndex:
    """A context that changes nothing: ``vmap`` calls functions sample by sample, where indexing works as it is."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return False
