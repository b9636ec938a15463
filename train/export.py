"""A run as ONNX: `python -m train.export RUN OUT [--data DIR]`."""

from pathlib import Path

from train.cli import Cache, Json, OutFolder, RunFolder, Split, print_json, run_command
from vidpred.errors import BadInput


def export(
    run: RunFolder,
    out: OutFolder,
    data: Path | None = None,
    split: Split = "test",
    cache: Cache = None,
    json: Json = False,
) -> None:
    """Write a run as ONNX: OUT/context.onnx looks at a context, OUT/step.onnx makes a frame and hands on its state, for
    any number of clips at once. OUT/model.json names tensors, shapes, protocol, noise and sizes.

    Beside them the same with float16 weights, half the size, where that moves the PSNR by less than 0.02 dB: of a
    bundled run, whose weights are float16, always; of any other it takes clips to say so.

    Args:
        out: folder to write
        data: folder with clips, on which float16 weights are tried (None: they are not)
    """
    if out.is_file():
        raise BadInput(f"{out}: a file, not a folder")
    if out.resolve() == run.resolve():
        raise BadInput(f"{out}: a run cannot be exported into itself")
    from tqdm import tqdm

    from vidpred import runs
    from vidpred.data.batches import open_split
    from vidpred.files import remove_unfinished
    from vidpred.lock import held
    from vidpred.onnx_export import DESCRIPTION, export_onnx, is_description

    runs.read_config(run)  # what is no run is refused before the work
    if (out / DESCRIPTION).exists() and not is_description(out / DESCRIPTION):
        raise BadInput(f"{out / DESCRIPTION} is another program's; give another folder")
    clips = None if data is None else open_split(data, split, cache, progress=True)
    name = run.resolve().name
    bar = tqdm(desc=name, bar_format="{desc} [{elapsed}]")
    with held(out), bar:
        remove_unfinished(out)
        written = export_onnx(run, out, clips, lambda doing: bar.set_description_str(f"{name}: {doing}"))
    if json:
        print_json(written)
        return
    for kind, files in written["files"].items():
        megabytes = sum(file["bytes"] for file in files.values()) / 1e6
        print(f"{kind}: {', '.join(file['file'] for file in files.values())} ({megabytes:.1f} MB)")
    half = written["float16"]
    if half["exact"]:
        print("the run's own weights are float16: nothing is lost")
    elif not half["tried"]:
        print("float16 weights were not tried: --data names clips to try them on")
    elif half["psnr_moved_by"] is None:
        print("float16 has no numbers as large as this run's weights")
    else:
        print(f"float16 weights move the PSNR by {half['psnr_moved_by']:.3f} dB")
    print(f"wrote {out}")


if __name__ == "__main__":
    run_command(export, "python -m train.export")
