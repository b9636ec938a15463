"""Predictions as the player shows them: tiles, what they can be switched to, and the numbers beside them."""

from vidpred.explorer.runs.comparison import short_names
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import MAX_TEMPERATURE, Future, Prediction
from vidpred.explorer.ui.player import Choice, Display, Tile, score_text
from vidpred.explorer.ui.run_colors import run_colours

PRIORS = {"learned": "learned", "standard": "standard normal"}


def prediction_tiles(prediction: Prediction) -> Display:
    """Tiles, choices and numbers of a prediction: of one temperature, or of all of a sweep side by side."""
    settings, futures, truth = prediction.settings, prediction.futures, prediction.truth
    one = len(futures) == 1
    tiles = [Tile("pose", "Pose", (prediction.poses,))] if prediction.poses is not None else []
    tiles += [Tile("truth", "Truth", (truth,))] if truth is not None else []
    names = ["Prediction"] if one else [f"T = {temperature:g}" for temperature in settings.temperatures]
    predictions = [prediction_tile(name, future) for name, future in zip(names, futures)]
    tiles += predictions
    if one and truth is not None:
        tiles.append(Tile("error", "Error", of=tiles.index(predictions[0])))
    if one and len(futures[0].samples) > 1:
        tiles.append(Tile("spread", "Spread", (futures[0].spread,)))
    temperature = f"temperature {settings.temperatures[0]:g}" if one else f"temperatures 0…{MAX_TEMPERATURE:g}"
    return Display(
        tiles,
        settings.n_past,
        choices(max(len(future.samples) for future in futures)),
        max(len(future.samples) for future in futures),
        {name: values.tolist() for name, values in prediction.copied.items()},
        f"{prediction.protocol}; seed {settings.seed}, {temperature}, {PRIORS[settings.prior]} prior",
        _numbers(futures[0]) if one and truth is not None else (),
        "" if truth is not None else "The true frames of this sequence are not known: nothing to compare with.",
    )


def comparison_tiles(library: Library, predictions: list[Prediction]) -> Display:
    """A tile for each of several runs' predictions of one clip, in the colours of the runs."""
    first, runs = predictions[0], [prediction.settings.run for prediction in predictions]
    tiles = [Tile("pose", "Pose", (first.poses,))] if first.poses is not None else []
    tiles += [Tile("truth", "Truth", (first.truth,))] if first.truth is not None else []
    tiles += [
        prediction_tile(label, prediction.futures[0])._replace(colour=colour)
        for label, prediction, colour in zip(
            short_names([run.name for run in runs]), predictions, run_colours(library, runs).values()
        )
    ]
    count = max(len(prediction.futures[0].samples) for prediction in predictions)
    return Display(
        tiles,
        first.settings.n_past,
        choices(count),
        count,
        {name: values.tolist() for name, values in first.copied.items()},
        f"{first.protocol}; seed {first.settings.seed}, temperature {first.settings.temperatures[0]:g}",
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


def _numbers(future: Future) -> tuple[tuple[str, str], ...]:
    """PSNR over all samples."""
    count, rows = len(future.samples), future.scores["PSNR"].tolist()
    if count == 1:
        return ()
    every = [value for row in rows[:count] for value in row]
    return (
        (f"PSNR, average of {count}", score_text("PSNR", every)),
        (f"best of {count} (sample {future.best})", score_text("PSNR", rows[future.best])),
    )
