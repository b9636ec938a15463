"""Comparing runs: what sets them apart is found, and all of them predict the same clip with the same noise."""

import json
import shutil
from dataclasses import replace

import pytest
import scipy.stats

from tests.commands import ROOT
from tests.promise import same_picture
from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.runs import comparison
from vidpred.explorer.runs.library import Library, names
from vidpred.explorer.runs.prediction import predict_clip
from vidpred.presets import preset

PAIR = ["push-free-learned-cyclical", "push-free-learned-none"]
BASE = preset("small")


def trained(**settings):
    return replace(BASE, train=replace(BASE.train, **settings))


LEARNED = replace(BASE, model=replace(BASE.model, learned_prior=True))


def library_of(root, configs):
    """Runs that have settings only."""
    for name, config in configs.items():
        runs.write_config(root / name, config, {})
    return Library([root], [ROOT / "assets" / "data" / "robot_push"])


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    configs = {
        "fixed": BASE,
        "fixed-other-seed": trained(seed=7, precision="no"),
        "fixed-none": trained(kl_anneal="none"),
        "fixed-free-running": trained(tfr=0.0),
        "fixed-two": trained(kl_anneal="monotonic", lr=0.1),
        "learned": LEARNED,
        "dancer": preset("pose-small"),
    }
    return library_of(tmp_path_factory.mktemp("settings"), configs)


@pytest.fixture(scope="module")
def pair(bundled):
    return [bundled.run(name) for name in PAIR]


def grouped(library):
    return {group.question: names(group.runs) for group in comparison.groups(library)}


def test_pairs_differ_in_one_respect_alone(settings):
    assert grouped(settings) == {
        "Which prior is better?": ["fixed", "learned"],
        "What does KL annealing do?": ["fixed", "fixed-none"],
        "What does teacher forcing do?": ["fixed", "fixed-free-running"],
    }


def test_what_is_known_may_come_with_a_beta_of_its_own(tmp_path):
    blind = replace(BASE, model=replace(BASE.model, condition="none"), train=replace(BASE.train, beta_max=1e-5))
    found = grouped(
        library_of(tmp_path, {"blind": blind, "fixed": BASE, "calibrated": trained(kl_anneal="calibrated")})
    )
    assert found == {
        "What does a calibrated beta do?": ["calibrated", "fixed"],
        "What do known actions bring?": ["blind", "fixed"],
    }


def test_seeds_of_one_kind_do_not_hide_another_kind(tmp_path):
    seeds = {f"fixed-{seed}": trained(seed=seed) for seed in range(4)}
    assert grouped(library_of(tmp_path, {**seeds, "learned": LEARNED})) == {
        "Which prior is better?": ["fixed-0", "learned"]
    }


def test_of_seeds_the_one_that_can_be_shown_stands_for_its_kind(tmp_path):
    found = library_of(tmp_path, {"a-begun": trained(seed=1), "b-with-weights": trained(seed=2), "learned": LEARNED})
    (found.runs["b-with-weights"] / runs.WEIGHTS).touch()
    assert grouped(found) == {"Which prior is better?": ["b-with-weights", "learned"]}
    (found.runs["a-begun"] / runs.EVAL).write_text(json.dumps({"psnr": 20.0}))
    assert grouped(found) == {"Which prior is better?": ["a-begun", "learned"]}


def test_no_more_kinds_than_can_be_compared(tmp_path):
    kinds = {f"fall-{tfr}": trained(tfr=tfr / 10) for tfr in range(6)}
    assert grouped(library_of(tmp_path, kinds)) == {
        "What does teacher forcing do?": ["fall-0", "fall-1", "fall-2", "fall-3"]
    }


def test_a_pair_says_what_it_shares_and_one_whose_z_speaks_comes_first(bundled):
    titles = [group.title for group in comparison.groups(bundled)]
    assert titles[:4] == [
        "Which prior is better? Fixed or learned prior (no actions, cyclical beta)",
        "Which prior is better? Fixed or learned prior (actions known, calibrated beta)",
        "Which prior is better? Fixed or learned prior (actions known, cyclical beta)",
        "Which prior is better? Fixed or learned prior (bouncing shapes, no actions, monotonic beta)",
    ]
    every = "Cyclical, monotonic or constant beta (learned prior, no actions)"
    assert titles[4] == f"What does KL annealing do? {every}"
    every = "Cyclical, monotonic or constant beta (dancer, poses known, free running)"
    assert titles[5] == f"What does KL annealing do? {every}"
    assert titles[6] == "What does a calibrated beta do? Calibrated or cyclical beta (learned prior, no actions)"
    fed = "Free running or teacher forced (dancer, poses known, cyclical beta)"
    assert titles[-1] == f"What does teacher forcing do? {fed}"
    assert len(set(titles)) == len(titles)


def test_questions_of_one_title_name_their_runs(tmp_path):
    """Two grids that differ in what no title says."""
    slow = {name: replace(config, train=replace(config.train, lr=1e-4))
            for name, config in {"slow-fixed": BASE, "slow-learned": LEARNED}.items()}  # fmt: skip
    library = library_of(tmp_path, {"fixed": BASE, "learned": LEARNED, **slow, "none": trained(kl_anneal="none")})
    titles = comparison.titles(comparison.groups(library))
    prior = "Which prior is better? Fixed or learned prior (actions known, cyclical beta)"
    assert titles[:2] == [f"{prior}: fixed, learned", f"{prior}: slow-fixed, slow-learned"]
    assert titles[2].startswith("What does KL annealing do?") and ":" not in titles[2]


def kinds_of(root, configs):
    return {name: names(each) for name, each in comparison.kinds(library_of(root, configs).all_runs()).items()}


def test_no_run_is_lost_where_the_names_of_two_kinds_share_the_same_words(tmp_path):
    slow, fast = ([trained(seed=seed, lr=lr) for seed in (0, 1)] for lr in (0.001, 0.01))
    assert kinds_of(tmp_path, {f"small-{i}": config for i, config in enumerate([*slow, *fast], 1)}) == {
        "small-1, small-2 (2 seeds)": ["small-1", "small-2"],
        "small-3, small-4 (2 seeds)": ["small-3", "small-4"],
    }


def test_runs_of_one_seed_are_no_seeds_of_one_another(tmp_path):
    """They were trained on different clips: settings do not say on which."""
    alone = {name: [name] for name in ("free-films", "free-robot")}
    assert kinds_of(tmp_path, dict.fromkeys(alone, BASE)) == alone
    assert kinds_of(tmp_path, {"free-robot-1": trained(seed=1)}) == {**alone, "free-robot-1": ["free-robot-1"]}


def test_seeds_agree_in_all_other_settings(tmp_path):
    """Also in what the curves of validation were measured on."""
    found = kinds_of(tmp_path, {"few-0": trained(validation_clips=8), "few-1": trained(validation_clips=9, seed=1)})
    assert found == {"few-0": ["few-0"], "few-1": ["few-1"]}


def test_only_settings_that_differ_are_listed(settings):
    fixed, two, dancer = map(settings.run, ("fixed", "fixed-two", "dancer"))
    assert comparison.differences([fixed, two]) == {
        "train.lr": ["0.001", "0.1"],
        "train.kl_anneal": ["cyclical", "monotonic"],
    }
    assert comparison.differences([fixed, fixed]) == {}
    other = comparison.differences([fixed, dancer])
    assert other["model.kind"] == ["SVG (robot clips)", "pose CVAE (dance videos)"]
    assert other["data.clip_length"] == ["–", "8"]


def test_differences_are_told_in_words(settings):
    def rows(*chosen):
        found = comparison.difference_rows([settings.run(name) for name in chosen])
        return {name: values for name, *values in found}

    assert rows("fixed", "learned") == {"Prior": ["fixed, N(0, I)", "learned"]}
    assert rows("fixed-free-running", "fixed-none") == {
        "Beta over the training": ["cyclical", "constant"],
        "Teacher forcing at the start": ["0", "1"],
    }


def test_numbers_carry_their_protocol(pair, settings):
    row = comparison.score_texts(pair[0])
    result = runs.read_eval(pair[0].folder)
    assert row[:2] == [f"{result['psnr']:.2f}", f"{result['psnr_best']:.2f}"]
    assert row[4] == "finn: 32 test clips, frames 2…11, 100 samples, temperature 1"
    assert comparison.score_texts(settings.run("fixed"))[4] == "not evaluated yet"


@pytest.mark.parametrize(("prior", "alike"), [(None, True), ("learned", True), ("standard", False)])
def test_scores_with_z_from_another_prior_are_not_compared(tmp_path, prior, alike):
    """Than the run's own, which an eval.json without the key is taken to be of."""
    library = library_of(tmp_path, {"fixed": BASE, "learned": LEARNED})
    for name, said in (("fixed", "standard"), ("learned", prior)):
        scores = {"split": "test", "per_clip": {"clip": ["a", "b"], "psnr": [20.0, 21.0], "psnr_best": [21.0, 22.0]}}
        runs.write_json(tmp_path / name / runs.EVAL, scores | ({"prior_at_test": said} if said else {}))
    assert (comparison.paired(*map(library.run, ("fixed", "learned"))) is not None) == alike


@pytest.mark.parametrize(("copied", "alike"), [(17.0000001, True), (10.0, False)])
def test_clips_of_two_data_sets_that_share_their_names_are_not_compared(tmp_path, copied, alike):
    library = library_of(tmp_path, {"fixed": BASE, "learned": LEARNED})
    for name, copy in (("fixed", 17.0), ("learned", copied)):
        scores = {"split": "test", "per_clip": {"clip": ["a", "b"], "psnr": [20.0, 21.0], "psnr_best": [21.0, 22.0]}}
        runs.write_json(tmp_path / name / runs.EVAL, scores | {"copy_last_psnr": copy})
    assert (comparison.paired(*map(library.run, ("fixed", "learned"))) is not None) == alike


def test_a_prior_that_is_not_the_runs_own_is_part_of_the_protocol(tmp_path):
    library = library_of(tmp_path, {"learned": LEARNED})
    runs.write_json(tmp_path / "learned" / runs.EVAL, {"psnr": 20.0, "prior_at_test": "standard"})
    assert comparison.score_texts(library.run("learned"))[4].endswith(", z from the standard prior")


@pytest.mark.parametrize("degrees", [1, 2, 7, 30, 31, 60, 1000])
def test_intervals_of_few_clips_are_students(degrees):
    assert comparison.student(degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=1e-3)


def test_every_run_predicts_the_same_clip_as_it_does_alone(bundled, pair):
    clip = bundled.clips_for(pair[0])[0]
    together = comparison.predict_each(bundled, pair, clip, seed=3, temperature=1.0, samples=2)
    for run, prediction in zip(pair, together, strict=True):
        alone = predict_clip(Library([run.folder], [clip.root]), run, clip, seed=3, samples=2, n_future=10)
        assert prediction.settings == alone.settings
        assert same_picture(prediction.futures[0].samples, alone.futures[0].samples)


def test_the_longest_context_of_the_runs_is_given_to_all(tmp_path):
    """Also one that no visitor may ask for of the other run."""
    long = replace(BASE, data=replace(BASE.data, n_past=12, n_future=3))
    library = library_of(tmp_path, {"long": long, "short": BASE})
    chosen = [library.run(name) for name in ("short", "long")]
    settings = comparison.checked_each(chosen, library.clips_for(chosen[0])[0], 0, 1.0, 1)
    assert [(each.n_past, each.n_future) for each in settings] == [(12, 3)] * 2


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (None, "choose runs from the list"),
        ("push-free-learned-none", "choose runs from the list"),
        (["nowhere", "push-free-learned-none"], "There is no run “nowhere” here"),
        (["push-free-learned-none"] * 3, "two to 4 runs, not 1"),
        ([["push-free-learned-none"], PAIR[0]], "choose a run"),
    ],
)
def test_a_choice_that_the_page_does_not_offer_is_refused(bundled, chosen, said):
    with pytest.raises(BadInput, match=said):
        comparison.chosen_runs(bundled, chosen)


def test_two_families_are_not_compared(settings):
    with pytest.raises(BadInput, match="two families"):
        comparison.chosen_runs(settings, ["fixed", "dancer"])
    assert names(comparison.chosen_runs(settings, ["fixed", "learned", "fixed"])) == ["fixed", "learned"]


def test_every_group_can_be_drawn_as_the_tab_opens_with_it(bundled):
    dancers = [run for run in bundled.all_runs() if run.takes_poses]
    for chosen in [dancers, *(group.runs for group in comparison.groups(bundled))]:
        first = comparison.first_view(bundled, chosen[0])
        first |= {"clip": bundled.clip(first["clip"])}
        for samples in range(1, comparison.MOST_SAMPLES + 1):
            assert len(comparison.checked_each(chosen, **{**first, "samples": samples})) == len(chosen)


@pytest.mark.parametrize("samples", [0, 6, 1.5, "2", True])
def test_samples_are_checked(bundled, pair, samples):
    with pytest.raises(BadInput, match="number of samples"):
        comparison.checked_each(pair, bundled.clips_for(pair[0])[0], 0, 1.0, samples)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["push-fixed-cyclical", "push-learned-cyclical"], ["fixed", "learned"]),
        (["a-b", "a-b-c"], ["a-b", "c"]),  # one of them would have no name left
        (["a-c", "a-c-c"], ["a-c", "a-c-c"]),
        (["x", "y"], ["x", "y"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(names, short):
    assert comparison.short_names(names) == short


def test_first_runs_are_a_pair_that_differs_in_one_respect_or_any_of_one_family(settings, families, tmp_path):
    assert names(comparison.first_runs(settings)) == ["fixed", "learned"]
    unlike = library_of(tmp_path, {"one": BASE, "dancer": preset("pose-small"), "two": trained(lr=0.1, seed=2)})
    assert names(comparison.first_runs(unlike)) == ["one", "two"]
    assert comparison.first_runs(families) == []


def test_first_runs_have_clips(bundled):
    for data in ("dance", "bounce"):
        library = Library([ROOT / "assets" / "runs"], [ROOT / "assets" / "data" / data])
        assert library.clips_for(comparison.first_runs(library)[0])
    without = Library([ROOT / "assets" / "runs"], [])
    assert names(comparison.first_runs(without)) == names(comparison.first_runs(bundled))


def test_first_runs_can_continue_the_same_clips(bundled, tmp_path):
    """Bouncing shapes and robot clips are of one family of models."""
    for name in ("push-free-learned-none", "bounce-learned-monotonic"):
        shutil.copytree(bundled.run(name).folder, tmp_path / name)
    data = ROOT / "assets" / "data"
    assert comparison.first_runs(Library([tmp_path], [data / "robot_push", data / "bounce"])) == []
