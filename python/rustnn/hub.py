"""Models by the name of their repository, and weights from the net, kept in a folder."""

import os
import re
import sys
import warnings
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


__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

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


# ---- models ----------------------------------------------------------------------------------------------------------

_CONFIG = "hubconf.py"
_TRUSTED_REPO_OWNERS = ("facebookresearch", "facebookincubator", "pytorch", "fairinternal")


def load(
    repo_or_dir,
    model,
    *args,
    source="github",
    trust_repo="check",
    force_reload=False,
    verbose=True,
    skip_validation=False,
    **kwargs,
):
    """What a function of a repository's ``hubconf.py`` returns: a model. That file is run, with all it imports.

    Args:
        repo_or_dir: "owner/name" or "owner/name:branch or tag" on GitHub; a folder with ``source="local"``.
        model: the function's name. args, kwargs: what it is called with.
        source: "github" or "local".
        trust_repo: "check" asks unless the repository is known and trusted, False always, True trusts it from now on;
            None warns and goes on.
        force_reload: fetch it although the folder has it.
        verbose: say on stderr where it was found.
        skip_validation: do not ask GitHub whether there is such a branch.
    Raises: ValueError for another source; RuntimeError where function or packages are missing.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "github":
        repo_or_dir = _folder_of(repo_or_dir, force_reload, trust_repo, "load", verbose, skip_validation)
    with _Config(repo_or_dir) as config:
        return _entry(config, model)(*args, **kwargs)


def list(github, force_reload=False, skip_validation=False, trust_repo="check", verbose=True):
    """The names that :func:`load` takes for a repository."""
    with _Config(_folder_of(github, force_reload, trust_repo, "list", verbose, skip_validation)) as config:
        return [name for name in dir(config) if callable(getattr(config, name)) and not name.startswith("_")]


def help(github, model, force_reload=False, skip_validation=False, trust_repo="check"):
    """The docstring of a function that :func:`load` would call."""
    with _Config(_folder_of(github, force_reload, trust_repo, "help", True, skip_validation)) as config:
        return _entry(config, model).__doc__


class _Config:
    """The module ``hubconf.py`` of a folder, which finds its neighbours inside."""

    def __init__(self, folder):
        self._folder = os.fspath(folder)

    def __enter__(self):
        from importlib.util import module_from_spec, spec_from_file_location

        sys.path.insert(0, self._folder)
        try:
            spec = spec_from_file_location(_CONFIG, os.path.join(self._folder, _CONFIG))
            config = module_from_spec(spec)
            spec.loader.exec_module(config)
        except BaseException:
            self.__exit__()
            raise
        return config

    def __exit__(self, *exception):
        sys.path.remove(self._folder)


def _entry(config, model):
    from importlib.util import find_spec

    if not isinstance(model, str):
        raise ValueError("Invalid input: model should be a string of function name")
    missing = [name for name in getattr(config, "dependencies", None) or () if find_spec(name) is None]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    found = getattr(config, model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


def _parse_repo_info(github):
    """(owner, name, branch or tag) of "owner/name:branch"; without one, whichever main branch there is."""
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen

    repository, _, ref = github.partition(":")
    owner, name = repository.split("/")
    if ref:
        return owner, name, ref
    try:
        with urlopen(f"https://github.com/{owner}/{name}/tree/main/"):
            return owner, name, "main"
    except HTTPError as error:
        if error.code != 404:
            raise
        return owner, name, "master"
    except URLError as error:
        for ref in ("main", "master"):
            if os.path.exists(os.path.join(get_dir(), "_".join((owner, name, ref)))):
                return owner, name, ref
        raise RuntimeError(
            f"It looks like there is no internet connection and the repo could not be found in the cache ({get_dir()})"
        ) from error


def _folder_of(github, force_reload, trust_repo, caller, verbose, skip_validation):
    """The folder of a repository, which is fetched unless it is there."""
    os.makedirs(get_dir(), exist_ok=True)
    owner, name, ref = _parse_repo_info(github)
    # A branch's name may have slashes, which a folder's may not.
    folder_name = "_".join((owner, name, ref.replace("/", "_")))
    folder = os.path.join(get_dir(), folder_name)
    _check_trust(owner, name, folder_name, trust_repo, caller)
    if os.path.exists(folder) and not force_reload:
        if verbose:
            sys.stderr.write(f"Using cache found in {folder}\n")
        return folder
    if not skip_validation:
        _check_ref(owner, name, ref)
    _download(owner, name, ref, folder, verbose)
    return folder


def _check_ref(owner, name, ref):
    """Whether a branch or tag is the repository's own: GitHub serves commits of forks under it, too."""
    import json
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    headers = {"Accept": "application/vnd.github.v3+json"}
    if token := os.environ.get("GITHUB_TOKEN"):
        headers["Authorization"] = f"token {token}"
    for kind in ("branches", "tags"):
        page = 1
        while True:
            address = f"https://api.github.com/repos/{owner}/{name}/{kind}?per_page=100&page={page}"
            try:
                with urlopen(Request(address, headers=headers)) as answer:
                    found = json.load(answer)
            except HTTPError:
                warnings.warn(f"Cannot ask GitHub for the {kind} of {owner}/{name}: {ref} is not checked", stacklevel=5)
                return
            if not found:
                break
            if any(ref == each["name"] or each["commit"]["sha"].startswith(ref) for each in found):
                return
            page += 1
    raise ValueError(
        f"Cannot find {ref} in https://github.com/{owner}/{name}. If it's a commit from a forked repo, please call "
        "hub.load() with forked repo directly."
    )


def _download(owner, name, ref, folder, verbose):
    import shutil
    import tempfile
    import zipfile

    address = f"https://github.com/{owner}/{name}/zipball/{ref}"
    if verbose:
        sys.stderr.write(f'Downloading: "{address}" to {folder}\n')
    # Unpacked beside its place: what fails half-way leaves the former folder as it is.
    with tempfile.TemporaryDirectory(dir=get_dir()) as room:
        packed = os.path.join(room, "packed.zip")
        download_url_to_file(address, packed, progress=False)
        with zipfile.ZipFile(packed) as archive:
            top = archive.infolist()[0].filename.split("/")[0]
            archive.extractall(room)
        if os.path.exists(folder):
            shutil.rmtree(folder)
        shutil.move(os.path.join(room, top), folder)


def _check_trust(owner, name, folder_name, trust_repo, caller):
    """Asks, warns or remembers, as ``trust_repo`` says. What was there already counts as trusted."""
    path, repository = os.path.join(get_dir(), "trusted_list"), f"{owner}_{name}"
    trusted = []
    if os.path.exists(path):
        with open(path) as file:
            trusted = file.read().split()
    is_trusted = (
        repository in trusted or owner in _TRUSTED_REPO_OWNERS or os.path.isdir(os.path.join(get_dir(), folder_name))
    )
    if trust_repo is None:
        if not is_trusted:
            warnings.warn(
                "You are about to download and run code from an untrusted repository. In a future release, this won't "
                f"be allowed. To add the repository to your trusted list, change the command to {caller}(..., "
                "trust_repo=False) and a command prompt will appear asking for an explicit confirmation of trust, or "
                f"{caller}(..., trust_repo=True), which will assume that the prompt is to be answered with 'yes'. You "
                f"can also use {caller}(..., trust_repo='check') which will only prompt for confirmation if the repo "
                "is not already trusted. This will eventually be the default behaviour",
                stacklevel=4,
            )
        return
    if trust_repo is False or (trust_repo == "check" and not is_trusted):
        answer = input(
            f"The repository {repository} does not belong to the list of trusted repositories and as such cannot be "
            "downloaded. Do you trust this repository and wish to add it to the trusted list of repositories (y/N)?"
        )
        if answer.lower() not in ("y", "yes", "n", "no", ""):
            raise ValueError(f"Unrecognized response {answer}.")
        if answer.lower() not in ("y", "yes"):
            raise Exception("Untrusted repository.")
    if not is_trusted:
        with open(path, "a") as file:
            file.write(f"{repository}\n")
