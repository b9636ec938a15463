"""What CI installs is written down, and GitHub runs what CI runs."""

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.commands import ROOT

FREE = {"torch", "torchvision", "setuptools"}  # by range: SECURITY.md says why
PYTHONS = [{"python_full_version": version, "python_version": version[:4]} for version in ("3.11.9", "3.12.4")]


def lines(path):
    text = (ROOT / path).read_text()
    return [line.split(" #")[0].strip() for line in text.splitlines() if line.strip() and line[0] not in "#-"]


def test_every_requirement_is_pinned_within_its_range():
    pins = [Requirement(line) for line in lines(".ci/constraints.txt")]
    for line in [*lines("requirements.txt"), *lines("requirements-dev.txt")]:
        wanted = Requirement(line)
        own = [pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
        if wanted.name in FREE:
            assert own == []
            continue
        for python in PYTHONS:
            (pin,) = (pin for pin in own if pin.marker is None or pin.marker.evaluate(python))
            (one,) = pin.specifier
            assert one.operator == "==" and wanted.specifier.contains(one.version), (line, str(pin))


def test_ci_installs_within_the_pins_and_github_runs_ci():
    assert "-c .ci/constraints.txt -r" in (ROOT / ".ci" / "run").read_text()
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert re.findall(r"- run: (\S+)$", workflow, re.MULTILINE) == [".ci/run"]


def test_the_commands_that_pin_and_audit_are_written_down():
    notes = (ROOT / "SECURITY.md").read_text()
    header = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()[1].lstrip("# ")
    assert header in " ".join(notes.replace("\\\n", " ").split())
    audit = re.search(r"- run: (pip-audit .*)", (ROOT / ".github" / "workflows" / "ci.yml").read_text())[1]
    assert audit in notes
