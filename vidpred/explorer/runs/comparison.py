"""Several runs side by side: what sets them apart, what they score, and which of them make a telling pair."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import isclose, sqrt
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

from vidpred.config import LEARNED, RunConfig
from vidpred.errors import BadInput
from vidpred.explorer.runs import progress, validate
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.prediction import Prediction, Settings, checked, frames_of, predict, require_few
from vidpred.explorer.runs.run import MAX_FRAMES, Clip, Run
from vidpred.explorer.runs.setting_names import setting_name, setting_value
from vidpred.explorer.runs.summary import sentence_case, title_parts
from vidpred.runs import ALIKE, other_prior

MOST_RUNS = 4
MOST_SAMPLES = 5  # predicted by each of the runs
# Settings that say how a run was computed or shown, not what was trained.
INCIDENTAL = {"train.precision", "train.gif_every", "train.seed", "train.best_by", "train.validation_clips"}
INCIDENTAL |= {"train.accumulation", "train.save_every"}
MEASURED = {f"model.{name}" for name in LEARNED}


# 97.5 % quantiles of Student's t for 1, 2, … degrees of freedom; from 31 on they are 1.96 + 2.5 / degrees.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
           2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
           2.042)  # fmt: skip


class Question(NamedTuple):
    """What runs can answer that differ in one respect: the settings that differ, by the start of their names, and where
    not all values are meant, those of the first one. All other settings must agree."""

    varied: tuple[str, ...]
    values: frozenset[str] | None = None

    def takes(self, settings: dict[str, Any]) -> bool:
        """Whether a run of these settings can be one of them."""
        return self.values is None or settings.get(self.varied[0]) in self.values


QUESTIONS = {
    "Which prior is better?": Question(("model.learned_prior",)),
    "What does KL annealing do?": Question(("train.kl_anneal",), frozenset({"cyclical", "monotonic", "none"})),
    "What does a calibrated beta do?": Question(("train.kl_anneal",), frozenset({"calibrated", "cyclical"})),
    "What does teacher forcing do?": Question(("train.tfr",)),
    "What do known actions bring?": Question(("model.condition", "train.beta_max")),
}


class Group(NamedTuple):
    """Runs that differ in one respect alone."""

    question: str
    runs: list[Run]

    @property
    def key(self) -> str:
        """By which the group is chosen."""
        return ",".join(run.name for run in self.runs)

    @property
    def title(self) -> str:
        """The question, what the runs differ in, and what they share."""
        shared, apart = told_apart(self.runs)
        kinds = _one_of(apart or short_names([run.name for run in self.runs]))
        return f"{self.question} {sentence_case(kinds)} ({', '.join(shared) or 'each its own'})"


def titles(groups: Iterable[Group]) -> list[str]:
    """What the groups are called; those of one title with the names of their runs."""
    found = [(group, group.title) for group in groups]
    times = Counter(title for _, title in found)
    return [f"{title}: {', '.join(run.name for run in group.runs)}" if times[title] > 1 else title
            for group, title in found]  # fmt: skip


class Paired(NamedTuple):
    """By how much a run's PSNR is higher than another's on the same clips, in dB: the mean, half of its 95 % interval
    over the clips, and on how many of them it is higher."""

    mean: float
    ci95: float
    higher: int
    clips: int

    @property
    def text(self) -> str:
        return f"{self.mean:+.2f} ± {self.ci95:.2f} dB"

    @property
    def told_apart(self) -> bool:
        return abs(self.mean) > self.ci95


def chosen_runs(library: Library, names: Any, fewest: Literal[1, 2] = 2) -> list[Run]:
    """Runs of one family that a visitor chose, up to four."""
    names = validate.several(names, "run", library.runs)
    if not fewest <= len(names) <= MOST_RUNS:
        raise BadInput(f"Please choose {('one', 'two')[fewest - 1]} to {MOST_RUNS} runs, not {len(names)}")
    runs = [library.run(name) for name in names]
    if len({run.takes_poses for run in runs}) > 1:
        raise BadInput("These runs are of two families: robot clips and dance videos cannot be compared")
    return runs


def first_runs(library: Library) -> list[Run]:
    """What is compared before anyone has chosen: the first telling group, or any two of one family, those with clips
    before all others; none if there are no two of one family."""
    families: dict[tuple[bool, bool], list[Run]] = {}
    for run in library.all_runs():
        bounces = bool(run.evaluation and run.evaluation.has_bounces)
        families.setdefault((run.takes_poses, bounces), []).append(run)
    found = [group.runs for group in groups(library)] + [runs[:2] for runs in families.values() if len(runs) > 1]
    return min(found, key=lambda runs: not common_clips(library, runs), default=[])


def common_clips(library: Library, runs: list[Run]) -> list[Clip]:
    """Clips that all of these runs can continue."""
    first, *others = [library.clips_for(run) for run in runs]
    return [clip for clip in first if all(clip in clips for clips in others)]


def first_view(library: Library, *runs: Run) -> dict[str, Any]:
    """The fields of a comparison of these runs, before anyone has changed them."""
    clip = next(iter(common_clips(library, runs)), None)
    return {"clip": clip and clip.name, "seed": 0, "temperature": 1.0, "samples": 3}


def checked_each(
    runs: list[Run], clip: Clip, seed: Any, temperature: Any, samples: Any, n_future: Any = None
) -> list[Settings]:
    """A prediction of each run, alike in all that can be: the same frames and seed and, where z is alike, the same
    noise. n_future: None takes the shortest of the runs' own, or as many frames as are predicted in one go."""
    samples = validate.whole_number(samples, "The number of samples", 1, MOST_SAMPLES)
    n_past = max(run.n_past for run in runs)
    if n_future is None:
        own = min(run.first_future(clip, n_past) for run in runs)
        n_future = min(own, MAX_FRAMES // (len(runs) * samples))
    each = [checked(run, clip, seed, temperature, n_future, n_past, samples, most_past=n_past) for run in runs]
    require_few(*each)
    return each


def predict_each(library: Library, runs: list[Run], clip: Clip, **fields: Any) -> list[Prediction]:
    """The futures of each run for one clip; fields as `checked_each` takes them."""
    each = checked_each(runs, clip, **fields)
    with progress.of(sum(map(frames_of, each))):
        return [predict(library, settings) for settings in each]


def short_names(names: list[str]) -> list[str]:
    """The words that tell runs apart: push-fixed-cyclical and push-learned-cyclical are fixed and learned. A run that
    would have no name left keeps its own."""
    shared = _shared_words(names)
    short = ["-".join(word for word in name.split("-") if word not in shared) or name for name in names]
    return short if len(set(short)) == len(names) else names


def _shared_words(names: list[str]) -> list[str]:
    words = [name.split("-") for name in names]
    return [word for word in words[0] if all(word in others for others in words)]


def told_apart(runs: list[Run]) -> tuple[list[str], list[str]]:
    """(what all of the runs' titles share, what each has of its own); nothing of their own where that is not enough to
    tell them apart."""
    parts = [title_parts(run) for run in runs]
    shared = [part for part in parts[0] if all(part in others for others in parts)]
    apart = [", ".join(part for part in own if part not in shared) for own in parts]
    return shared, apart if len(set(apart)) == len(apart) and all(apart) else []


def kinds(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs that differ in their seed alone, together: what they are called, and the runs. Where two of them have the
    same seed, too, they differ in what no setting says, their clips: then each is one of its own."""
    alike: dict[RunConfig, list[Run]] = {}
    for run in runs:
        alike.setdefault(replace(run.config, train=replace(run.config.train, seed=0)), []).append(run)
    found: list[list[Run]] = []
    for each in alike.values():
        seeds = {run.config.train.seed for run in each}
        found += [each] if len(seeds) == len(each) else [[run] for run in each]
    shared = Counter(map(_shared_name, found))
    return {_full_name(each) if shared[_shared_name(each)] > 1 else _shared_name(each): each for each in found}


def _shared_name(runs: list[Run]) -> str:
    """The words that the names of all share, and how many there are; of a single one its name."""
    if len(runs) == 1:
        return runs[0].name
    return f"{'-'.join(_shared_words([run.name for run in runs])) or runs[0].name} ({len(runs)} seeds)"


def _full_name(runs: list[Run]) -> str:
    """The names of all, where the words that they share are those of others, too."""
    names = ", ".join(run.name for run in runs)
    return names if len(runs) == 1 else f"{names} ({len(runs)} seeds)"


def _one_of(kinds: list[str]) -> str:
    """fixed prior, learned prior -> fixed or learned prior."""
    words = [kind.split() for kind in kinds]
    if len({each[-1] for each in words}) == 1 and min(map(len, words)) > 1:
        kinds = [*(" ".join(each[:-1]) for each in words[:-1]), kinds[-1]]
    return f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def differences(runs: list[Run]) -> dict[str, list[str]]:
    """The settings that do not agree, by name on the command line: the value in each run, in words."""
    settings = [_settings(run) for run in runs]
    keys = dict.fromkeys(key for values in settings for key in values)
    rows = {key: [setting_value(key, values.get(key)) if key in values else "–" for values in settings] for key in keys}
    return {key: values for key, values in rows.items() if len(set(values)) > 1}


def difference_rows(runs: list[Run]) -> list[list[str]]:
    """Rows of a table: the setting, then its value in each run, all in words."""
    return [[setting_name(key), *values] for key, values in differences(runs).items()]


def paired(run: Run, other: Run, score: str = "psnr") -> Paired | None:
    """The paired difference of two runs that were evaluated alike, over the clips of both, with Student's interval;
    None where they were not."""
    if run.evaluation is None or other.evaluation is None or not _evaluated_alike(run, other):
        return None
    one, two = (each.evaluation.per_clip.get(score, {}) for each in (run, other))
    differences = [one[clip] - two[clip] for clip in one if clip in two]
    if len(differences) < 2:
        return None
    half = student(len(differences) - 1) * stdev(differences) / sqrt(len(differences))
    return Paired(fmean(differences), half, sum(d > 0 for d in differences), len(differences))


def student(degrees: int) -> float:
    """97.5 % quantile of Student's t: half a 95 % interval in standard errors."""
    return STUDENT[degrees - 1] if degrees <= len(STUDENT) else 1.96 + 2.5 / degrees


def _evaluated_alike(run: Run, other: Run) -> bool:
    """In the same way and, as far as the scores show it, on the same clips: those of two data sets may share their
    names, but not what copying the last frame scores on all of them."""
    ways, clips, copied = [], [], []
    for one, result in ((run, run.evaluation), (other, other.evaluation)):
        prior = other_prior(one.config.model, result.prior_at_test)
        ways.append((*(getattr(result, name) for name in ALIKE), prior))
        clips.append([*result.per_clip.get("psnr", {})])
        copied.append(result.copy_last_psnr)
    same_clips = clips[0] != clips[1] or None in copied or isclose(*copied, rel_tol=1e-5)
    return ways[0] == ways[1] and same_clips


def groups(library: Library) -> list[Group]:
    """The telling groups among all runs, up to four each, no two alike; of those that answer the same question first
    the ones whose samples differ most, by what the best of them gains, robots before bouncing shapes."""
    settings = {run: _settings(run) for run in library.all_runs()}
    found = []
    for name, question in QUESTIONS.items():
        varied = question.varied
        alike: dict[str, dict[str, list[Run]]] = {}  # what the others of a group agree in -> its kinds, runs of each
        for run, values in settings.items():
            if not question.takes(values):
                continue
            rest = {k: v for k, v in values.items() if k not in INCIDENTAL and not k.startswith(varied)}
            kind = repr([v for k, v in values.items() if k.startswith(varied[0])])
            alike.setdefault(repr(sorted(rest.items(), key=str)), {}).setdefault(kind, []).append(run)
        found += [
            Group(name, [min(same, key=_readiness) for same in kinds.values()][:MOST_RUNS])
            for kinds in alike.values()
            if len(kinds) > 1
        ]
    order = list(QUESTIONS)

    def rank(group: Group) -> tuple:
        bounces = any(run.evaluation and run.evaluation.has_bounces for run in group.runs)
        return order.index(group.question), bounces, -max(map(_gain_of_best, group.runs))

    return sorted(found, key=rank)


def _readiness(run: Run) -> tuple[bool, bool]:
    """Of runs of one kind the least is shown: evaluated, or at least with weights."""
    return run.evaluation is None, run.weights is None


def _gain_of_best(run: Run) -> float:
    """By how much the best of N samples is better than their mean, in dB; 0 where that is not known."""
    result = run.evaluation
    return 0.0 if result is None or None in (result.psnr, result.psnr_best) else result.psnr_best - result.psnr


def _settings(run: Run) -> dict[str, Any]:
    """Every setting of a run by its name on the command line."""
    parts = run.config.to_dict()
    settings = {f"{part}.{key}": value for part, values in parts.items() for key, value in values.items()}
    return {key: value for key, value in settings.items() if key not in MEASURED}


def score_texts(run: Run) -> list[str]:
    """PSNR, best of N, SSIM, KL per step, and the protocol of these numbers."""
    result = run.evaluation
    if result is None:
        return ["–"] * 4 + ["not evaluated yet"]
    numbers = [("psnr", ".2f"), ("psnr_best", ".2f"), ("ssim", ".3f"), ("kld_per_step", ".3f")]
    prior = other_prior(run.config.model, result.prior_at_test)
    protocol = (
        f"{result.protocol}: {result.scored_clips}, {result.scored_frames}, "
        f"{result.text('samples')} samples, temperature {result.text('temperature')}"
    ) + (f", z from the {prior} prior" if prior else "")
    return [*(result.text(name, form) for name, form in numbers), protocol]
