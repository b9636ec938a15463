"""Hand in the whole corpus, in a process of its own: `python -m tests.trust.hostile FOLDER REPORT.json [FAMILY]`."""

import json
import os
import resource
import sys
import tempfile
import threading
import traceback
import warnings
from pathlib import Path

import numpy as np

from tests.trust.hostile import names, pictures, settings, shards, tables, uploads, weights
from tests.trust.hostile.doors import Case, Doors, Said

MOST_ADDRESSES = 8 * 2**30  # what reserves more ends with a MemoryError, and not the machine
FAMILIES = (pictures, tables, settings, weights, names, uploads, shards)


class Work:
    """Calls of functions, Python's and others', that a case takes in any thread: a bound that no clock decides."""

    def __init__(self):
        self.calls = 0

    def __enter__(self):
        threading.setprofile(self._count)
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)

    def _count(self, frame, event, arg):
        self.calls += 1


def verdict(case: Case, said: list[Said]) -> str:
    """What is wrong with the answers to a case; nothing where all is well."""
    for answer in said:
        if answer.complaint:
            return f"{answer.complaint}: {answer.text[-600:]}"
        if answer.refused and case.says is None:
            return f"good input was refused: {answer.text[-600:]}"
        if not answer.refused and case.says:
            return f"taken: {answer.text[-300:]}"
        if answer.refused and case.says and case.says not in answer.text:
            return f"does not say {case.says!r}: {answer.text[-600:]}"
    return "" if said else "no door was asked"


def ask(doors: Doors, case: Case, folder: Path) -> dict:
    """One case at all its doors."""
    said, wrong = [], ""
    with Work() as work, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            said.extend(case.ask(doors, folder))
        except Exception:
            wrong = traceback.format_exc()
    loud = [str(w.message) for w in warned if issubclass(w.category, (RuntimeWarning, UserWarning))]
    wrong = wrong or verdict(case, said) or (f"a warning on stderr: {loud[0]}" if loud else "")
    return {
        "family": case.family,
        "name": case.name,
        "doors": len(said),
        "calls": work.calls,
        "wrong": wrong,
        "said": [answer.text[:300] for answer in said],
        "rss": most_memory(),
    }


def most_memory() -> int:
    """Bytes that this process has held at most. ru_maxrss would count what the process that started it held."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def main(root: Path, report: Path, family: str | None = None) -> None:
    """Every case, and what the app shows before and after each family."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, resource.RLIM_INFINITY))
    doors = Doors(root)
    expected = doors.picture()
    start = most_memory()
    answers, serving = [], {}
    for module in FAMILIES:
        for case in module.cases():
            if family and case.family not in family.split(","):
                continue
            with tempfile.TemporaryDirectory(dir=root) as folder:
                answers.append(ask(doors, case, Path(folder)))
        serving[module.__name__] = bool(np.array_equal(doors.picture(), expected))
    most = resource.getrusage(resource.RUSAGE_SELF)
    result = {"answers": answers, "serving": serving, "start": start, "most_bytes": most_memory()}
    report.write_text(json.dumps(result | {"seconds": most.ru_utime + most.ru_stime}))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
