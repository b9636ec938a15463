"""The bundled runs and clips as a folder of plain files: `python -m vidpred.explorer.export OUT [--clips N]`.

A page, the player, lossless sheets and JSON: any web server or free static hosting can show it. The models run in the
visitor's browser, as ONNX graphs. The player, the charts and what one drives with are the app's own files.
"""

import json
import shutil
import sys
from html import escape
from pathlib import Path
from typing import Any

from vidpred.errors import BadInput
from vidpred.explorer.cli import Parser, stop
from vidpred.explorer.export.live import (
    CLIPS,
    DANCE_FRAMES,
    LIVE,
    MODELS,
    add_clip,
    add_model,
    add_page,
    add_worker_cache,
)
from vidpred.explorer.export.runtime import FOLDER
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.run import Clip, Run
from vidpred.files import is_vacant, remove_unfinished, replaced_together, was_begun
from vidpred.lock import held

PROG = "python -m vidpred.explorer.export"
STATIC = Path(__file__).parent / "static"
INDEX, SHEETS, VIEWS = "index.html", "sheets", "views"
SAMPLES = 5


def export(
    library: Library,
    out: Path,
    clips: int,
    progress: Any = lambda done: None,
    live: bool = True,
    doing: Any = lambda run: None,
    warn: Any = lambda line: None,
) -> int:
    """Write the page of `clips` clips of each run; the number of views. An earlier export in the folder is replaced
    once the new one is whole, but for the runtime. live: with the models themselves; progress is told how many views
    are done, doing which run is next, warn what is missing for the models to run."""
    if clips < 1:
        raise BadInput(f"--clips must be at least 1, got {clips}")
    ours = (out / VIEWS).is_dir() or was_begun(out, INDEX)
    if not ours and (out.is_file() or not is_vacant(out, FOLDER)):
        raise BadInput(f"{out} is not empty and no earlier export; give another folder")
    with held(out):
        remove_unfinished(out, INDEX)
        remove_unfinished(out / FOLDER)
        with replaced_together(out, INDEX) as building:
            for name in (VIEWS, SHEETS, MODELS, CLIPS, LIVE):  # also those that stay empty: an earlier one's are not
                (building / name).mkdir()
            return _write(library, building, out / FOLDER, clips, progress, live, doing, warn)


def _write(
    library: Library, out: Path, runtime: Path, clips: int, progress: Any, live: bool, doing: Any, warn: Any
) -> int:
    """`export` into a folder that is empty, and the runtime into one of its own."""
    from vidpred.explorer.runs.prediction import first_run

    menu, count, needed = {}, 0, {}
    ready = [run for run in library.all_runs() if run.weights is not None]  # the others are in their first epoch
    if not ready:
        raise BadInput("no run here has weights yet: their first epoch has not ended")
    shown = {run.name: library.clips_for(run)[:clips] for run in ready}
    runs = [run for run in ready if shown[run.name]]
    if not runs:
        raise BadInput("none of the runs here can continue any of the clips: give others with --runs or --data")
    for run in ready:
        if run not in runs:
            warn(f"{run.name} can continue none of the clips: it is left out")
    first = first_run(runs, library)
    for number, run in enumerate(runs):
        menu[run.name] = {"about": _about(run), "views": {}, "first": run is first}
        if live:
            doing(run.name)
            menu[run.name]["live"] = add_model(library, run, shown[run.name], out, number)
            needed |= {clip.name: clip for clip in shown[run.name]}
        for place, clip in enumerate(shown[run.name]):
            name = f"{number}-{place}.json"
            (out / VIEWS / name).write_text(json.dumps(_view(library, run, clip, out)))
            menu[run.name]["views"][clip.name] = f"{VIEWS}/{name}"
            count += 1
            progress(count)
    for clip in needed.values():
        add_clip(library, clip, out)
    missing = add_page(out, live, runtime)
    if missing:
        warn(missing)
        for one in menu.values():
            one.pop("live", None)
    (out / VIEWS / "curves.json").write_text(json.dumps(_curves(library)))
    (out / VIEWS / "menu.json").write_text(json.dumps(menu))
    (out / INDEX).write_text(_page())
    add_worker_cache(out, runtime)
    return count


def _view(library: Library, run: Run, clip: Clip, out: Path) -> dict:
    """The player's value, its sheets beside it."""
    from vidpred.explorer.runs.prediction import predict_clip
    from vidpred.explorer.ui.player import player_value
    from vidpred.explorer.ui.prediction_tiles import prediction_tiles

    future = min(DANCE_FRAMES, run.first_future(clip))
    predicted = predict_clip(library, run, clip, n_future=future, samples=min(SAMPLES, run.own_samples))
    value = player_value(prediction_tiles(predicted), 1)
    for sheet in value["sheets"]:
        cached = Path(sheet["file"]["path"])
        name = f"{cached.parent.name}.webp"  # named by its pixels
        shutil.copyfile(cached, out / SHEETS / name)
        sheet["file"] = {"url": f"{SHEETS}/{name}"}
    return value


def _curves(library: Library) -> dict:
    from vidpred.explorer.ui.training_chart import CURVES, first_runs, training_chart

    drawn, of = first_runs(library), len(library.all_runs())
    value = training_chart(library, drawn, list(CURVES), 1)
    if len(drawn) < of:
        value["hint"] = f"{len(drawn)} of the {of} runs, those that see what the first one sees. {value['hint']}"
    return value


def _about(run: Run) -> str:
    """A run in words; the Markdown's marks are left out."""
    from vidpred.explorer.runs.summary import describe_run

    return describe_run(run).replace("**", "").replace("*", "").replace("> ", "").replace("\n\n", "\n")


def _page() -> str:
    """The page. What Gradio gives a component (element, props, …) is given by a few lines of its own."""
    from vidpred.explorer.ui.chart import CHART
    from vidpred.explorer.ui.drive_widget import DRIVE
    from vidpred.explorer.ui.player import PLAYER

    template = (STATIC / "export.html").read_text()
    for widget in (PLAYER, CHART, DRIVE):
        for kind, text in (("html", widget.markup), ("css", widget.style), ("js", escape(widget.script))):
            # the script as inert text: the page makes a function of it
            template = template.replace(f"[[{widget.name}.{kind}]]", text)
    return template


def main(args: list[str] | None = None) -> None:
    """Parse and write."""
    parser = Parser(PROG, "Write the runs and clips as a page of plain files.")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--clips", type=int, default=3, metavar="N", help="clips of each run (default: 3)")
    parser.add_argument("--stored-only", action="store_true", help="leave out the models: what was predicted is shown")
    try:
        options = parser.parse(sys.argv[1:] if args is None else args)
        from tqdm import tqdm

        library = Library(options.runs, options.data)
        with tqdm(desc="views", unit="view") as bar:
            live, done, missing = not options.stored_only, lambda done: bar.update(), []
            count = export(library, options.out, options.clips, done, live, bar.set_postfix_str, missing.append)
        for line in missing:
            print(f"vidpred.explorer.export: {line}", file=sys.stderr)
    except (BadInput, OSError) as error:  # also of a disk that is full
        stop("vidpred.explorer.export", error)
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"wrote {count} views to {options.out} ({size / 1e6:.1f} MB): open it through any web server")
