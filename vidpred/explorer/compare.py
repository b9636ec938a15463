"""Several runs side by side: what sets them apart, what they score, and which of them make a telling pair."""

from typing import Any, NamedTuple

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer import fields
from vidpred.explorer.curves import is_collapsed
from vidpred.explorer.library import Library
from vidpred.explorer.palette import run_colours
from vidpred.explorer.player import Shown, Tile
from vidpred.explorer.predict import Asked, ask, first_future, imagine
from vidpred.explorer.predict_tiles import choices, prediction_tile

MOST_RUNS = 4
MOST_SAMPLES = 5  # each of the runs imagines them
# Settings that say how a run was computed or shown, not what was trained.
INCIDENTAL = {"train.precision", "train.gif_every", "train.seed", "train.best_by", "train.validation_clips"}
INCIDENTAL |= {"train.accumulation", "train.save_every"}
MEASURED = {"model.condition_mean", "model.condition_scale"}  # not chosen by anyone
CURVES = ["KL", "beta", "Teacher forcing", "Loss", "PSNR"]
QUESTIONS = {
    "Fixed or learned prior": ("model.learned_prior",),
    "KL annealing": ("train.kl_anneal",),
    "Teacher forcing": ("train.tfr",),
    "With actions or without": ("model.condition", "train.beta_max"),
}
"""What a pair of runs can answer: the settings that differ, by the start of their names; all others must agree."""


class Group(NamedTuple):
    """Runs that differ in one respect alone."""

    question: str
    runs: list[str]

    @property
    def title(self) -> str:
        """The question, the runs by what tells them apart, and what they share."""
        short = short_names(self.runs)
        shared = "" if set(short) & set(self.runs) else f" ({'-'.join(_shared_words(self.runs))})"
        return f"{self.question}: {' · '.join(short)}{shared}"


def chosen_runs(library: Library, names: Any) -> list[str]:
    """Two to four known runs of one family, each once."""
    if not isinstance(names, list):
        raise BadInput("Please choose the runs from the list")
    names = list(dict.fromkeys(fields.choice(name, "run", library.runs) for name in names))
    if not 2 <= len(names) <= MOST_RUNS:
        raise BadInput(f"Please choose two to {MOST_RUNS} runs, not {len(names)}")
    if len({type(library.config(name).model) for name in names}) > 1:
        raise BadInput("These runs are of two families: robot clips and dance videos cannot be compared")
    return names


def first_runs(library: Library) -> list[str]:
    """What is compared before anyone has chosen: the first telling pair, or any two of one family; none if there is no
    such pair."""
    if found := groups(library):
        return found[0].runs
    families: dict[type, list[str]] = {}
    for name in library.runs:
        families.setdefault(type(library.config(name).model), []).append(name)
    return next((names[:2] for names in families.values() if len(names) > 1), [])


def first_view(library: Library, run: str) -> dict[str, Any]:
    """What is asked, where this run is the first, until someone asks for something else."""
    return {"clip": next(iter(library.clips_for(run)), None), "seed": 0, "temperature": 1.0, "samples": 3}


def ask_each(
    library: Library, names: list[str], clip: Any, seed: Any, temperature: Any, samples: Any, n_future: Any = None
) -> list[Asked]:
    """A prediction of each run, alike in all that can be: the same frames and seed and, where z is alike, the same
    noise. n_future: None takes the shortest of the runs' own."""
    samples = fields.whole_number(samples, "The number of samples", 1, MOST_SAMPLES)
    n_past = max(library.config(name).data.n_past for name in names)
    if n_future is None:
        n_future = min(first_future(library, name, clip, n_past) for name in names)
    return [ask(library, name, clip, seed, temperature, n_future, n_past, samples) for name in names]


def compare_clip(library: Library, names: list[str], *asked: Any) -> Shown:
    """The futures of each run for one clip, side by side; `asked` as by ask_each."""
    predictions = [imagine(library, one) for one in ask_each(library, names, *asked)]
    first = predictions[0]
    tiles = [Tile("pose", "Pose", (first.poses,))] if first.poses is not None else []
    tiles += [Tile("truth", "Truth", (first.truth,))] if first.truth is not None else []
    labels, colours = short_names(names), run_colours(library, names).values()
    tiles += [
        prediction_tile(label, prediction.futures[0])._replace(colour=colour)
        for label, prediction, colour in zip(labels, predictions, colours)
    ]
    count = max(len(prediction.futures[0].samples) for prediction in predictions)
    return Shown(
        tiles,
        first.asked.n_past,
        choices(count),
        count,
        {name: values.tolist() for name, values in first.copied.items()},
        f"{first.protocol}; seed {first.asked.seed}, temperature {first.asked.temperatures[0]:g}",
    )


def short_names(names: list[str]) -> list[str]:
    """The words that tell runs apart: push-fixed-cyclical and push-learned-cyclical are fixed and learned. A run that
    would have no name left keeps its own."""
    shared = _shared_words(names)
    short = ["-".join(word for word in name.split("-") if word not in shared) or name for name in names]
    return short if len(set(short)) == len(names) else names


def _shared_words(names: list[str]) -> list[str]:
    words = [name.split("-") for name in names]
    return [word for word in words[0] if all(word in others for others in words)]


def differences(library: Library, names: list[str]) -> list[list[str]]:
    """Rows of a table: the setting, then its value in each run; settings that agree are left out."""
    settings = [_settings(library, name) for name in names]
    keys = list(dict.fromkeys(key for values in settings for key in values))
    rows = [[key, *(_text(values.get(key)) for values in settings)] for key in keys]
    return [row for row in rows if len(set(row[1:])) > 1]


def evaluated_numbers(library: Library, names: list[str]) -> list[list[str]]:
    """A row per run: PSNR, best of N, SSIM, KL per step, and the protocol of these numbers."""
    return [[name, *_numbers(runs.read_eval(library.run_folder(name)))] for name in names]


def groups(library: Library) -> list[Group]:
    """The telling pairs (up to four runs each) among all runs, by what they differ in; of those that answer the same
    question first the ones whose z carries something."""
    settings = {name: _settings(library, name) for name in library.runs}
    found = []
    for question, varied in QUESTIONS.items():
        alike: dict[str, list[str]] = {}
        for name, values in settings.items():
            rest = {k: v for k, v in values.items() if k not in INCIDENTAL and not k.startswith(varied)}
            alike.setdefault(repr(sorted(rest.items(), key=str)), []).append(name)
        for names in alike.values():
            first = varied[0]
            kinds = {repr([v for k, v in settings[n].items() if k.startswith(first)]) for n in names}
            if len(kinds) > 1:
                found.append(Group(question, names[:MOST_RUNS]))
    order = list(QUESTIONS)
    return sorted(
        found,
        key=lambda group: (order.index(group.question), all(is_collapsed(library, name) for name in group.runs)),
    )


def _settings(library: Library, name: str) -> dict[str, Any]:
    """Every setting of a run by its name on the command line."""
    parts = library.config(name).to_dict()
    settings = {f"{part}.{key}": value for part, values in parts.items() for key, value in values.items()}
    return {key: value for key, value in settings.items() if key not in MEASURED}


def _text(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _numbers(result: dict | None) -> list[str]:
    if result is None:
        return ["–"] * 4 + ["not evaluated yet"]

    def text(key: str, form: str) -> str:
        value = result.get(key)
        return format(value, form) if isinstance(value, (int, float)) else "–"

    protocol = (
        f"{result.get('protocol', 'unnamed')}: {text('clips', 'g')} {result.get('split', '')} clips, "
        f"{text('n_future', 'g')} frames, {text('samples', 'g')} samples, temperature {text('temperature', 'g')}"
    )
    return [text("psnr", ".2f"), text("psnr_best", ".2f"), text("ssim", ".3f"), text("kld_per_step", ".3f"), protocol]
