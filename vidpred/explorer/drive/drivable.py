"""Which runs and clips can be driven."""

from typing import Any

from vidpred.errors import BadInput
from vidpred.explorer.runs import validate
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.run import Clip, Run


def robot_runs(library: Library) -> list[Run]:
    """The runs that continue robot clips; those without actions are offered too, and refused with the reason."""
    return [run for run in library.all_runs() if not run.takes_poses]


def drivable_runs(library: Library) -> list[Run]:
    """The runs that can be driven."""
    return [run for run in library.all_runs() if run.takes_actions]


def require_drivable(library: Library, run: Run, clip: Clip) -> None:
    """BadInput unless a run takes actions and the clip has some."""
    if not run.takes_actions:
        able = names(drivable_runs(library))
        instead = f"choose {' or '.join(able[:3])}" if able else "none of the runs here can"
        raise BadInput(f"{run.name} knows no actions, so it cannot be driven: {instead}")
    run.longest_future(clip)


def checked_noise(library: Library, run: Run, clip: Clip, seed: Any, temperature: Any) -> tuple[int, float]:
    """(seed, temperature) of a drive that can begin."""
    require_drivable(library, run, clip)
    return validate.seed(seed), validate.temperature(temperature)
