"""The tab of findings: what is drawn of a claim, the curves behind it, and its doors."""

import json
import re

import gradio as gr
import pytest

from train.findings.claims import CLAIMS
from train.findings.results import FILE, write_results
from train.findings.verdicts import findings
from vidpred.explorer.findings import stored, tab
from vidpred.explorer.findings.forest import claim_html, number, summary_html
from vidpred.explorer.runs.library import names


def setting(name, verdict, low=None, high=None):
    mean = None if low is None else (low + high) / 2
    numbers = {"mean": mean, "low": low, "high": high, "pairs": 0}
    return {"setting": name, "verdict": verdict, **numbers, "runs": [["a", "b"]]}


def claim(settings, **changes):
    return {
        **{"id": "x", "says": "A < B.", "source": "report", "verdict": settings[0]["verdict"], "statistic": "PSNR"},
        **{"unit": "dB", "test": "more", "least": 0.0, "margin": 0.1, "settings": settings, **changes},
    }


def places(html, kind):
    """left (and right) of the marks of a kind, in percent."""
    return [tuple(map(float, re.findall(r"(?:left|right):([\d.]+)%", m))) for m in re.findall(rf'"{kind}[^>]*>', html)]


def test_intervals_stand_where_their_numbers_say():
    """The axis reaches from the lowest to the highest end, with room."""
    html = claim_html(claim([setting("one", "holds", 1.0, 3.0), setting("two", "does not hold", -1.0, 0.0)]))
    (zero,), (other,) = places(html, "zero")
    assert zero == other
    one, two = places(html, "interval")
    assert one[0] - zero == pytest.approx(zero - two[0], abs=0.02)  # 1 to the right and 1 to the left
    assert 100 - one[1] - one[0] == pytest.approx(2 * (zero - two[0]), abs=0.04)
    assert places(html, "mean")[0][0] == pytest.approx(one[0] + (zero - two[0]), abs=0.02)
    assert "A &lt; B." in html and "+2.00</b> (+1.00 … +3.00)" in html
    assert html.count('verdict holds"') == 2 and html.count('verdict fails"') == 1


def test_the_line_stands_at_what_the_claim_speaks_of():
    far = claim_html(claim([setting("one", "holds", 2.0, 3.0)], least=1.0))
    (place,) = places(far, "zero")
    assert place < places(far, "interval")[0]
    little = claim_html(claim([setting("one", "holds", -0.2, 0.2)], test="little", margin=0.5))
    assert len(places(little, "limit")) == 2
    none = claim_html(claim([setting("one", "cannot tell")]))
    assert "0 of the 2 pairs of runs" in none and not places(none, "interval")
    assert none.count("cannot tell") == 1  # of the claim: the setting says already why


def test_one_wide_interval_does_not_flatten_the_others():
    """Its mean stays on the axis; its ends are cut, and marked where they are."""
    settings = [
        setting("one", "holds", 0.9, 1.1),
        setting("two", "holds", 0.5, 0.7),
        setting("few", "holds", -9.0, 9.4),
    ]
    html = claim_html(claim(settings))
    one, two, few = places(html, "interval")
    assert 100 - one[0] - one[1] == pytest.approx(100 - two[0] - two[1], abs=0.02) and 100 - one[0] - one[1] > 10
    assert few == (0.0, 0.0) and "interval holds from to" in html and html.count(" from to") == 1
    assert 0 < places(html, "mean")[2][0] < 100


def test_every_claim_stands_in_the_summary_under_its_verdict():
    claims = [claim([setting("one", "holds", 1.0, 3.0)]), claim([setting("one", "cannot tell")], says="C.", id="y")]
    html = summary_html(claims)
    holds, unknown = html.split("<div><p>")[1:]
    assert 'holds">holds</b> 1 of 2' in holds and "'claim-x'" in holds and "A &lt; B.</a> <small>+2.00 dB" in holds
    assert "'claim-y'" in unknown and "C.</a> <small>0 of the 2 pairs of runs" in unknown
    assert "does not hold" not in html


def test_styles_of_the_page_name_no_parent():
    """`&` stands for nothing in them: the dark colours would never be taken."""
    assert "&" not in tab.CSS


@pytest.mark.parametrize(("value", "said"), [(0.0, "+0.00"), (-0.456, "-0.46"), (12.34, "+12.3")])
def test_numbers_are_short(value, said):
    assert number(value) == said


@pytest.fixture
def few(tmp_path, monkeypatch):
    """Findings of two kinds of runs, two seeds of each."""
    yield from _few(tmp_path, monkeypatch, seeds=(0, 1))


@pytest.fixture
def few_of_one_seed(tmp_path, monkeypatch):
    """The same with one seed of each."""
    yield from _few(tmp_path, monkeypatch, seeds=(0,))


def _few(tmp_path, monkeypatch, seeds):
    from tests.train.test_findings import result

    def of(kind, seed):
        curves = {"epoch": [0, 1], "val_psnr": [20.0 + seed, 22.0 + seed], "kld": [3.0, 4.0], "beta": [0.0, 1.0]}
        return result(f"{kind}-s{seed}", **curves)

    results = [of(f"robot-fixed-{kind}-beta1", seed) for kind in ("cyclical", "monotonic") for seed in seeds]
    results = {each.name: each for each in results}
    write_results(tmp_path / FILE, results)
    found = json.loads(json.dumps(findings(results)))
    (tmp_path / "findings.json").write_text(json.dumps(found))
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    stored._seeds.cache_clear()
    yield found
    stored._seeds.cache_clear()


def test_curves_behind_a_claim_are_means_over_seeds(library, few):
    handlers = tab.FindingsHandlers(library, few["claims"])
    first = few["claims"][0]
    settings = handlers.settings(first["says"])
    assert settings["value"] == "actions known, beta to 1" and len(settings["choices"]) == len(first["settings"])
    value = handlers.draw(first["says"], settings["value"])
    psnr = value["panels"][0]
    assert [line["y"] for line in psnr["lines"] if line["style"] == "solid"] == [[20.5, 22.5]] * 2
    assert [line["y"] for line in psnr["lines"] if line["style"] == "faint"][:2] == [[20, 22], [21, 23]]
    assert [entry["name"] for entry in value["legend"]] == ["robot-fixed-cyclical-beta1", "robot-fixed-monotonic-beta1"]
    assert handlers.draw(first["says"], "dance, beta to 1")["message"].startswith("No run of this comparison")
    for fields in (("nonsense", "dance, beta to 1"), (first["says"], "nonsense"), (None, None)):
        with pytest.raises(gr.Error):
            handlers.draw(*fields)


def test_one_seed_is_not_called_none(few_of_one_seed):
    """An interval needs two: what is there and what is missing is said."""
    first, *_ = few_of_one_seed["claims"]
    assert "1 of the 2 pairs of runs" in claim_html(first) and "1 of the 2 pairs of runs" in summary_html([first])
    (jump,) = (claim for claim in few_of_one_seed["claims"] if claim["id"] == "kl-jump")
    assert "0 of the 2 runs" in claim_html(jump)
    one, *others = tab.results_table(few_of_one_seed["tables"]["robot"]).splitlines()[2:]
    assert "1 of the 2 runs" in one and "0 of the 2 runs" in others[-1]


def test_a_page_without_findings_says_how_to_make_them(library, monkeypatch, tmp_path):
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    assert stored.read_findings() is None
    with gr.Blocks() as demo, gr.Tabs() as tabs, gr.Tab():
        tab.build(library, tabs, {})
    assert "train.findings" in json.dumps(demo.get_config_file())


def test_doors_open_runs_that_are_bundled(bundled):
    known = set(names(bundled.all_runs()))
    assert set(tab.DOORS) <= {claim.id for claim in CLAIMS}
    for _, opens, sets in tab.DOORS.values():
        assert opens in ("compare", "training") and set(sets["runs"]) <= known


def test_an_epoch_without_a_step_is_a_gap_in_the_mean(monkeypatch):
    seeds = [{"epoch": [0, 1], "val_psnr": [20.0, 21.0], "kld": [kld, 2.0], "beta": [0.0, 1.0]} for kld in (1.0, None)]
    monkeypatch.setattr(stored, "_seeds", lambda: {"a": seeds})
    kl = stored.curves_behind({"runs": [["a", None]]}, 1)["panels"][1]
    assert [line["y"] for line in kl["lines"]] == [[1.0, 2.0], [None, 2.0], [None, 2.0]]
