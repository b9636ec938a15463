"""The page's modules outside a browser."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from vidpred.explorer.export.live import STATIC


def result_of(module, names, script, given):
    """What a function body returns that has `given` and the named exports of a module of the page.

    NaN and infinity come back as text that float() reads.
    """
    playwright = pytest.importorskip("playwright")
    node = shutil.which("node") or str(Path(playwright.__file__).parent / "driver" / "node")
    program = f"""
    import {{{", ".join(names)}}} from {json.dumps((STATIC / module).as_uri())};
    const told = (_, value) => (value === Infinity ? "Infinity" : Number.isNaN(value) ? "NaN" : value);
    console.log(JSON.stringify((given => {{{script}}})({json.dumps(given)}), told));
    """
    done = subprocess.run(
        [node, "--input-type=module"], input=program, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
