"""What moves the weights."""

import pytest
import torch

from tests.training.trainings import after, assert_equal_tensors, run_training, state_tensors
from vidpred.config import PoseCVAEConfig
from vidpred.models import PoseCVAE
from vidpred.training.optimizer import interpolate_weights


def moments(run):
    """What the optimizer keeps of every weight."""
    return [v for k, v in state_tensors(run).items() if k.startswith("optimizer.") and v.dim() > 1]


def test_adam_and_adamw_keep_their_moments(tiny_run, dance_run):
    """That they resume is asserted where these runs are."""
    for run in (tiny_run, dance_run):
        assert moments(run) and all(v.abs().max() > 0 for v in moments(run))


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
def test_the_others_learn_and_resume(short_pose, dance, tmp_path, optimizer):
    settings = {"optimizer": optimizer, "epochs": 2, "lr_milestones": (), "kl_anneal": "none"}
    assert run_training(tmp_path / "whole", short_pose, dance, **settings)
    assert not run_training(tmp_path / "parts", short_pose, dance, stop=after(3), **settings)
    assert run_training(tmp_path / "parts", short_pose, dance, **settings)
    assert_equal_tensors(state_tensors(tmp_path / "parts"), state_tensors(tmp_path / "whole"))
    assert moments(tmp_path / "whole") and all(v.abs().max() > 0 for v in moments(tmp_path / "whole"))


def test_weights_are_interpolated_by_the_formula():
    torch.manual_seed(0)
    model, initial = (PoseCVAE(PoseCVAEConfig(8, 4, 4, 8)) for _ in range(2))
    with torch.no_grad():
        for w, w_init in zip(model.parameters(), initial.parameters()):
            w.copy_(w_init + 0.5 * w_init.norm() / len(w_init) * torch.randn_like(w))
        model.fusion[5].weight.copy_(-initial.fusion[5].weight)  # points away
        model.fusion[5].bias.zero_()  # points nowhere
    before = {name: w.detach().double().clone() for name, w in model.named_parameters()}
    interpolate_weights(model, initial.state_dict())
    moved = 0
    for name, w in model.named_parameters():
        old, w_init = before[name], initial.get_parameter(name).detach().double()
        cos = torch.nn.functional.cosine_similarity(old.flatten(), w_init.flatten(), dim=0, eps=1e-12)
        alpha = 2 * cos / (1 + cos) if cos > 0 else torch.tensor(1.0)
        torch.testing.assert_close(w.double(), alpha * old + (1 - alpha) * w_init, rtol=1e-5, atol=1e-7, msg=name)
        moved += bool(0 < cos < 1)
    assert moved > 20
