"""Which weights are kept."""

import pytest

from vidpred.training.state import Progress
from vidpred.training.validation import is_better

PSNR, LOSS = (20.0, 22.0, 21.0, 23.0, float("nan")), (0.4, 0.5, 0.3, 0.2, float("nan"))


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("psnr", [True, True, False, True, False]),
        ("loss", [True, False, True, True, False]),
        ("both", [True, False, False, True, False]),
        ("last", [True, True, True, True, True]),
    ],
)
def test_rules(rule, kept):
    progress = Progress()
    rows = [{"val_psnr": psnr, "val_loss": loss} for psnr, loss in zip(PSNR, LOSS)]
    assert [is_better(rule, progress, row) for row in rows] == kept
    assert (progress.best_psnr, progress.best_loss) == (23.0, 0.2)


def test_scores_that_are_not_finite_do_not_stay_the_best():
    """A first validation of equal frames has an infinite PSNR, which no JSON holds and nothing would beat."""
    progress = Progress()
    assert is_better("psnr", progress, {"val_psnr": float("inf"), "val_loss": 0.0})
    assert progress.best_psnr is None
    rows = [{"val_psnr": psnr, "val_loss": 1.0} for psnr in (20.0, float("inf"), 18.0, 21.0)]
    assert [is_better("psnr", progress, row) for row in rows] == [True, False, False, True]
