"""A run in words."""

from pathlib import Path

from vidpred.config import TrainConfig
from vidpred.explorer.runs.curves import metrics_rows
from vidpred.explorer.runs.run import Evaluation, Run
from vidpred.explorer.runs.validate import finite
from vidpred.schedules import beta_reached

COLLAPSE_NOTE = (
    "z carries (almost) nothing here: the posterior has collapsed; temperature and seed change nothing you can see."
)
UNKNOWN = "how it was trained is not known here"


def title_parts(run: Run) -> list[str]:
    """A run in a few words, one respect each: what it shows where that is no robot, prior, what is known, beta, and of
    a dancer what it was fed in training."""
    train = run.config.train
    beta = [] if trained_elsewhere(run) else [_schedule(train)]
    if run.takes_poses:
        forced = "teacher forced" if train.tfr == 1 else "partly teacher forced" if train.tfr else "free running"
        return ["dancer, poses known", *beta, *([] if trained_elsewhere(run) else [forced])]
    scene = ["bouncing shapes"] if run.evaluation and run.evaluation.has_bounces else []
    return [*scene, f"{run.prior} prior", "actions known" if run.takes_actions else "no actions", *beta]


def _schedule(train: TrainConfig) -> str:
    """Of beta; what it gets to where that is the 1 of the bound, as in the reports, or more."""
    constant = train.kl_anneal == "none"
    name = f"{'constant' if constant else train.kl_anneal} beta"
    if train.kl_anneal == "calibrated" or beta_reached(train) < 1:
        return name
    return f"{name} {'of' if constant else 'to'} {beta_reached(train):g}"


def trained_elsewhere(run: Run) -> bool:
    """Whether its weights are another program's: what its settings say of the training means nothing."""
    return run.weights is not None and not metrics_rows(run)


def title(run: Run) -> str:
    """A run's name for people: several may share one."""
    return sentence_case(", ".join(title_parts(run)))


def sentence_case(text: str) -> str:
    """The first letter large, all others as they are."""
    return text[:1].upper() + text[1:]


def describe_run(run: Run) -> str:
    """What a run is and how good it is, as short Markdown."""
    trained = UNKNOWN if trained_elsewhere(run) else f"{_training(run)} · {_progress(metrics_rows(run))}"
    lines = [f"**{title(run)}** · {trained}"]
    lines.append(_evaluated(run.evaluation) if run.evaluation else "Not evaluated yet")
    if run.is_collapsed:
        lines.append(f"> {COLLAPSE_NOTE} (KL {run.evaluation.kld_per_step:.3f} nats per step)")
    return "\n\n".join(lines)


def _training(run: Run) -> str:
    """What the title leaves out: how large beta gets, for how long true frames are fed back, what is minimised beside
    the MSE, and whose weights it began with."""
    train = run.config.train
    if train.kl_anneal == "calibrated":
        beta = "beta 2 MSE / D"
    elif train.kl_anneal == "none":
        beta = f"beta {beta_reached(train):g}"
    else:
        beta = f"beta up to {beta_reached(train):g}"
    known = ""
    if run.takes_actions:
        known = " · actions put in " + (
            "before the decoder" if run.config.model.condition_at == "decoder" else "everywhere"
        )
    said = run.takes_poses and train.tfr == 0 and not train.plateau_patience  # by the title
    forcing = "" if said else f" · {_forcing(train)}"
    terms = {"absolute error": train.l1_weight, "edges' error": train.gradient_weight}
    beside = " and ".join(f"{weight:g} x {error}" for error, weight in terms.items() if weight)
    beside = f" · beside the MSE {beside}" if beside else ""
    begun = f" · gone on from {Path(train.init).name}" if train.init else ""
    mean = f" · weights: the mean of {run.averaged}; settings and curves are the first one's" if run.averaged else ""
    return f"{beta}{known}{forcing}{beside}{begun}{mean}"


def _forcing(train: TrainConfig) -> str:
    again = ", and again after a plateau" if train.plateau_patience else ""
    if train.tfr == 0:
        return f"trained free running{', teacher forced after a plateau' if again else ''}"
    share = "" if train.tfr == 1 else f"{100 * train.tfr:.3g} % "
    still = train.tfr_decay != "linear" and train.tfr_decay_step == 0
    if still or train.tfr_decay_start >= train.epochs or train.tfr_floor >= train.tfr:
        return f"{share}teacher forced throughout"
    return f"{share}teacher forced at first{again}"


def _progress(rows: list[dict]) -> str:
    if not rows:
        return "in its first epoch"
    step, epochs = finite(rows[-1].get("step")), f"{len(rows):,} epoch{'s' * (len(rows) > 1)}"
    return epochs if step is None else f"{step:,.0f} iterations in {epochs}"


def _evaluated(result: Evaluation) -> str:
    """The numbers of eval.json with what they mean."""
    several = result.samples != 1
    samples = f"mean of {result.text('samples')} samples" if several else "one sample"
    best = f" (best of {result.text('samples')}: {result.text('psnr_best', '.2f')} dB)" if several else ""
    return (
        f"Evaluated: PSNR **{result.text('psnr', '.2f')} dB**{best}, SSIM **{result.text('ssim', '.3f')}**; "
        f"copying the last frame {result.text('copy_last_psnr', '.2f')} dB. *{result.protocol}: "
        f"{result.scored_clips}, {result.scored_frames}, {samples}, "
        f"temperature {result.text('temperature')}*"
    )
