"""A run in words."""

import json
import shutil
from dataclasses import replace

from vidpred import runs
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.summary import COLLAPSE_NOTE, describe_run, title

EVALUATED = {
    **{"psnr": 25.123, "ssim": 0.9, "copy_last_psnr": 17.4, "clips": 8, "samples": 3, "temperature": 1.0},
    **{"split": "test", "protocol": "finn", "n_past": 2, "n_future": 10, "kld_per_step": 2.0},
}


def test_a_title_tells_alike_runs_apart(bundled):
    assert title(bundled.run("dance-cyclical")) == "Dancer, poses known, cyclical beta, free running"
    assert title(bundled.run("push-free-learned-cyclical")) == "Learned prior, no actions, cyclical beta"
    assert title(bundled.run("push-free-learned-collapsed")) == "Learned prior, no actions, cyclical beta to 1"


def test_a_run_in_words(families, tiny_run, tiny_data, tmp_path):
    assert "**Dancer, poses known, cyclical beta, partly teacher forced**" in describe_run(families.run("dance"))
    folder = shutil.copytree(tiny_run, tmp_path / "copy")
    library = Library([folder], [tiny_data])

    def words(**changes):
        if changes:
            (folder / runs.EVAL).write_text(json.dumps(EVALUATED | changes))
        return describe_run(library.run("copy"))

    assert "Not evaluated yet" in words()
    evaluated = words(clips=8)
    assert "PSNR **25.12 dB**" in evaluated
    assert "finn: 8 test clips, frames 2…11, mean of 3 samples, temperature 1" in evaluated
    assert COLLAPSE_NOTE not in evaluated
    assert COLLAPSE_NOTE in words(kld_per_step=0.02)
    unknown = words(psnr="high", kld_per_step=None)
    assert "PSNR **– dB**" in unknown
    assert COLLAPSE_NOTE not in unknown
    (folder / runs.EVAL).write_text("damaged")
    assert "Not evaluated yet" in words()
    assert "4 epochs" in words()
    runs.write_metrics(folder, runs.read_metrics(folder)[:1])
    assert words().startswith("**Learned prior, actions known, cyclical beta**") and "in 1 epoch\n" in words()
    runs.write_metrics(folder, [])
    assert "how it was trained is not known" in words() and "beta" not in words()
    (folder / runs.WEIGHTS).unlink()
    assert "in its first epoch" in words() and "beta" in words()


def test_what_is_minimised_beside_the_mse_and_where_it_began_is_said(tiny_run, tiny_data, tmp_path):
    folder = shutil.copytree(tiny_run, tmp_path / "copy")
    library, config = Library([folder], [tiny_data]), runs.read_config(folder)

    def words(**changes):
        runs.write_config(folder, replace(config, train=replace(config.train, **changes)), {})
        return describe_run(library.run("copy"))

    assert "beside the MSE" not in words() and "gone on" not in words()
    begun = words(gradient_weight=2.0, init="/somewhere/before")
    assert " · beside the MSE 2 x edges' error · gone on from before · 12 iterations" in begun
    assert "0.15 x absolute error and 2 x edges' error" in words(gradient_weight=2.0, l1_weight=0.15)


def test_forcing_in_words(tiny_run, dance_run, tiny_data, tmp_path):
    folder = shutil.copytree(tiny_run, tmp_path / "copy")
    dancer = shutil.copytree(dance_run, tmp_path / "dancer")
    library = Library([folder, dancer], [tiny_data])

    def words(run=folder, **changes):
        config = runs.read_config(run)
        runs.write_config(run, replace(config, train=replace(config.train, **changes)), {})
        words = describe_run(library.run(run.name))
        runs.write_config(run, config, {})
        return words

    assert " · 60 % teacher forced at first · " in words()
    assert " · teacher forced at first · " in words(tfr=1.0)
    assert "teacher forced at first, and again after a plateau" in words(plateau_patience=2)
    assert "trained free running, teacher forced after a plateau" in words(tfr=0.0, plateau_patience=2)
    assert " · 60 % teacher forced throughout · " in words(tfr_decay_step=0.0)
    assert " · teacher forced throughout · " in words(tfr=1.0, tfr_decay_step=0.0)
    assert "cyclical beta, teacher forced** · " in words(dancer, tfr=1.0)
    assert "free running** · beta up to 1e-05 · 8 iterations" in words(dancer, tfr=0.0, plateau_patience=0)
    again = words(dancer, tfr=0.0, plateau_patience=2)
    assert "free running** · " in again and " · trained free running, teacher forced after a plateau" in again


def test_a_run_without_weights_still_has_its_curves(tiny_run, tiny_data, tmp_path):
    folder = shutil.copytree(tiny_run, tmp_path / "copy")
    (folder / runs.WEIGHTS).unlink()
    assert "4 epochs" in describe_run(Library([folder], [tiny_data]).run("copy"))


def test_an_epoch_without_a_step_is_counted_all_the_same(tiny_run, tiny_data, tmp_path):
    folder = shutil.copytree(tiny_run, tmp_path / "copy")
    library, rows = Library([folder], [tiny_data]), runs.read_metrics(folder)
    assert "12 iterations in 4 epochs" in describe_run(library.run("copy"))
    rows[-1]["step"] = None
    runs.write_metrics(folder, rows)
    assert describe_run(library.run("copy")).splitlines()[0].endswith(" · 4 epochs")
