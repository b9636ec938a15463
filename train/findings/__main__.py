"""Test the reports' claims: `python -m train.findings RUNS --out DIR`."""

from pathlib import Path
from typing import Annotated

import tyro

from train.cli import Json, print_json, run_command
from vidpred.errors import BadInput

FOUND = "findings.json"


def find(
    places: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUNS")],
    out: Path,
    json: Json = False,
) -> None:
    """Test the claims of the reports on the runs of train/grids/findings-*.toml, and fill the reports' tables.

    Writes DIR/results.jsonl (settings, curves and scores of each run) and DIR/findings.json (claims, differences, 95 %
    intervals, verdicts), and prints the findings as Markdown.

    Args:
        places: folders of trained and evaluated runs, and results.jsonl files of earlier findings
        out: folder to write to
    """
    if not places:
        raise BadInput("RUNS: folders of runs or results.jsonl files are needed")
    from train.findings.results import FILE, read_results, write_results
    from train.findings.verdicts import findings, report
    from vidpred.files import remove_unfinished, replaced, write_json
    from vidpred.lock import held

    results = read_results(list(places))
    try:
        found = findings(results)
    except ImportError:
        raise BadInput("findings need SciPy: pip install .[findings]") from None
    except ValueError as error:
        raise BadInput(str(error)) from None
    print(report(found), flush=True)  # where it cannot be written, it is not lost
    with held(out):
        remove_unfinished(out, FILE, FOUND)
        with replaced(out / FOUND) as verdicts, replaced(out / FILE) as kept:  # both are whole before either is there
            write_results(kept, results)
            write_json(verdicts, found)
    print(f"wrote {out / FILE} and {out / FOUND}")
    if json:
        print_json(found)


if __name__ == "__main__":
    run_command(find, "python -m train.findings")
