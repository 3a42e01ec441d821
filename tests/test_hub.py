"""Models from repositories: local folders, and GitHub as far as a test without the net can see it."""

import io
import sys
import urllib.error
import urllib.request
import zipfile

import pytest

from rustnn import hub

CONFIG = '''
dependencies = ["numpy"]
from hub_test_neighbour import word

number = 3

def model(a, b=2, **options):
    """A model."""
    return a, b, options, word

def _hidden():
    pass
'''


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "repository"
    place.mkdir()
    (place / "hubconf.py").write_text(CONFIG)
    (place / "hub_test_neighbour.py").write_text("word = 'near'\n")
    yield place
    sys.modules.pop("hub_test_neighbour", None)


@pytest.fixture
def home(tmp_path):
    before, hub._folder = hub._folder, str(tmp_path / "hub")
    yield tmp_path / "hub"
    hub._folder = before


def test_a_local_repository_gives_what_its_function_returns(folder):
    before = list(sys.path)
    assert hub.load(folder, "model", 1, b=5, c=6, source="local") == (1, 5, {"c": 6}, "near")
    assert sys.path == before and "hubconf" not in sys.modules


def test_what_a_local_repository_lacks_is_named(folder):
    for model, error, message in (
        ("absent", RuntimeError, "Cannot find callable absent in hubconf"),
        ("number", RuntimeError, "Cannot find callable number in hubconf"),
        (3, ValueError, "model should be a string of function name"),
    ):
        with pytest.raises(error, match=message):
            hub.load(folder, model, source="local")
    with pytest.raises(ValueError, match='Unknown source: "disk"'):
        hub.load(folder, "model", source="disk")
    (folder / "hubconf.py").write_text("dependencies = ['rustnn_no_such_package']\ndef model(): pass")
    with pytest.raises(RuntimeError, match="Missing dependencies: rustnn_no_such_package"):
        hub.load(folder, "model", source="local")
    (folder / "hubconf.py").unlink()
    with pytest.raises(FileNotFoundError):
        hub.load(folder, "model", source="local")
    assert str(folder) not in sys.path


class GitHub:
    """What is asked of it, and a repository with the branch ``main``, packed as GitHub does."""

    def __init__(self, folder):
        self.asked = []
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("someone-thing-0123abc/", "")
            for path in folder.iterdir():
                archive.writestr(f"someone-thing-0123abc/{path.name}", path.read_text())
        self.packed = packed.getvalue()

    def __call__(self, request):
        address = getattr(request, "full_url", request)
        self.asked.append(address)
        if "zipball" in address:
            return io.BytesIO(self.packed)
        if "/branches?" in address and address.endswith("page=1"):
            return io.BytesIO(b'[{"name": "main", "commit": {"sha": "0123abc"}}]')
        if "api.github.com" in address:
            return io.BytesIO(b"[]")
        if address.endswith("/tree/main/"):
            return io.BytesIO(b"")
        raise urllib.error.HTTPError(address, 404, "not there", {}, None)


def test_a_repository_is_fetched_once_and_when_asked(folder, home, monkeypatch):
    github = GitHub(folder)
    monkeypatch.setattr(urllib.request, "urlopen", github)
    assert hub.load("someone/thing", "model", 1, trust_repo=True) == (1, 2, {}, "near")
    assert (home / "someone_thing_main" / "hubconf.py").exists()
    assert (home / "trusted_list").read_text() == "someone_thing\n"
    assert hub.list("someone/thing:main") == ["model"]
    assert hub.help("someone/thing:main", "model") == "A model."
    assert len([address for address in github.asked if "zipball" in address]) == 1
    hub.load("someone/thing", "model", 1, force_reload=True)
    assert len([address for address in github.asked if "zipball" in address]) == 2
    assert sorted(path.name for path in home.iterdir()) == ["someone_thing_main", "trusted_list"]
    with pytest.raises(ValueError, match=r"Cannot find absent in https://github.com/someone/thing"):
        hub.load("someone/thing:absent", "model", trust_repo=True)


def test_a_stranger_is_asked_about(folder, home, monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", GitHub(folder))
    for answer, error in (("", Exception), ("N", Exception), ("perhaps", ValueError)):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
        with pytest.raises(error, match=r"Untrusted repository\.|Unrecognized response perhaps"):
            hub.load("someone/thing:main", "model", 1)
        assert not (home / "someone_thing_main").exists()
    with pytest.warns(UserWarning, match="run code from an untrusted repository"):
        hub.load("someone/thing:main", "model", 1, trust_repo=None)
    assert not (home / "trusted_list").exists()
    asked = []
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "y")
    assert hub.load("someone/thing:other/one", "model", 1, skip_validation=True)[0] == 1
    assert "Do you trust this repository" in asked[0]
    assert (home / "trusted_list").read_text() == "someone_thing\n" and (home / "someone_thing_other_one").exists()
    hub.load("someone/thing:main", "model", 1)
    assert len(asked) == 1


def test_without_a_net_and_without_a_copy_there_is_a_clear_error(home, monkeypatch):
    def offline(request):
        raise urllib.error.URLError("no net")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(RuntimeError, match="there is no internet connection and the repo could not be found"):
        hub.load("someone/thing", "model")
    with pytest.raises(ValueError, match="unpack"):
        hub.list("thing")
