"""Predictions as the player shows them: tiles, what they can be switched to, and the numbers beside them."""

from vidpred.explorer.runs.comparison import short_names
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import Future, Prediction
from vidpred.explorer.runs.validate import MAX_TEMPERATURE
from vidpred.explorer.ui.player import Choice, Display, Tile, score_text
from vidpred.explorer.ui.run_colors import run_colours

PRIORS = {"learned": "learned", "standard": "standard normal"}


def prediction_tiles(prediction: Prediction) -> Display:
    """Tiles, choices and numbers of a prediction: of one temperature, or of all of a sweep side by side."""
    settings, futures, known = prediction.settings, prediction.futures, prediction.truth is not None
    one, tiles = len(futures) == 1, _given(prediction)
    names = ["Prediction"] if one else [f"T = {temperature:g}" for temperature in settings.temperatures]
    predictions = [prediction_tile(name, future) for name, future in zip(names, futures)]
    tiles += predictions
    if one and known:
        tiles.append(Tile("error", "Error", of=tiles.index(predictions[0])))
    if one and len(futures[0].samples) > 1:
        tiles.append(Tile("spread", "Spread", (futures[0].spread,)))
    temperature = f"temperature {settings.temperatures[0]:g}" if one else f"temperatures 0…{MAX_TEMPERATURE:g}"
    return _display(prediction, tiles, futures, f"{temperature}, {PRIORS[settings.prior]} prior")._replace(
        numbers=_over_samples(futures[0]) if one and known else (),
    )


def comparison_tiles(library: Library, predictions: list[Prediction]) -> Display:
    """A tile for each of several runs' predictions of one clip, in the colours of the runs."""
    first, runs = predictions[0], [prediction.settings.run for prediction in predictions]
    tiles = [
        prediction_tile(label, prediction.futures[0])._replace(colour=colour)
        for label, prediction, colour in zip(
            short_names([run.name for run in runs]), predictions, run_colours(library, runs).values()
        )
    ]
    futures = [prediction.futures[0] for prediction in predictions]
    temperature = f"temperature {first.settings.temperatures[0]:g}"
    return _display(first, [*_given(first), *tiles], futures, temperature)


def _note(prediction: Prediction) -> str:
    """What is missing, and why."""
    notes = []
    if prediction.truth is None:
        notes.append("The true frames of this sequence are not known: nothing to compare with.")
    if prediction.settings.samples > 1 == max(len(future.samples) for future in prediction.futures):
        notes.append("At temperature 0 all samples are alike: one is drawn.")
    return " ".join(notes)


def _given(prediction: Prediction) -> list[Tile]:
    """What is not predicted, as far as it is known."""
    tiles = [Tile("pose", "Pose", (prediction.poses,))] if prediction.poses is not None else []
    return tiles + ([Tile("truth", "Truth", (prediction.truth,))] if prediction.truth is not None else [])


def _display(prediction: Prediction, tiles: list[Tile], futures: list[Future], noise: str) -> Display:
    """Tiles of these futures. noise: what it was drawn with beside the seed, in words."""
    samples = max(len(future.samples) for future in futures)
    copied = {name: values.tolist() for name, values in prediction.copied.items()}
    protocol = f"{prediction.protocol}; seed {prediction.settings.seed}, {noise}"
    return Display(
        tiles, prediction.settings.n_past, choices(samples), samples, copied, protocol, note=_note(prediction)
    )


def choices(samples: int) -> tuple[Choice, ...]:
    """What can be looked at of several samples; of a single one only that."""
    each = tuple(Choice(str(k), f"sample {k}") for k in range(samples))
    return each if samples == 1 else (*each, Choice("best", f"best of {samples}"), Choice("mean", "mean picture"))


def prediction_tile(label: str, future: Future) -> Tile:
    """A future with a clip and scores for each of `choices`."""
    scores = {name: values.tolist() for name, values in (future.scores or {}).items()}
    if len(future.samples) == 1:
        return Tile("prediction", label, (future.samples[0],), scores={n: v[:1] for n, v in scores.items()})
    each = list(future.samples)
    clips = (*each, each[future.best], future.mean)
    scores = {n: [*v[:-1], v[future.best], v[-1]] for n, v in scores.items()}
    return Tile("prediction", label, clips, scores=scores, spread=future.diversity)


def _over_samples(future: Future) -> tuple[tuple[str, str], ...]:
    """PSNR over all samples."""
    count, rows = len(future.samples), future.scores["PSNR"].tolist()
    if count == 1:
        return ()
    every = [value for row in rows[:count] for value in row]
    return (
        (f"PSNR, average of {count}", score_text("PSNR", every)),
        (f"best of {count} (sample {future.best})", score_text("PSNR", rows[future.best])),
    )
