"""The app as a person starts it, for as long as it is measured."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator

from train.benchmark import harness
from vidpred.errors import BadInput


@contextlib.contextmanager
def serve(*options: object) -> Iterator[tuple[str, int]]:
    """The address of `python app.py options`, on a port that is free, and its process id."""
    app = subprocess.Popen(
        [sys.executable, "-u", "app.py", *map(str, options)], cwd=harness.ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        for line in app.stdout:
            if found := re.search(r"http://[\w.]+:\d+", line):
                break
        else:
            raise BadInput("the app has stopped")
        yield f"{found[0]}/", app.pid
    finally:
        app.terminate()
        app.wait()
