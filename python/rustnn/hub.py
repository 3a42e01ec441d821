"""Weights from the net, kept in a folder."""

import os
import re
import sys
from urllib.parse import urlparse

from . import serialization

try:
    from tqdm import tqdm
except ImportError:

    class tqdm:
        """What programs need of tqdm where it is not installed; it shows nothing."""

        def __init__(self, iterable=None, *args, **kwargs):
            self._iterable = iterable

        def __iter__(self):
            return iter(self._iterable)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return False

        def update(self, n=1):
            """One step more."""

        def close(self):
            """The end."""


__all__ = ["download_url_to_file", "get_dir", "load_state_dict_from_url", "set_dir"]

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # resnet18-bf5a9dd.pth holds the first digits of its SHA-256
_folder = None


def _get_torch_home():
    """PyTorch's folder: ``$TORCH_HOME``, or ``torch`` in the cache."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir():
    """The folder for downloads: what :func:`set_dir` set, or ``hub`` in ``$TORCH_HOME`` or in the cache's ``torch``."""
    if _folder is not None:
        return _folder
    return os.path.join(_get_torch_home(), "hub")


def set_dir(d):
    """Set the folder for downloads."""
    global _folder
    _folder = os.path.expanduser(d)


def download_url_to_file(url, dst, hash_prefix=None, progress=True):
    """Fetch a file. It appears under its name when it is whole.

    Args:
        dst: its path here.
        hash_prefix: what its SHA-256 begins with.
        progress: say on stderr what is fetched.
    Raises: RuntimeError for another hash; ``urllib.error.URLError`` where it cannot be had.
    """
    import hashlib
    import tempfile
    import urllib.request

    dst = os.path.expanduser(dst)
    digest = hashlib.sha256()
    partial = tempfile.NamedTemporaryFile(dir=os.path.dirname(dst) or ".", suffix=".partial", delete=False)
    try:
        with partial, urllib.request.urlopen(url) as source:
            while block := source.read(1 << 17):
                digest.update(block)
                partial.write(block)
        if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
        os.replace(partial.name, dst)
    except BaseException:
        os.unlink(partial.name)
        raise
    if progress:
        sys.stderr.write(f"{url}: {os.path.getsize(dst)} bytes\n")


def load_state_dict_from_url(
    url, model_dir=None, map_location=None, progress=True, check_hash=False, file_name=None, weights_only=True
):
    """:func:`rustnn.load` of a file that is fetched unless the folder has it.

    Args:
        model_dir: the folder; ``checkpoints`` in :func:`get_dir` if not given.
        check_hash: the name holds the first digits of the SHA-256, as in ``resnet18-bf5a9dd.pth``.
        file_name: its name here, if not that in the URL.
        weights_only: only False lets the file call what it names; PyTorch's default is False.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        found = HASH_REGEX.search(name) if check_hash else None
        if progress:
            sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        download_url_to_file(url, path, found.group(1) if found else None, progress=progress)
    return serialization.load(path, map_location=map_location, weights_only=weights_only)
