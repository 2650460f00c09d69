"""docs/tutorials/waveform.md: "A test runs this page from top to bottom"."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from conftest import PROGRAM, TOP
from devfs import Device
from follow import fits, follow, steps


@pytest.mark.usefixtures("has_numpy")
@pytest.mark.parametrize("page, name, blocks", [
    ("docs/tutorials/waveform.md", "memory:wave", 6), ("python/README.md", "memory:try", 1)])
def test_each_block_prints_what_stands_below_it(
    page: str, name: str, blocks: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if Device.find(name):
        pytest.skip(f"{name} is mounted")
    (tmp_path / "devfs").symlink_to(PROGRAM)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    try:
        assert follow(TOP / page) >= blocks
    finally:  # Nothing is left where the page was followed to its end.
        for left in Device.find(name):
            left.unmount(lazy=True)
        subprocess.run([PROGRAM, "device", "remove", name], capture_output=True)


def test_the_blocks_of_the_disk_are_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests/VM/example-tests runs them, where there is a disk."""
    found = steps(TOP / "docs/tutorials/nvme.md")
    assert len(found) >= 6
    for line, code, _ in found:
        compile(code, f"nvme.md:{line}", "exec")


def test_a_page_that_prints_something_else_is_found(tmp_path: pathlib.Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# X\n\n```python\nx = 1\n```\n\n```python\nprint(x)\n```\n```text\n2\n```\n")
    with pytest.raises(AssertionError, match="page.md:8 prints\n1\nand not\n2"):
        follow(page)
    page.write_text("```python\n\nraise KeyError\n```\n")
    with pytest.raises(KeyError) as caught:
        follow(page)
    assert caught.traceback[-1].lineno == 2
    assert fits("serial abc\n", "serial ...\n") and not fits("serial\n", "serial ...\n")
