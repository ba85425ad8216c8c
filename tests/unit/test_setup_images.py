"""`provision setup --image`: which plugin builds what, and what is said of it."""

from types import SimpleNamespace

import pytest

from provision.cli.main import main
from provision.errors import EnvironmentProblem
from provision.spi import registry
from provision.testing import MemoryProvider


class Builder(MemoryProvider):
    """A platform with two images that take long to build."""

    def __init__(self):
        super().__init__()
        self.built = []
        self.fails = False

    def buildable_images(self):
        return {"full": "everything; takes a while", "other": "something else"}

    def build_image(self, name, progress, *, refresh):
        if self.fails:
            raise EnvironmentProblem("the mirror cannot be reached", "check the network")
        progress("at work")
        self.built.append((name, refresh))


@pytest.fixture
def builder(monkeypatch):
    made = {"builder": Builder(), "plain": MemoryProvider()}
    monkeypatch.setattr(registry, "installed", lambda: [SimpleNamespace(name=name) for name in made])
    monkeypatch.setattr(registry, "load", made.__getitem__)
    monkeypatch.setattr(
        "provision.host.engine.ensure_engine", lambda progress: SimpleNamespace(version="1", path="/engine")
    )
    return made["builder"]


@pytest.fixture
def setup(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(["setup", *words])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_without_images_none_is_built(builder, setup):
    code, _, _ = setup()
    assert (code, builder.built) == (0, [])


def test_the_plugins_that_know_an_image_build_it_once(builder, setup):
    code, out, err = setup("--image", "full", "--image", "full")
    assert (code, builder.built) == (0, [("full", False)])
    assert out.endswith("memory: the image 'full' is there\n")
    assert "memory: building the image 'full': everything; takes a while" in err
    assert "at work" in err


def test_refresh_asks_for_a_new_one(builder, setup):
    assert setup("--image", "full", "--image", "other", "--refresh")[0] == 0
    assert builder.built == [("full", True), ("other", True)]


def test_an_image_that_nobody_builds_is_refused_before_any_is_built(builder, setup):
    code, _, err = setup("--image", "full", "--image", "ful")
    assert (code, builder.built) == (1, [])
    assert err.endswith("error: no installed plugin builds an image 'ful'\n  fix: known images: full, other\n")


def test_refresh_alone_says_nothing(builder, setup):
    code, _, err = setup("--refresh")
    assert code != 0
    assert "--refresh says how to build the images of --image" in err


def test_a_build_that_fails_is_explained(builder, setup):
    builder.fails = True
    code, _, err = setup("--image", "full")
    assert code == 1
    assert "the mirror cannot be reached\n  fix: check the network" in err


def test_nothing_is_prepared_when_no_image_is_wanted(builder, setup):
    builder.prepare = lambda progress: builder.built.append("prepared")
    assert setup("--no-images")[0] == 0
    assert builder.built == []
    assert setup()[0] == 0
    assert builder.built == ["prepared"]

    code, _, err = setup("--no-images", "--image", "full")
    assert code == 2
    assert "--no-images and --image contradict each other" in err
