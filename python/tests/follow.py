#!/usr/bin/env python3
"""Runs a page of the manual: its Python blocks in one interpreter, and what each prints must be what
stands below it, where `...` is any text.

Usage: follow.py PAGE
"""

from __future__ import annotations

import contextlib
import io
import pathlib
import re
import sys
from typing import Any, Dict, List, Tuple

# A block, and the text below it if there is one.
_STEP = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```$)?", re.M | re.S)


def steps(page: pathlib.Path) -> List[Tuple[int, str, str]]:
    """Line, code and output of each block."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(1)) + 1, found[1], found[2] or "")
        for found in _STEP.finditer(text)]


def fits(text: str, wanted: str) -> bool:
    parts = (re.escape(part) for part in wanted.split("..."))
    return re.fullmatch(".*".join(parts), text, re.S) is not None


def follow(page: pathlib.Path) -> int:
    """Runs it, and gives the number of its blocks; AssertionError at the first that differs."""
    names: Dict[str, Any] = {"__name__": "__main__"}
    found = steps(page)
    for line, code, wanted in found:
        output = io.StringIO()
        # Its lines are those of the page in a traceback.
        program = compile("\n" * (line - 1) + code, str(page), "exec")
        with contextlib.redirect_stdout(output):
            exec(program, names)
        assert fits(output.getvalue(), wanted), (
            f"{page}:{line} prints\n{output.getvalue()}and not\n{wanted}")
    return len(found)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))
    count = follow(pathlib.Path(sys.argv[1]))
    print(f"{count} blocks print what stands below them")
    sys.exit(count == 0)
