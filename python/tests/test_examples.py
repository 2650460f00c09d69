"""The examples where there is no device for them: the guest runs them where there is one."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Dict, List

import pytest

from conftest import MODES, TOP, python

pytestmark = pytest.mark.skipif(MODES == ["module"], reason="the guest runs them for real")

EXAMPLES: Dict[str, List[str]] = {
    "edu/edu.py": [], "nvme/nvme.py": ["identify"], "ivshmem/guest.py": []}


def run(example: str, arguments: List[str]) -> "tuple[int, str]":
    done = subprocess.run(
        python(str(TOP / "examples" / example), *arguments), capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("example", EXAMPLES)
def test_without_arguments_it_says_how_to_use_it(example: str) -> None:
    status, text = run(example, [])
    assert status == 1 and f"Usage: {pathlib.Path(example).name} MOUNT" in text


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_it_cannot_do_is_one_line(example: str, tmp_path: pathlib.Path) -> None:
    status, text = run(example, [str(tmp_path), *EXAMPLES[example]])
    assert status == 1 and "it is on no mount of DevFS" in text
    assert len(text.splitlines()) == 1
