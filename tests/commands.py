"""Commands run as a person types them: in this process, which has torch loaded, or in one of their own."""

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple
from unittest import mock

ROOT = Path(__file__).parent.parent
BAR = re.compile(r"(/s|s/\w+)[,\]]")


class Done(NamedTuple):
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def run(module, *arguments):
    """`python -m module arguments` from the top of the project, in this process."""
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "argv", [module, *map(str, arguments)]),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)  # a test has imported it too
        try:
            runpy.run_module(module, run_name="__main__")
        except SystemExit as stop:
            code = stop.code or 0
    return Done(code, out.getvalue(), errors.getvalue())


def run_process(*command, env=None):
    """`python command` from the top of the project, in a process of its own."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        check=False,
    )


def torchrun(processes, module, *arguments):
    """What a command printed that so many processes run together."""
    together = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes)
    return run_process(*together, "-m", module, *arguments, env={"OMP_NUM_THREADS": "1"})


def lines_said(errors):
    """Lines of stderr that are neither blank nor a progress bar, which ends with a rate as in `?clip/s]`."""
    return [line for line in errors.splitlines() if line.strip() and not BAR.search(line)]


def succeeds(module, *arguments):
    """What a command that must succeed printed."""
    done = run(module, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(module, *arguments):
    """The one line on stderr of a command that must refuse its input."""
    done = run(module, *arguments)
    assert done.returncode == 2, (done.returncode, done.stderr)
    lines = lines_said(done.stderr)
    assert len(lines) == 1, done.stderr
    return lines[0]
