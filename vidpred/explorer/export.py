"""The bundled runs and clips as a folder of plain files: `python -m vidpred.explorer.export OUT [--clips N]`.

A page, the player, lossless sheets and JSON: any web server or free static hosting can show it, nothing is computed
there. The player and the charts are the app's own files.
"""

import json
import shutil
import sys
from html import escape
from pathlib import Path
from typing import Any

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.library import Library
from vidpred.explorer.options import Parser, stop

PROG = "python -m vidpred.explorer.export"
STATIC = Path(__file__).parent / "static"
INDEX, SHEETS, VIEWS = "index.html", "sheets", "views"
SAMPLES = 5
DANCE_FRAMES = 200


def export(library: Library, out: Path, clips: int, progress: Any = lambda done: None) -> int:
    """Write the page of `clips` clips of each run; the number of views. An earlier export in the folder is replaced."""
    if clips < 1:
        raise BadInput(f"--clips must be at least 1, got {clips}")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / VIEWS).is_dir())):
        raise BadInput(f"{out} is not empty and no earlier export; give another folder")
    for name in (SHEETS, VIEWS):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    menu, count = {}, 0
    for number, run in enumerate(library.runs):
        if not (library.run_folder(run) / runs.WEIGHTS).exists():
            continue  # in its first epoch
        menu[run] = {"about": _about(library, run), "views": {}}
        for place, clip in enumerate(library.clips_for(run)[:clips]):
            name = f"{number}-{place}.json"
            (out / VIEWS / name).write_text(json.dumps(_view(library, run, clip, out)))
            menu[run]["views"][clip] = f"{VIEWS}/{name}"
            count += 1
            progress(count)
    (out / VIEWS / "curves.json").write_text(json.dumps(_curves(library)))
    (out / VIEWS / "menu.json").write_text(json.dumps(menu))
    (out / INDEX).write_text(_page())
    return count


def _view(library: Library, run: str, clip: str, out: Path) -> dict:
    """The player's value, its sheets beside it."""
    from vidpred.explorer.player import player_value
    from vidpred.explorer.predict import first_future, first_samples, predict_clip
    from vidpred.explorer.predict_tiles import shown

    n_past = library.config(run).data.n_past
    future = min(DANCE_FRAMES, first_future(library, run, clip, n_past))
    samples = min(SAMPLES, first_samples(library, run))
    value = player_value(shown(predict_clip(library, run, clip, n_future=future, samples=samples)), 1)
    for sheet in value["sheets"]:
        cached = Path(sheet["file"]["path"])
        name = f"{cached.parent.name}.webp"  # named by its pixels
        shutil.copy(cached, out / SHEETS / name)
        sheet["file"] = {"url": f"{SHEETS}/{name}"}
    return value


def _curves(library: Library) -> dict:
    from vidpred.explorer.training import CURVES, MOST_RUNS, training_value

    return training_value(library, list(library.runs)[:MOST_RUNS], list(CURVES), "epochs", 0, False, 1)


def _about(library: Library, run: str) -> str:
    """A run in words; the Markdown's marks are left out."""
    from vidpred.explorer.curves import describe_run

    return describe_run(library, run).replace("**", "").replace("*", "").replace("> ", "").replace("\n\n", "\n")


def _page() -> str:
    """The page. What Gradio gives a component (element, props, watch, trigger) is given by a few lines of its own."""
    template = (STATIC / "export.html").read_text()
    for kind in ("player", "chart"):
        script = "\n".join(
            (STATIC / f"{part}.js").read_text() for part in (("film", "player") if kind == "player" else (kind,))
        )
        template = template.replace(f"[[{kind}.html]]", (STATIC / f"{kind}.html").read_text())
        template = template.replace(f"[[{kind}.css]]", (STATIC / f"{kind}.css").read_text())
        # as inert text: the page makes a function of it
        template = template.replace(f"[[{kind}.js]]", escape(script))
    return template


def main(args: list[str] | None = None) -> None:
    """Parse and write."""
    parser = Parser(PROG, "Write the runs and clips as a page of plain files.")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--clips", type=int, default=3, metavar="N", help="clips of each run (default: 3)")
    try:
        options = parser.parse(sys.argv[1:] if args is None else args)
        from tqdm import tqdm

        library = Library(options.runs, options.data)
        with tqdm(desc="views", unit="view") as bar:
            count = export(library, options.out, options.clips, lambda done: bar.update())
    except BadInput as error:
        stop("vidpred.explorer.export", error)
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"wrote {count} views to {options.out} ({size / 1e6:.1f} MB): open it through any web server")


if __name__ == "__main__":
    main()
