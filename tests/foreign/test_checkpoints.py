"""Checkpoints of other programs become runs that predict what the published modules predict, in either file format."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.commands import fails, succeeds
from tests.foreign.published import VAE, saved_by_a_script, svg_modules, svg_options, svg_samples
from vidpred import runs
from vidpred.checkpoint import load_model, load_trained
from vidpred.clip import Clip
from vidpred.config import TrainConfig
from vidpred.data.batches import open_split
from vidpred.errors import BadInput
from vidpred.explorer.runs.library import Library
from vidpred.explorer.runs.summary import describe_run
from vidpred.foreign import checkpoints
from vidpred.foreign.checkpoints import import_checkpoint
from vidpred.lock import held
from vidpred.rollout import predict, rollout_noise
from vidpred.training.loop import train

B, N_PAST, STEPS = 2, 3, 6
IDS = ["a", "b"]
both_formats = pytest.mark.parametrize("new_format", [True, False], ids=["zip", "stream"])


def frames(seed=0):
    source = torch.Generator().manual_seed(seed)
    return torch.rand(B, N_PAST, 3, 64, 64, generator=source), torch.randn(B, STEPS, 7, generator=source)


def noise(model, steps):
    return torch.stack([rollout_noise(model, 0, 0, name, steps) for name in IDS])


def assert_predicts_alike(run, nets, learned, conditioned, **options):
    """`predict`, which tables and app use, and the loop of the scripts: within 1e-5 of a pixel's range."""
    model, (x, conditions) = load_model(run), frames()
    known = conditions if conditioned else None
    ours = predict(model, Clip(x, known, N_PAST), IDS, n_future=STEPS - N_PAST + 1, **options)[0]
    theirs = svg_samples(nets, x, known, noise(model, STEPS), N_PAST, learned)
    assert theirs.std() > 0.02  # there is something to compare
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@both_formats
@pytest.mark.parametrize(
    "kind",
    [
        {"learned": True},  # the original SVG-LP
        {"learned": False},  # SVG-FP
        {"learned": True, "norm": True, "cond": 7},  # the report's, whose z at test is N(0, I)
        {"learned": False, "norm": True, "cond": 7},
    ],
    ids=["original learned", "original fixed", "report learned", "report fixed"],
)
def test_predicts_what_the_published_modules_predict(kind, new_format, tmp_path):
    nets, report = svg_modules(**kind), "norm" in kind
    file = saved_by_a_script({**nets, "opt": svg_options()}, tmp_path / "model.pth", new_format)
    config = import_checkpoint(file, tmp_path / "run")
    assert runs.read_config(tmp_path / "run") == config
    model, data, trained = config.model, config.data, config.train
    assert (model.width, model.g_dim, model.z_dim, model.rnn_size, model.predictor_layers) == (2, 6, 3, 8, 2)
    assert (model.predictor_norm, model.condition) == (("batch", "actions") if report else ("none", "none"))
    assert model.skip_frame == "published" and (data.n_past, data.n_future) == (2, 4)
    assert (trained.lr, trained.epochs, trained.batch_size, trained.beta_max) == (0.002, 300, 12, 1e-4)
    assert_predicts_alike(tmp_path / "run", nets, kind["learned"] and not report, report)


@both_formats
@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_predicts_what_the_published_dancer_predicts(activation, new_format, tmp_path):
    torch.manual_seed(0)
    vae = VAE(activation=nn.Sigmoid() if activation == "sigmoid" else None)
    for _ in range(10):
        vae.label_transformation(torch.rand(2, 3, 32, 64))
    vae.eval()
    state = vae.state_dict()
    saved = {"state_dict": state, "optimizer": state, "lr": 0.0003, "tfr": 0.4, "last_epoch": 27}
    torch.save(saved, tmp_path / "epoch.ckpt", _use_new_zipfile_serialization=new_format)
    config = import_checkpoint(tmp_path / "epoch.ckpt", tmp_path / "run", output_activation=activation)
    assert config.model.leaky_relu == "published"
    assert (config.train.lr, config.train.tfr, config.train.epochs) == (0.0003, 0.4, 28)
    model, source = load_model(tmp_path / "run"), torch.Generator().manual_seed(0)
    frame, poses = torch.rand(B, 1, 3, 32, 64, generator=source), torch.rand(B, 4, 3, 32, 64, generator=source)
    ours = predict(model, Clip(frame, poses, 1), IDS, n_future=3)[0]
    theirs = vae.samples(frame[:, 0], poses, noise(model, 3))
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def nets():
    return svg_modules()


@pytest.fixture(scope="module")
def imported(nets, tmp_path_factory):
    """The original SVG with a learned prior, by the command, and what it said."""
    folder = tmp_path_factory.mktemp("imported")
    file = saved_by_a_script({**nets, "opt": svg_options()}, folder / "model.pth", True)
    return folder / "svg-lp", succeeds("train.prepare", "import-checkpoint", file, folder / "svg-lp")


def test_the_command_says_what_it_found(imported):
    run, said = imported
    for words in ("kind svg", "learned_prior True", "width 2", "predictor_norm none", "skip_frame published"):
        assert words in said
    assert sorted(path.name for path in run.iterdir()) == [runs.CONFIG, runs.WEIGHTS]
    assert [path.name for path in run.parent.iterdir() if path.name.startswith(".")] == []


def test_the_app_opens_it(imported, tiny_data):
    library = Library([imported[0]], [tiny_data])
    run = library.run("svg-lp")
    assert "Learned prior" in describe_run(run)
    assert not run.lacks(library.clip("traj_0_to_255/1"))
    with library.model(run) as model:
        assert model.config == run.config.model


def test_training_goes_on_from_it(imported, tiny_data, tmp_path):
    """Fine-tuning takes the weights, moves them and validates; the gradients are those of test_parity."""
    start = runs.read_config(imported[0])
    settings = {"epochs": 1, "iterations_per_epoch": 1, "batch_size": 2, "validation_clips": 2, "gif_every": 0}
    config = replace(start, train=TrainConfig(**settings, kl_anneal="none", init=str(imported[0])))
    splits = (open_split(tiny_data, split) for split in ("train", "validate"))
    assert train(tmp_path / "run", config, *splits, cpu=True, show_progress=False)
    before, after = (load_trained(run).state_dict() for run in (imported[0], tmp_path / "run"))
    assert before.keys() == after.keys()
    for name in ("frame_predictor.out.weight", "prior.lstm.weight_hh_l0", "encoder.head.weight"):
        moved = (after[name] - before[name]).abs().max()
        assert 0 < moved < 0.01, name


def test_quirks_are_options(nets, tmp_path):
    file = saved_by_a_script(nets, tmp_path / "model.pth", True)
    config = import_checkpoint(file, tmp_path / "a", skip_frame="last_context", prior_at_test="standard")
    assert (config.model.skip_frame, config.model.prior_at_test) == ("last_context", "standard")
    with pytest.raises(BadInput, match="--leaky-relu is a setting of another family than SVG"):
        import_checkpoint(file, tmp_path / "b", leaky_relu="leaky")
    with pytest.raises(BadInput, match="is not empty"):
        import_checkpoint(file, tmp_path / "a")
    assert not (tmp_path / "b").exists()


def test_what_comes_into_the_folder_meanwhile_stays(nets, tmp_path, monkeypatch):
    """And no second import goes there. The folder may be the one that a command is called in."""
    file, out = saved_by_a_script(nets, tmp_path / "model.pth", True), tmp_path / "out"

    def late(run):
        with pytest.raises(BadInput, match="is writing it"), held(out):
            pass
        (out / "notes").write_text("hours of work")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "check_run", late)
        with pytest.raises(BadInput, match="out is not empty"):
            import_checkpoint(file, out)
    assert [path.name for path in out.iterdir()] == ["notes"]
    (out / "notes").unlink()
    monkeypatch.chdir(out)
    import_checkpoint(file, Path("."))
    assert {path.name for path in out.iterdir()} == {runs.CONFIG, runs.WEIGHTS}


@both_formats
def test_state_dictionaries_and_wrapped_modules_are_read(new_format, nets, tmp_path):
    """Of the parts, in half precision, channels last, under DataParallel: the same run."""
    expected = load_trained_from(nets, tmp_path / "plain", new_format)
    half = {name: {k: v.half() for k, v in net.state_dict().items()} for name, net in nets.items()}
    for name, value in load_trained_from(half, tmp_path / "half", new_format).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-3)
    wrapped = {**nets, "encoder": nn.DataParallel(nets["encoder"]).to(memory_format=torch.channels_last)}
    assert all(map(torch.equal, load_trained_from(wrapped, tmp_path / "wrapped", new_format).values(),
                   expected.values()))  # fmt: skip


def load_trained_from(values, folder, new_format):
    folder.mkdir()
    import_checkpoint(saved_by_a_script(values, folder / "model.pth", new_format), folder / "run")
    return load_trained(folder / "run").state_dict()


def changed(part, change):
    """A checkpoint one of whose modules is of another kind."""

    def make():
        nets = svg_modules()
        change(nets[part])
        return nets

    return make


def put(place, module):
    """Another module in the place of one."""
    path, _, last = place.rpartition(".")
    return lambda net: setattr(net.get_submodule(path), last, module)


UNLIKE = [
    (lambda: [1, 2], "it holds no dictionary; expected encoder"),
    (lambda: {"epoch": 3, "weights": 4}, "it holds epoch, weights; expected encoder"),
    (changed("encoder", put("c1.0.main.0", nn.Conv2d(1, 2, 3, 1, 1))), "encoder takes frames of 1 channel;"),
    (changed("encoder", put("c3.1.main.2", nn.ReLU())), "encoder.c3.1.main.2 is ReLU, the published network has"),
    (changed("decoder", put("upc1.2", nn.LeakyReLU(0.1))), "upc1.2 is LeakyReLU(0.1), the published network has Leaky"),
    (changed("decoder", put("upc5.2", nn.Tanh())), "decoder.upc5.2 is Tanh, the published network has Sigmoid"),
    (changed("encoder", put("c2.0.main.0", nn.Conv2d(2, 4, 3, 2, 1))), "main.0 has stride (2, 2), the published"),
    (changed("encoder", put("c2.0.main.1", nn.BatchNorm2d(4, eps=1e-3))), "c2.0.main.1 has eps 0.001, the published"),
    (changed("encoder", put("c4.1.main.0", nn.Conv2d(16, 16, 5, 1, 2))), "main.0.weight is (16, 16, 5, 5), the pub"),
    (changed("encoder", put("c4.1", nn.Sequential())), "encoder.c5.0.weight is (6, 16, 4, 4), the published"),
    (changed("decoder", put("upc5.2", nn.Conv2d(3, 3, 1))), "decoder has 22 layers with weights, the publi"),
    (changed("frame_predictor", put("embed", nn.Linear(16, 8))), "takes 16 numbers, h and z are 6 + 3: conditions are"),
    (changed("posterior", put("lstm", nn.ModuleList(nn.LSTMCell(8, 8) for _ in range(2)))), "posterior.lstm.0 has"),
    (lambda: svg_modules(cond=5), "a shift from 7 numbers each"),
    (lambda: {**svg_modules(), "decoder": 3}, "decoder is neither a module nor its state dictionary"),
    (changed("encoder", lambda net: net.c1[0].main[0].weight.data.fill_(torch.nan)), "values that are not finite"),
    (lambda: {"state_dict": {"a.weight": torch.zeros(3)}}, "state_dict holds 1 modules, the published network has 5"),
    (lambda: {"state_dict": {k: v for k, v in VAE().state_dict().items() if "tor.7" not in k}}, "are of one kind"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), UNLIKE, ids=range(len(UNLIKE)))
def test_what_is_not_the_published_network_is_named(make, said, tmp_path):
    file = saved_by_a_script(make(), tmp_path / "model.pth", True)
    with pytest.raises(BadInput) as error:
        import_checkpoint(file, tmp_path / "run")
    line = str(error.value)
    assert said in line and str(file) in line and "\n" not in line
    assert not (tmp_path / "run").exists()


def test_which_linear_layer_is_which_is_never_guessed(tmp_path):
    nets = svg_modules(norm=True, cond=7)
    nets["decoder"] = {
        k.replace("scale", "a").replace("shift", "b"): v for k, v in nets["decoder"].state_dict().items()
    }
    with pytest.raises(BadInput, match="which is the scale and which the shift"):
        import_checkpoint(saved_by_a_script(nets, tmp_path / "model.pth", True), tmp_path / "run")
    nets = svg_modules()
    nets["prior"] = {k.replace("mu", "a").replace("logvar", "b"): v for k, v in nets["prior"].state_dict().items()}
    with pytest.raises(BadInput, match="which gives the mean and which the log-variance"):
        import_checkpoint(saved_by_a_script(nets, tmp_path / "model.pth", True), tmp_path / "run")


def test_a_first_try_is_told_of_the_command(tmp_path, tiny_data):
    """A checkpoint where a run belongs: evaluation, the app's options, fine-tuning, a folder of checkpoints."""
    file = tmp_path / "logs" / "model.pth"
    file.parent.mkdir()
    file.write_bytes(b"PK")
    said = f"python -m train.prepare import-checkpoint {file} OUT"
    assert said in fails("train.evaluate", file, "--data", tiny_data)
    assert said in fails("train.svg", "--data", tiny_data, "--out", tmp_path / "run", "--preset", "debug",
                         "--train.init", file)  # fmt: skip
    for place in (file, file.parent):
        with pytest.raises(BadInput) as error:
            Library([place], [tiny_data])
        assert said in str(error.value)
    (tmp_path / runs.WEIGHTS).write_bytes(b"")
    with pytest.raises(BadInput, match="a file of a run; give its folder"):
        runs.read_config(tmp_path / runs.WEIGHTS)
