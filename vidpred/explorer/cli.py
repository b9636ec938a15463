"""Options that the app and the export share: which runs and clips, and one clear line for what is wrong."""

import argparse
import sys
from pathlib import Path

from vidpred.errors import BadInput, one_line

ASSETS = Path(__file__).parents[2] / "assets"


class Parser(argparse.ArgumentParser):
    """Takes --runs and --data. Bad options are BadInput: one line instead of the usage."""

    def __init__(self, prog: str, description: str):
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.add_argument(
            "--runs",
            type=Path,
            action="append",
            metavar="DIR",
            help="a run, or a folder of runs; may be given several times (default: the bundled ones, assets/runs)",
        )
        self.add_argument(
            "--data",
            type=Path,
            action="append",
            metavar="DIR",
            help="robot clips, whose test split is shown, or dance videos (validation and test); may be given several "
            "times (default: the bundled ones in assets/data)",
        )

    def error(self, message: str):
        raise BadInput(f"{message} (see {self.prog} --help)")

    def parse(self, args: list[str]) -> argparse.Namespace:
        """Options, with what is bundled where nothing was named."""
        options = self.parse_args(args)
        if not options.runs and not (ASSETS / "runs").is_dir():
            self.error("an installed package brings no runs: --runs DIR names a run or a folder of runs")
        options.runs = options.runs or [ASSETS / "runs"]
        bundled = [ASSETS / "data" / name for name in ("robot_push", "bounce", "dance")]
        options.data = options.data or [folder for folder in bundled if folder.is_dir()]
        return options


def stop(command: str, error: Exception) -> None:
    """One clear line, exit code 2."""
    print(f"{command}: {one_line(error)}", file=sys.stderr)
    raise SystemExit(2)
