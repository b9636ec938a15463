"""The address holds the view: what it says is checked like any input, and what it does not say is as it was."""

import json
import shutil
from dataclasses import replace

import gradio as gr
import pytest

from vidpred import runs
from vidpred.errors import BadInput
from vidpred.explorer.compare import tab as compare_tab
from vidpred.explorer.drive import tab as drive_tab
from vidpred.explorer.drive.what_if_tab import NAMED
from vidpred.explorer.latents import tab as latents_tab
from vidpred.explorer.page import build_demo
from vidpred.explorer.predict import tab as predict_tab
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.validate import MAX_SEED
from vidpred.explorer.training import tab as training_tab
from vidpred.explorer.ui.deep_links import first_views, open_view

CLIP = "traj_0_to_255/3"
HUGE = "9" * 5000
NUMBERS = ["", "nan", "inf", "-1", "1e400", HUGE, "0x10", "1,2", "seven", "[7]", "null"]
# What cannot be opened, and what is said about it.
BAD = [
    *[({"tab": tab}, f"There is no tab “{tab}” here") for tab in ("", "nowhere", "Predict", "predict,learn")],
    *[({"tab": "predict", "seed": seed}, "The seed must be") for seed in [*NUMBERS, "1.5", str(MAX_SEED + 1)]],
    *[({"temperature": t}, "The temperature must be") for t in [*NUMBERS, "2.1"]],
    *[({"samples": samples}, "The number of samples must be") for samples in [*NUMBERS, "0", "21", "2.5"]],
    *[({"frames": frames}, "The number of predicted frames must be") for frames in [*NUMBERS, "0", "15", "2.5"]],
    *[({"context": n_past}, "Context frames must be") for n_past in [*NUMBERS, "0", "11"]],
    ({"prior": "own"}, "There is no prior “own” here"),
    ({"sweep": "yes"}, "The sweep is either on or off"),
    ({"run": "push-unheard-of"}, "There is no run “push-unheard-of” here"),
    ({"run": "../tiny"}, "There is no run “../tiny” here"),
    ({"run": "tiny,other"}, "There is no run “tiny,other” here"),
    ({"run": ""}, "There is no run “” here"),
    ({"run": "two\nlines " + HUGE}, f"There is no run “two lines {HUGE[:30]}” here"),
    ({"clip": "traj_0_to_255/99"}, "There is no clip “traj_0_to_255/99” here"),
    ({"clip": "validate"}, "tiny continues robot clips: validate is none"),
    ({"run": "dance", "clip": CLIP}, f"dance continues dance videos: {CLIP} is none"),
    ({"run": "dance", "prior": "learned"}, "There is no prior “learned” here"),
    ({"run": "dance", "context": "2"}, "Context frames must be a whole number from 1 to 1"),
    ({"tab": "compare", "runs": "tiny"}, "two to 4 runs, not 1"),
    ({"tab": "compare", "runs": ""}, "two to 4 runs, not 0"),
    ({"tab": "compare", "runs": "tiny,none"}, "There is no run “none” here"),
    ({"tab": "compare", "runs": "tiny,dance"}, "two families"),
    ({"tab": "compare", "clip": "validate"}, "continues robot clips: validate is none"),
    ({"tab": "compare", "samples": "6"}, "The number of samples must be a whole number from 1 to 5"),
    ({"tab": "compare", "seed": "nan"}, "The seed must be"),
    ({"tab": "compare", "temperature": "3"}, "The temperature must be"),
    ({"tab": "training", "runs": "tiny,none"}, "There is no run “none” here"),
    ({"tab": "training", "curves": "KL,kl"}, "There is no curve “kl” here"),
    ({"tab": "drive", "run": "dance"}, "dance knows no actions, so it cannot be driven"),
    ({"tab": "drive", "run": "none"}, "There is no run “none” here"),
    ({"tab": "drive", "clip": "validate"}, "tiny continues robot clips: validate is none"),
    ({"tab": "drive", "seed": "1.5"}, "The seed must be"),
    ({"tab": "drive", "temperature": "-inf"}, "The temperature must be"),
    ({"tab": "latents", "run": "none"}, "There is no run “none” here"),
    ({"tab": "latents", "clip": "validate"}, "tiny continues robot clips: validate is none"),
    ({"tab": "latents", "seed": HUGE}, "The seed must be"),
]


@pytest.fixture(scope="module")
def library(tiny_run, tiny_data, dance_run, tiny_dance, tmp_path_factory):
    """Both families, and names that lists in an address must tell apart."""
    folder = tmp_path_factory.mktemp("twins")
    for name in ("twin", "beta=1,5%"):
        shutil.copytree(tiny_run, folder / name)
    return Library([tiny_run, folder, dance_run], [tiny_data, tiny_dance])


@pytest.fixture(scope="module")
def links(library):
    """What the tabs return for the address."""
    tabs = {"predict": predict_tab, "compare": compare_tab, "training": training_tab, "drive": drive_tab}
    tabs["latents"] = latents_tab
    with gr.Blocks() as demo:
        links = {name: tab.build(library, demo).link for name, tab in tabs.items()}
    return {**links, "learn": None}


@pytest.fixture(scope="module")
def view(library, links):
    """view(run="twin"): the tab that an address opens, and the updates of its widgets."""
    return lambda **query: open_view(library, links, query)


def values(updates):
    """What widgets are set to."""
    return {name: update["value"] if isinstance(update, dict) else update for name, update in updates.items()}


@pytest.mark.parametrize(("query", "said"), BAD, ids=lambda value: str(value)[:60])
def test_what_cannot_be_opened_is_one_line_that_names_it(view, query, said):
    with pytest.raises(BadInput) as error:
        view(**query)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 160


@pytest.mark.parametrize("query", [{}, {"__theme": "dark"}, {"utm_source": "x", "session_hash": "y"}, {"runs": "no"}])
def test_an_address_without_a_view_changes_nothing(view, query):
    assert view(**query) == (None, {})


@pytest.mark.parametrize("tab", ["predict", "compare", "training", "drive", "latents", "learn"])
def test_a_tab_alone_is_opened_as_it_is(view, tab):
    assert view(tab=tab, __theme="dark", curve="KL") == (tab, {})


def test_a_prediction_is_restored(view):
    query = {"run": "twin", "clip": CLIP, "seed": "7", "temperature": "1.5", "samples": "4", "frames": "6"}
    query |= {"context": "3", "prior": "standard", "sweep": "1"}
    tab, updates = view(**query)
    assert tab == "predict"
    assert values(updates) == {
        **{"run": "twin", "clip": CLIP, "seed": 7, "temperature": 1.5, "samples": 4, "n_future": 6, "n_past": 3},
        **{"prior": "standard", "sweep": True},
    }
    assert updates["n_future"]["maximum"] == 13


def test_what_is_left_out_is_as_the_run_opens(view):
    restored = values(view(run="dance")[1])
    names = ("clip", "samples", "n_past", "prior")
    assert [restored[name] for name in names] == ["validate", 1, 1, "standard"]
    assert restored["n_future"] == 11  # of 100 that a dance opens with, what the video has
    assert values(view(seed="7.0")[1])["run"] == "tiny"
    assert values(view(context="9")[1])["n_future"] == 4


def test_other_tabs_are_restored(view):
    tab, updates = view(tab="compare", runs="twin,beta=1%2C5%25", clip=CLIP, seed="3")
    assert (tab, values(updates)) == (
        "compare",
        {"runs": ["twin", "beta=1,5%"], "clip": CLIP, "seed": 3, "temperature": 1, "samples": 3},
    )
    tab, updates = view(tab="training", runs="", curves="KL,Teacher forcing")
    assert (tab, updates) == ("training", {"runs": [], "curves": ["KL", "Teacher forcing"]})
    tab, updates = view(tab="drive", run="twin", seed="3", temperature="0.5")
    own = {name: value for name, value in updates.items() if not name.startswith(NAMED)}
    assert (tab, own) == ("drive", {"run": "twin", "clip": "traj_0_to_255/1", "seed": 3, "temperature": 0.5})
    assert "value" not in updates.pop(f"{NAMED}other")  # of which nothing is taken
    what_if = {name.removeprefix(NAMED): value for name, value in values(updates).items() if name not in own}
    assert what_if == {
        **{"run": "tiny", "clip": "traj_0_to_255/1", "change": "opposite", "n_future": 10},
        **{"seed": 0, "shuffle_seed": 0, "temperature": 1},
    }
    tab, updates = view(tab="latents", run="dance", seed="2")
    assert (tab, values(updates)) == ("latents", {"run": "dance", "clip": "validate", "seed": 2})


def test_every_field_has_its_widget_and_is_restored(library, links):
    for link in filter(None, links.values()):
        assert link.first.keys() == link.widgets.keys() == link.open({}, library).keys()


def test_the_browser_knows_what_is_left_out(library, links):
    views = first_views(library, links)
    assert json.loads(json.dumps(views, allow_nan=False)) == views
    assert list(views) == list(links)
    assert views["learn"] == {"first": {}, "runs": {}, "clips": {}}
    names = ["run", "clip", "seed", "temperature", "samples", "frames", "context", "prior", "sweep"]
    assert list(views["predict"]["first"]) == names
    own = {"clip": "validate", "samples": 1, "frames": 100, "context": 1, "prior": "standard"}
    assert views["predict"]["runs"] == {"dance": own}
    assert views["compare"]["runs"] == views["latents"]["runs"] == {"dance": {"clip": "validate"}}
    assert views["drive"]["runs"] == views["training"]["runs"] == views["training"]["clips"] == {}
    assert (views["predict"]["clips"]["validate"], views["predict"]["clips"][CLIP]) == (12, 16)


# --- in the page ------------------------------------------------------------------------------------------------------


@pytest.fixture
def opening(library):
    """opening(run="twin"): what an address sets in the page; and the page."""
    demo = build_demo(library)
    loading = [fn for fn in demo.fns.values() if any(event == "load" for _, event in fn.targets)]
    assert {fn.name for fn in loading} == {"open_address", "design"}  # all else waits for the address
    (event,) = (fn for fn in loading if fn.name == "open_address")

    def open_(**query):
        answer = event.fn(gr.Request(query_params=query))
        assert answer.keys() <= set(event.outputs)
        return answer

    return open_, demo


def test_the_page_opens_its_address_first(opening):
    open_, _ = opening
    answer = open_(tab="predict", run="twin", seed="3")
    (tabs,) = (value for value in answer.values() if isinstance(value, gr.Tabs))
    assert tabs.selected == "predict"
    assert [value for widget, value in answer.items() if getattr(widget, "label", "") == "Seed"] == [3]


def test_a_link_that_cannot_be_opened_says_so_first(opening, monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Warning", said.append)
    open_, _ = opening
    answer = open_(run="<img src=x>")
    assert not any(isinstance(value, gr.Tabs) for value in answer.values())
    assert said == [
        "<strong>This link cannot be opened.</strong> There is no run “&lt;img src=x&gt;” here: "
        "please choose a run from the list."
    ]


def test_a_run_begun_later_is_in_every_menu_and_can_be_linked(tiny_run, dance_run, tiny_data, tiny_dance, tmp_path):
    for name in ("run-1", "run-2"):
        shutil.copytree(tiny_run, tmp_path / name)
    demo = build_demo(Library([tmp_path], [tiny_data, tiny_dance]))
    menus = {
        widget: [value for _, value in widget.choices]
        for widget in demo.blocks.values()
        if any("run-2" in str(value) for _, value in getattr(widget, "choices", None) or ())
    }
    assert {"Run", "Runs", "Start from"} <= {widget.label for widget in menus}
    shutil.copytree(tiny_run, tmp_path / "later")
    (event,) = (fn for fn in demo.fns.values() if fn.name == "open_address")
    answer = event.fn(gr.Request(query_params={"run": "later"}))
    for widget, before in menus.items():
        offered = [value[1] if isinstance(value, tuple) else value for value in answer[widget]["choices"]]
        assert {value.replace("run-2", "later") for value in before} <= set(offered), widget.label
    assert [answer[widget].get("value") for widget in menus].count("later") == 1  # Predict's
    shutil.copytree(dance_run, tmp_path / "dancer")
    answer = event.fn(gr.Request(query_params={}))
    (views,) = (value for widget, value in answer.items() if isinstance(widget, gr.JSON))
    assert views["predict"]["runs"]["dancer"]["frames"] == 100  # what an address of it leaves out


def test_tabs_open_without_runs_that_have_been_deleted(tiny_run, tiny_data, tmp_path):
    for name in ("run-1", "run-2", "run-3"):
        shutil.copytree(tiny_run, tmp_path / name)
    library = Library([tmp_path], [tiny_data])
    demo = build_demo(library)
    (event,) = (fn for fn in demo.fns.values() if fn.name == "open_address")
    shutil.rmtree(tmp_path / "run-1")
    answer = event.fn(gr.Request(query_params={"seed": "7"}))
    updates = [(widget.label, update) for widget, update in answer.items() if isinstance(update, dict)]
    opened = [(label, update["value"]) for label, update in updates if "value" in update]
    assert opened.count(("Run", "run-2")) == 4  # of Predict, Latents, Drive and What if
    assert ("Runs", ["run-2", "run-3"]) in opened  # Training's
    assert [value for widget, value in answer.items() if getattr(widget, "label", "") == "Seed"].count(7) == 1


def test_instead_of_a_deleted_run_drive_opens_with_one_that_can_be_driven(tiny_run, tiny_data, tmp_path):
    for name in ("a-free", "b-driven", "c-driven"):
        shutil.copytree(tiny_run, tmp_path / name)
    config = runs.read_config(tiny_run)
    model = replace(config.model, condition="none", condition_mean=(), condition_scale=())
    runs.write_config(tmp_path / "a-free", replace(config, model=model), {})
    demo = build_demo(Library([tmp_path], [tiny_data]))
    (event,) = (fn for fn in demo.fns.values() if fn.name == "open_address")
    shutil.rmtree(tmp_path / "b-driven")
    answer = event.fn(gr.Request(query_params={}))
    opened = [update["value"] for widget, update in answer.items() if widget.label == "Run" and "value" in update]
    assert opened == ["c-driven"] * 2  # of Drive and What if; Predict had opened with the first and still does


def test_instead_of_a_deleted_run_every_part_opens_with_what_its_new_run_can(
    tiny_run, dance_run, tiny_data, tiny_dance, tmp_path
):
    """Of more context and fewer frames than the deleted one's; of the other family."""
    for name in ("a-tiny", "b-short"):
        shutil.copytree(tiny_run, tmp_path / name)
    config = runs.read_config(tiny_run)
    runs.write_config(tmp_path / "b-short", replace(config, data=replace(config.data, n_past=8)), {})
    library = Library([tmp_path, dance_run], [tiny_data, tiny_dance])
    demo = build_demo(library)
    (event,) = (fn for fn in demo.fns.values() if fn.name == "open_address")

    def opened(**query):
        answer = event.fn(gr.Request(query_params=query))
        found = [update for widget, update in answer.items() if getattr(widget, "label", "") == "Run"]
        return [update["value"] for update in found if "value" in update]

    shutil.rmtree(tmp_path / "a-tiny")
    assert opened().count("b-short") == opened(tab="drive", temperature="0.5").count("b-short") == 4
    shutil.rmtree(tmp_path / "b-short")
    assert opened().count(dance_run.name) == 3  # of Predict, Latents and What if: nothing is left to drive
