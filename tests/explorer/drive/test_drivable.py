"""Which runs can be driven, and what is said of the others."""

from dataclasses import replace

import pytest

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.drive.drivable import drivable_runs, require_drivable, robot_runs
from vidpred.explorer.runs.library import Library, names


@pytest.fixture
def free(tiny_run, tmp_path):
    """Folder of a run without actions."""
    config = runs.read_config(tiny_run)
    model = replace(config.model, condition="none", condition_mean=(), condition_scale=())
    runs.write_config(tmp_path / "free", replace(config, model=model), {})
    return tmp_path


def test_a_run_without_actions_says_what_can_be_driven(free, tiny_run, tiny_data, dance_run, clip):
    library = Library([tiny_run, dance_run, free], [tiny_data])
    assert names(robot_runs(library)) == ["tiny", "free"]
    assert names(drivable_runs(library)) == ["tiny"]
    for run in ("free", "dance"):
        with pytest.raises(BadInput, match=f"{run} knows no actions, so it cannot be driven: choose tiny"):
            require_drivable(library, library.run(run), clip)


def test_where_nothing_can_be_driven(free, tiny_data, clip):
    library = Library([free], [tiny_data])
    with pytest.raises(BadInput, match="none of the runs here can"):
        require_drivable(library, library.run("free"), clip)


def test_a_clip_of_the_other_family_cannot_be_driven(families):
    with pytest.raises(BadInput, match="tiny continues robot clips: test/0 is none"):
        require_drivable(families, families.run("tiny"), families.clip("test/0"))
