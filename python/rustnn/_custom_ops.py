"""The former place of ``rustnn.library``."""

from .library import custom_op, impl_abstract

__all__ = ["custom_op", "get_ctx", "impl_abstract"]


class _Context:
    def new_dynamic_size(self, *, min=0, max=None):
        """Raises NotImplementedError: sizes are numbers here."""
        raise NotImplementedError("new_dynamic_size: rustnn has no symbolic sizes")


def get_ctx():
    """What a fake kernel can ask for sizes that depend on data."""
    return _Context()
