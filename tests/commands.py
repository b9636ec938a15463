"""Commands run as a person runs them, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(module, *arguments, **options):
    """`python -m module arguments` from the top of the project."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **options.pop("env", {})},
        check=False,
    )


def succeeds(module, *arguments):
    """What a command that must succeed printed."""
    done = run(module, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(module, *arguments):
    """The one line on stderr of a command that must refuse its input."""
    done = run(module, *arguments)
    assert done.returncode == 2, (done.returncode, done.stderr)
    lines = [
        line for line in done.stderr.splitlines() if line.strip() and "clip/s" not in line and "s/clip" not in line
    ]
    assert len(lines) == 1, done.stderr
    return lines[0]
