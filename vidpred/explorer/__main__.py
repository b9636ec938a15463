"""The explorer: `python -m vidpred.explorer [--runs DIR]... [--data DIR]... [--host H] [--port P]`."""

import argparse
import ctypes
import os
import platform
import sys
import threading

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when the Blocks are made
# Read when torch is loaded: its threads sleep while they wait for each other, because the browser draws on the same
# cores. A step of Drive takes 92 ms then instead of 122.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from vidpred.errors import BadInput
from vidpred.explorer.cli import Parser, stop
from vidpred.explorer.runs.library import Library

PROG = "python -m vidpred.explorer"


def parse(args: list[str], prog: str = PROG) -> argparse.Namespace:
    """Options of the command."""
    parser = Parser(prog, "Look into trained video prediction models.")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860)")
    options = parser.parse(args)
    if options.port is not None and not 1 <= options.port <= 65535:
        raise BadInput(f"--port must lie between 1 and 65535, got {options.port}")
    return options


def share_one_heap() -> None:
    """Have glibc serve all threads from one heap: else each of a server's keeps what it has freed in a heap of its own
    (2.4 GB instead of 1.4 after every run has been looked at)."""
    if platform.libc_ver()[0] == "glibc":
        arena_max = -8  # a parameter of mallopt, from malloc.h
        ctypes.CDLL(None).mallopt(arena_max, 1)


def open_library(args: list[str], prog: str = PROG) -> tuple[Library, argparse.Namespace]:
    """Runs and clips that the options name, and the options; bad ones end the command."""
    try:
        options = parse(args, prog)
        return Library(options.runs, options.data), options
    except BadInput as error:
        stop(prog.split()[-1], error)


def make_demo(args: list[str], prog: str = PROG):
    """The Blocks, the library behind them and the options."""
    share_one_heap()
    library, options = open_library(args, prog)
    from vidpred.explorer.page import build_demo  # Gradio takes seconds to import: bad options are answered at once

    return build_demo(library), library, options


def serve(demo, library: Library, options: argparse.Namespace, prog: str = PROG) -> None:
    """Until it is stopped."""
    from vidpred.explorer.page import launch_options
    from vidpred.explorer.runs.prediction import warm_up
    from vidpred.explorer.server.storage import end_on_sigterm

    end_on_sigterm()

    # torch and the first model load while the browser fetches the page
    threading.Thread(target=warm_up, args=(library,), daemon=True).start()
    try:
        demo.launch(server_name=options.host, server_port=options.port, **launch_options())
    except OSError:
        place = f"--host {options.host or '127.0.0.1'} --port {options.port or '7860 and after'}"
        taken = f"{place}: cannot listen there (the port is in use, or the address is not this machine's)"
        stop(prog.split()[-1], BadInput(taken))


if __name__ == "__main__":
    serve(*make_demo(sys.argv[1:]))
