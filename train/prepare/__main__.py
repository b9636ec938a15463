"""`python -m train.prepare {simulate-robot,import-videos,shard,bundle,…}`: the commands; the short ones stand here."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from train.cli import OutFolder, require_at_least, require_outside, run_commands
from train.prepare.average import average
from train.prepare.import_dance import import_dance
from train.prepare.import_videos import import_videos
from train.prepare.simulate import simulate_bounce, simulate_dance, simulate_robot
from vidpred.config import to_dict
from vidpred.data.dance import is_dance
from vidpred.data.layout import SPLITS
from vidpred.errors import BadInput
from vidpred.files import is_vacant, remove_unfinished, replaced_together, was_begun, write_json
from vidpred.lock import held


def import_bair_command(
    tfrecords: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="TFRECORDS")],
    out: OutFolder,
) -> None:
    """BAIR's robot-push TFRecords (image_aux1) as folders of clips, every byte as it is. Run again to go on.

    Args:
        tfrecords: Folder that holds train/ and test/ with traj_<a>_to_<b>.tfrecords.
        out: Folder to write. The last 5 % of the training files, at least one of several, become OUT/validate.
    """
    from vidpred.data.bair_tfrecord import import_bair

    for split, (clips, files) in import_bair(tfrecords, out).items():
        if files:
            print(f"{out / split}: {clips} clip{'s' * (clips != 1)} from {files} file{'s' * (files != 1)}")
        else:
            print(f"{out / split}: none, there is one training file alone; train.svg needs this split: add a second "
                  f"file to {tfrecords / 'train'} and import again")  # fmt: skip


def shard(
    data: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DATA")],
    out: OutFolder,
    clips_per_shard: int = 128,
    base: str = "",
    cache: Path | None = None,
) -> None:
    """WebDataset tar files of clips, for data larger than a disk; training and evaluation read them as they do DATA.

    Args:
        data: Clips in the robot-push layout.
        out: Folder to write: OUT/{train,validate,test}/000000.tar … and an index.json beside them.
        clips_per_shard: Clips in a file (a clip of 30 frames takes 0.4 MB); training holds five files in memory.
        base: Where the files will be read from, if not from OUT: the start of an address, or of a command as
            "pipe:cat /mnt/far/", that {split} and the file's name are put behind. Commands are run only where the
            environment variable VIDPRED_PIPES is 1.
        cache: Folder for the packed clips (None: .packed beside the splits).
    """
    require_at_least(1, clips_per_shard=clips_per_shard)
    require_outside(data, out)
    if is_dance(data):
        raise BadInput(f"{data}: dance videos; shards are for robot clips, of which there are many")
    from vidpred.data.packed import pack_split
    from vidpred.data.shards import is_address, write_shards
    from vidpred.simulate.bounce import bounces_of

    if not is_address(base):
        raise BadInput(f"--base {base}: no address to read files from")
    splits = [split for split in SPLITS if (data / split).is_dir()]
    if not splits:
        raise BadInput(f"{data}: no train, validate or test folder in it")
    for split in splits:  # an index would hide them from whatever reads the folder
        if (out / split).is_dir() and any(path.is_dir() for path in (out / split).glob("[!.]*")):
            raise BadInput(f"{out / split} holds clips of its own; give another folder")
    with held(out):
        for split in splits:
            clips = pack_split(data, split, cache, progress=True)
            remove_unfinished(out / split)
            bounces = [bounces_of(data / clip) for clip in clips.ids]
            address = base and f"{base}{split}/"
            files = write_shards(clips, out / split, clips_per_shard, address, progress=True, bounces=bounces)
            print(f"{out / split}: {len(clips)} clips in {files} files")


def bundle(
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")],
    out: OutFolder,
) -> None:
    """A run as it is shipped: float16 weights, settings, curves, numbers and the last sample GIF; nothing to resume.

    Args:
        run: Run folder that training wrote.
        out: Folder to write; an earlier bundle in it is replaced.
    """
    import torch  # here: simulating clips needs no torch

    from vidpred import checkpoint, runs

    config, versions = runs.read_settings(run)  # a run that does not load is not shipped
    if config.train.init is not None:  # by its name: its folder is on this machine alone
        config = replace(config, train=replace(config.train, init=Path(config.train.init).name))
    model = checkpoint.load_trained(run)
    for name, p in model.named_parameters():
        if not torch.isfinite(p.half()).all():
            raise BadInput(f"{run / runs.WEIGHTS}: {name} holds numbers that float16 has not")
    if out.resolve() == run.resolve():
        raise BadInput(f"{out}: a run cannot be bundled into itself")
    if not is_vacant(out) and not _is_bundle(out) and not was_begun(out, runs.CONFIG):
        raise BadInput(f"{out} is not empty and no earlier bundle; give another folder")
    rows, evaluated = runs.read_metrics(run), runs.read_eval(run)
    with held(out):
        remove_unfinished(out, *runs.MADE)
        with replaced_together(out, runs.CONFIG, (*runs.MADE, runs.SAMPLES, runs.KEPT, runs.TENSORBOARD)) as building:
            runs.write_config(building, config, versions)
            runs.write_metrics(building, rows)
            checkpoint.save_weights(building / runs.WEIGHTS, model, torch.float16)
            if evaluated is not None:
                write_json(building / runs.EVAL, evaluated)
            for gif in sorted((run / runs.SAMPLES).glob("[!.]*.gif"))[-1:]:
                (building / runs.SAMPLES).mkdir()
                shutil.copyfile(gif, building / runs.SAMPLES / gif.name)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out}: {size / 1e6:.1f} MB")


def _is_bundle(folder: Path) -> bool:
    """Whether `bundle` wrote it: a run of float16 weights without a state. Those of averaged and imported runs are
    float32, and other programs have files of these names, too."""
    import torch

    from vidpred import checkpoint, runs

    try:
        runs.read_settings(folder)
        weights = checkpoint.load_tensors(folder / runs.WEIGHTS)
    except BadInput:
        return False
    return not (folder / runs.LAST).exists() and any(tensor.dtype == torch.float16 for tensor in weights.values())


def import_checkpoint_command(
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")],
    out: OutFolder,
    skip_frame: Literal["published", "last_context"] | None = None,
    prior_at_test: Literal["learned", "standard"] | None = None,
    leaky_relu: Literal["published", "leaky"] | None = None,
    output_activation: Literal["sigmoid", "none"] | None = None,
) -> None:
    """A checkpoint (.pth) of an SVG script or a dance trainer as a run folder. Nothing in the file is run.

    Args:
        file: What torch.save wrote: encoder, decoder, frame_predictor, posterior and perhaps prior and opt, as whole
            modules or state dictionaries; or state_dict, lr, tfr and last_epoch.
        out: Run folder to write.
        skip_frame: SVG: frame whose skips are kept after the context (left out: published, the last given one but one).
        prior_at_test: SVG: where z comes from at prediction (left out: learned, as in the original; standard, as in
            the report, where the frame predictor ends with BatchNorm).
        leaky_relu: Pose CVAE: slope of the published LeakyReLU(True), 1, or a real one of 0.2 (left out: published).
        output_activation: Pose CVAE: what the generator ends with (left out: sigmoid).
    """
    from vidpred.foreign.checkpoints import import_checkpoint

    options = {"skip_frame": skip_frame, "prior_at_test": prior_at_test}
    options |= {"leaky_relu": leaky_relu, "output_activation": output_activation}
    model = to_dict(import_checkpoint(file, out, **options).model)
    left_out = ("condition_mean", "condition_scale")
    print(f"{out}: " + ", ".join(f"{name} {value}" for name, value in model.items() if name not in left_out))


def main(args: list[str] | None = None) -> None:
    """Parse and run."""
    run_commands(
        {
            "simulate-robot": simulate_robot,
            "simulate-dance": simulate_dance,
            "simulate-bounce": simulate_bounce,
            "import-bair": import_bair_command,
            "import-videos": import_videos,
            "import-dance": import_dance,
            "import-checkpoint": import_checkpoint_command,
            "shard": shard,
            "average": average,
            "bundle": bundle,
        },
        prog="python -m train.prepare",
        args=args,
    )


if __name__ == "__main__":
    main()
