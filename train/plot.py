"""Figures of runs: `python -m train.plot RUN... --out PNG [--figure NAME]`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from train.cli import run_command
from vidpred.errors import BadInput


def plot(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN...")],
    out: Path,
    figure: Literal["curves", "losses", "forcing", "dashboard", "psnr", "kl"] = "curves",
) -> None:
    """Draw one or several runs.

    Args:
        runs: run folders
        out: PNG to write
        figure: curves: KL, beta, teacher forcing, PSNR, loss and learning rate over training; losses: a panel per run;
            forcing: the loss with each epoch's teacher-forcing status as a coloured point; dashboard: the four panels
            of the dance reports (one run); psnr: PSNR of each predicted frame with its mean, and with the last given
            frame copied; kl: KL per step and dimension or channel of z (one run)
    """
    if not runs:
        raise BadInput("missing: RUN... (see python -m train.plot --help)")
    if out.suffix.lower() != ".png":
        raise BadInput(f"--out {out}: only PNG is written; name it {out.stem}.png")
    from vidpred import plots, render
    from vidpred.runs import ALIKE, list_runs, read_config, read_metrics

    named = list_runs(list(runs))
    if figure in ("dashboard", "kl") and len(named) > 1:
        raise BadInput(f"--figure {figure} draws one run")
    if figure in ("curves", "losses", "forcing", "dashboard"):
        metrics = {name: read_metrics(run) for name, run in named.items()}
        for name, rows in metrics.items():
            if not rows:
                raise BadInput(f"{named[name]}: no epoch has ended yet")
        if figure == "dashboard":
            drawn = plots.dashboard(*next(iter(metrics.items())))
        else:
            draw = {
                "curves": plots.training_curves,
                "losses": plots.losses_side_by_side,
                "forcing": plots.loss_by_forcing,
            }
            drawn = draw[figure](metrics)
    else:
        evaluated = {name: _evaluated(run) for name, run in named.items()}
        first = next(iter(evaluated.values()))
        if figure == "psnr":
            ways = {
                (*(result.get(k) for k in (*ALIKE, "clips")), _other_prior(named[name], result), *_copied(result))
                for name, result in evaluated.items()
            }
            if len(ways) > 1:
                raise BadInput("these runs were evaluated on other clips or in other ways: evaluate them alike first")
            curves = {name: result["per_frame"]["psnr"] for name, result in evaluated.items()}
            drawn = plots.psnr_per_frame(
                {**curves, plots.COPY_LAST: first["per_frame"]["copy_last_psnr"]}, first["n_past"]
            )
        else:
            unit = "channel" if read_config(next(iter(named.values()))).model.z_is_map else "dimension"
            drawn = plots.kl_heat_map(first["kld_map"], f"{unit} of z")
    out.parent.mkdir(parents=True, exist_ok=True)
    render.save_png(out, plots.rasterise(drawn))
    print(f"wrote {out}")


def _copied(result: dict) -> list[str]:
    """PSNR of the copied frame, which tells the clips apart (another device changes its last digits)."""
    return [str(value and round(value, 4)) for value in result["per_frame"]["copy_last_psnr"]]


def _other_prior(run: Path, result: dict) -> str | None:
    from vidpred.runs import other_prior, read_config

    return other_prior(read_config(run).model, result.get("prior_at_test"))


def _evaluated(run: Path) -> dict:
    """Numbers of a run, as far as the figures need them."""
    from vidpred.runs import EVAL, read_eval

    result = read_eval(run)
    if result is None:
        raise BadInput(f"{run}: not evaluated yet; run python -m train.evaluate first")
    frames = result.get("per_frame")
    curves = [frames.get(name) for name in ("psnr", "copy_last_psnr")] if isinstance(frames, dict) else [None]
    sound = {
        "per_frame": all(map(_is_row, curves)) and len({len(curve) for curve in curves}) == 1,
        "kld_map": _is_table(result.get("kld_map")),
        "protocol": isinstance(result.get("protocol"), str),
        "n_past": type(result.get("n_past")) is int,
        "n_future": type(result.get("n_future")) is int,
    }
    for key, whole in sound.items():
        if not whole:
            what = "is not as train.evaluate writes it" if key in result else "is missing"
            raise BadInput(f"{run / EVAL}: {key} {what}; run python -m train.evaluate again")
    return result


def _is_row(values: Any) -> bool:
    """Numbers, at least one; null is a number that was not finite."""
    return isinstance(values, list) and values != [] and all(v is None or type(v) in (int, float) for v in values)


def _is_table(rows: Any) -> bool:
    return isinstance(rows, list) and all(map(_is_row, rows)) and len({len(row) for row in rows}) == 1


if __name__ == "__main__":
    run_command(plot, "python -m train.plot")
