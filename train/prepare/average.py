"""The mean of the weights of several runs, as one run."""

from pathlib import Path
from typing import Annotated

import tyro

from vidpred.errors import BadInput
from vidpred.files import remove_unfinished, replaced_together, require_vacant
from vidpred.lock import held


def average(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN RUN …")],
    out: Path,
) -> None:
    """The mean of the weights of runs that went on from the same weights: often better than each of them, at the price
    of one ("model soups", Wortsman et al. 2022). Settings and curves are those of the first.

    Args:
        runs: Run folders, two or more, trained with the same --train.init: of one name and, where that is still known,
            of the same weights. The run that they went on from may be one of them.
        out: Run folder to write.
    """
    import torch  # here: other commands need none

    from vidpred import checkpoint
    from vidpred import runs as folders
    from vidpred.training.checks import digest_of_start
    from vidpred.training.state import read_progress

    if len({run.resolve() for run in runs}) < max(2, len(runs)):
        raise BadInput(f"a mean takes two runs or more, each once, got {len(runs)}")
    configs, made = zip(*map(folders.read_settings, runs))
    for run, config in zip(runs[1:], configs[1:]):
        if config.model != configs[0].model:
            raise BadInput(f"{run} is another model than {runs[0]}: their settings differ in more than train.*")
    names = [run.resolve().name for run in runs]
    begun = [config.train.init and Path(config.train.init).name for config in configs]
    start = next((init for name, init in zip(names, begun) if name not in begun), begun[0])
    digests = set()
    for run, name, init in zip(runs, names, begun):
        if name == start and len(set(names)) > 1:  # the one that the others went on from
            digests.add(digest_of_start(str(run)))
        elif init is None or init != start:  # weights that were found apart are no weights in between
            instead = f", not from {start}" if start and init else ""
            raise BadInput(f"{run} went on from {init or 'no other run'}{instead}: only of runs that began with the "
                           "same weights is the mean a model")  # fmt: skip
        else:
            digests.add(read_progress(run / folders.LAST)[0].start)
    if len(digests - {None}) > 1:
        raise BadInput(f"these runs went on from runs of one name, {start}, but of other weights")
    models = [checkpoint.load_trained(run) for run in runs]
    with torch.no_grad():
        for name, value in models[0].state_dict(keep_vars=True).items():
            if value.is_floating_point():
                value.copy_(torch.stack([model.state_dict()[name].double() for model in models]).mean(0))
    with held(out):
        require_vacant(out)
        remove_unfinished(out, folders.CONFIG)
        with replaced_together(out, folders.CONFIG) as building:
            averaged = ", ".join(run.resolve().name for run in runs)
            folders.write_config(building, configs[0], made[0] | {folders.AVERAGED: averaged})
            folders.write_metrics(building, folders.read_metrics(runs[0]))
            checkpoint.save_weights(building / folders.WEIGHTS, models[0])
    print(f"{out}: the mean of {averaged}")
