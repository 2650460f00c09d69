"""What `make python` builds."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import tarfile
import zipfile
from typing import Set

import pytest

import devfs
from conftest import MODES, TOP, python

pytestmark = pytest.mark.skipif(
    "passthrough" not in MODES or importlib.util.find_spec("build") is None,
    reason="one run is enough, and it takes the module build")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory with wheel and sdist."""
    place = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [str(TOP / "python/make-dist"), "built/here"], check=True, capture_output=True, cwd=place,
        env={**os.environ, "PYTHON": python()[0]})
    return place / "built/here"


def modules() -> Set[str]:
    source = TOP / "python/src"
    return {str(path.relative_to(source)) for path in source.glob("devfs/*.py")}


def test_the_wheel_has_all_modules_and_the_mark_of_types(
    built: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"devfs-{devfs.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        assert modules() | {"devfs/py.typed"} <= set(archive.namelist())
        assert any(name.endswith("LICENSE") for name in archive.namelist())
        archive.extractall(tmp_path)
    # It works alone, where nothing else is.
    said = subprocess.run(
        python("-I", "-c", "import sys; sys.path.insert(0, sys.argv[1]); import devfs; "
               "print(devfs.__file__, devfs.__version__)", str(tmp_path)),
        check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(tmp_path / "devfs/__init__.py"), devfs.__version__]


def test_the_sdist_has_the_source(built: pathlib.Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {f"src/{name}" for name in modules()} | {"pyproject.toml", "README.md", "LICENSE"}
    assert wanted <= names


def test_building_leaves_nothing_in_the_sources(built: pathlib.Path) -> None:
    assert not list((TOP / "python").glob("**/*.egg-info"))
    assert not (TOP / "python/build").exists()
