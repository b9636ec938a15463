"""The table of runs."""

import json
import shutil

from vidpred import runs
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.listing import COLUMNS, listed


def test_a_row_holds_what_the_run_s_files_say(bundled):
    run = bundled.run("push-free-learned-none")
    cells = dict(zip(COLUMNS, listed(run), strict=True))
    scores, last = json.loads((run.folder / runs.EVAL).read_text()), runs.read_metrics(run.folder)[-1]
    assert cells["Run"].text == "Learned prior, no actions, constant beta"
    assert [cells[name].text for name in ("Family", "Prior", "Annealing", "beta")] == [
        *("robot, no actions", "learned", "constant", "3e-05")
    ]
    for name, key in (("PSNR", "psnr"), ("best of N", "psnr_best"), ("Sharpness", "sharpness")):
        assert cells[name].sort == scores[key]
    assert (cells["Time"].sort, cells["Steps"].sort) == (last["seconds"], last["step"])


def test_what_is_not_known_is_a_dash_and_sorts_as_nothing(library):
    cells = dict(zip(COLUMNS, listed(library.run("tiny"))))
    assert [(cells[name].text, cells[name].sort) for name in ("PSNR", "best of N", "Sharpness")] == [("–", None)] * 3


def test_of_another_program_s_weights_no_training_is_told(tiny_run, tiny_data, tmp_path):
    folder = shutil.copytree(tiny_run, tmp_path / "foreign")
    runs.write_metrics(folder, [])
    cells = dict(zip(COLUMNS, listed(Library([folder], [tiny_data]).run("foreign"))))
    assert cells["Run"].text == "Learned prior, actions known"
    assert [(cells[name].text, cells[name].sort) for name in ("Annealing", "beta")] == [("–", "–"), ("–", None)]
