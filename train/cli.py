"""What every command shares: options through tyro, one clear line for bad input (exit code 2)."""

import contextlib
import functools
import io
import itertools
import json
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from vidpred.errors import BadInput, one_line

# Options that several commands have, each with its line of --help.
Json = Annotated[bool, tyro.conf.arg(help="print one JSON object as the last line")]
Cache = Annotated[Path | None, tyro.conf.arg(help="folder for the packed clips (None: .packed beside the splits)")]
Cpu = Annotated[bool, tyro.conf.arg(help="stay on the CPU even where there is a GPU")]
Split = Annotated[str, tyro.conf.arg(help="train, validate (or val) or test")]
RunFolder = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="run folder")]
OutFolder = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]


def run_command(command: Callable, prog: str, args: list[str] | None = None) -> None:
    """Fill a function's parameters from the command line and run it."""
    with one_line_errors(prog):
        with box_as_line(prog):
            call = tyro.cli(_later(command), prog=prog, args=sys.argv[1:] if args is None else args)
        call()


def run_commands(commands: dict[str, Callable], prog: str, args: list[str] | None = None) -> None:
    """The same for a command with subcommands."""
    with one_line_errors(prog):
        with box_as_line(prog):
            call = tyro.extras.subcommand_cli_from_dict(
                {name: _later(command) for name, command in commands.items()},
                prog=prog,
                args=sys.argv[1:] if args is None else args,
            )
        call()


def require_outside(data: Path, out: Path) -> None:
    """Nothing is written among the clips: they would not be readable as a data set any more."""
    if out.resolve().is_relative_to(data.resolve()):
        raise BadInput(f"{out} lies inside {data}; give another folder")


def require_at_least(least: int, **options: int | None) -> None:
    """BadInput for an option that is given and too small."""
    for name, value in options.items():
        if value is not None and value < least:
            raise BadInput(f"--{name.replace('_', '-')} must be at least {least}, got {value}")


def require_temperature(temperature: float) -> None:
    """BadInput for one that no sigma can be scaled by."""
    if not (math.isfinite(temperature) and temperature >= 0):
        raise BadInput(f"--temperature must not be negative, got {temperature}")


def print_json(values: Any) -> None:
    """The one JSON object that `--json` promises as the last line."""
    print(json.dumps(values), flush=True)


@contextlib.contextmanager
def one_line_errors(prog: str):
    """BadInput becomes one line on stderr and exit code 2; Ctrl-C becomes one line and exit code 130."""
    try:
        yield
    except BadInput as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":  # a machine's processes fail alike: one of them says why
            raise SystemExit(2) from None
        print(f"{prog.removeprefix('python -m ')}: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        print(f"{prog.removeprefix('python -m ')}: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None


@contextlib.contextmanager
def box_as_line(prog: str):
    """tyro draws its errors as a box of several lines, ruled off; the first part is the line that matters."""
    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured):
            yield
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        rows = [row.strip("│ ") for row in captured.getvalue().splitlines()]
        body = itertools.dropwhile(_is_rule, filter(None, rows[1:]))  # without the title; ASCII rules it off too
        line = " ".join(itertools.takewhile(lambda row: not _is_rule(row), body))
        line = re.sub(r"^Missing from .*?: *", "missing: ", line)
        line = re.sub(r"^Error parsing \w+: (?=\w+\.\w+ )", "", line)  # the settings' own message names the field
        raise BadInput(f"{line} (see {prog} --help)") from None


def _is_rule(row: str) -> bool:
    return set(row) <= set("─╰╯-")


def _later(command: Callable) -> Callable:
    """The command's parameters, but calling it only keeps them: running belongs after parsing."""

    @functools.wraps(command)
    def keep(*args, **kwargs):
        return functools.partial(command, *args, **kwargs)

    return keep
