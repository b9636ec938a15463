"""Settings and their values in words, for people who never saw the command line."""

from typing import Any

# Setting -> what it is called.
NAMES = {
    "model.kind": "Family",
    "model.learned_prior": "Prior",
    "model.width": "Width of the networks",
    "model.g_dim": "Size of a frame's code",
    "model.z_dim": "Dimensions of z",
    "model.z_channels": "Channels of z",
    "model.rnn_size": "Size of the LSTMs",
    "model.stem": "First and last layers",
    "model.code": "Codes, z and LSTM states",
    "model.composite": "How a frame is put together",
    "model.predictor_layers": "LSTM layers that predict",
    "model.condition": "Known about each frame",
    "model.condition_at": "Where that is put in",
    "model.skip_frame": "Frame whose details are kept",
    "model.last_frame_skip": "Details from the frame before",
    "model.feedback_from": "Predictions are fed back",
    "model.detach_feedback": "Gradient through fed-back frames",
    "model.norm_stats": "Normalised by the statistics of",
    "model.prior_at_test": "Prior when predicting",
    "model.frame_dim": "Channels of a frame's code",
    "model.pose_dim": "Channels of a pose's code",
    "model.fusion_dim": "Channels where both are joined",
    "data.n_past": "Frames given",
    "data.n_future": "Frames predicted in training",
    "data.clip_length": "Frames of a training clip",
    "data.val_length": "Frames validated",
    "data.windows": "Where training clips start",
    "train.epochs": "Epochs",
    "train.iterations_per_epoch": "Iterations per epoch",
    "train.batch_size": "Clips in a batch",
    "train.data_fraction": "Share of the data",
    "train.fast_train_epoch": "Epochs on less data at first",
    "train.fast_partial": "Share of the data in those",
    "train.init": "Weights begun from",
    "train.optimizer": "Optimiser",
    "train.lr": "Learning rate",
    "train.lr_decay": "Learning rate over the training",
    "train.lr_milestones": "Epochs where it falls to a tenth",
    "train.grad_clip": "Gradients clipped at",
    "train.l1_weight": "Weight of the absolute error",
    "train.gradient_weight": "Weight of the edges' error",
    "train.beta_max": "Highest beta",
    "train.kl_anneal": "Beta over the training",
    "train.kl_anneal_per": "Beta moves with every",
    "train.kl_anneal_cycles": "Cycles of beta",
    "train.kl_anneal_cycle_epochs": "Epochs of a cycle",
    "train.kl_anneal_ratio": "Share of a cycle in which beta rises",
    "train.kl_anneal_start": "Beta at the foot of a rise, times the highest",
    "train.kl_anneal_stop": "Beta at its top, times the highest",
    "train.kl_anneal_shape": "Shape of the rise",
    "train.kl_anneal_value": "Constant beta, times the highest",
    "train.kld_reduction": "KL divided by",
    "train.tfr": "Teacher forcing at the start",
    "train.tfr_decay": "How teacher forcing falls",
    "train.tfr_decay_start": "Epoch where it begins to fall",
    "train.tfr_decay_step": "Fall of teacher forcing",
    "train.tfr_floor": "Lowest teacher forcing",
    "train.tfr_coin": "Forcing is drawn for every",
    "train.tfr_mix": "True and predicted frames mixed",
    "train.plateau_patience": "Forcing returns after so many equal epochs",
    "train.precision": "Computed in",
    "train.best_by": "Weights that are kept",
    "train.seed": "Seed",
    "train.interpolate_every": "Epochs between weight interpolations",
}
# Values that say nothing without their setting.
VALUES: dict[str, dict[Any, str]] = {
    "model.kind": {"svg": "SVG (robot clips)", "pose_cvae": "pose CVAE (dance videos)"},
    "model.learned_prior": {True: "learned", False: "fixed, N(0, I)"},
    "model.condition": {"actions": "actions and gripper position", "none": "nothing", "poses": "pose pictures"},
    "model.condition_at": {"decoder": "before the decoder", "everywhere": "everywhere"},
    "model.composite": {"none": "drawn whole", "mask": "drawn parts over the last frame"},
    "model.code": {"vector": "vectors", "map": "maps of 8 x 8"},
    "model.stem": {"conv": "convolutions of all pixels", "unshuffle": "2 x 2 pixels at a time"},
    "model.norm_stats": {"per_step": "a batch's step", "pooled": "a batch", "group": "8 channels of a frame"},
    "model.prior_at_test": {"learned": "the learned one", "standard": "N(0, I)"},
    "model.detach_feedback": {True: "cut", False: "passes"},
    "train.kl_anneal": {"none": "constant", "calibrated": "calibrated (2 MSE / D)"},
    "train.kl_anneal_cycle_epochs": {None: "by the number of cycles"},
    "train.lr_decay": {"none": "constant"},
    "train.precision": {"no": "float32", "bf16": "bfloat16"},
    "train.best_by": {"psnr": "highest PSNR", "loss": "lowest loss", "both": "best in both", "last": "the last"},
    "train.grad_clip": {None: "not at all"},
    "train.init": {None: "chance"},
    "train.tfr_decay": {"step": "a step every epoch", "linear": "in a line to 0", "every": "a step every few epochs"},
}
SWITCH = {True: "yes", False: "no"}


def setting_name(key: str) -> str:
    """What a setting such as model.learned_prior is called; one without a name of its own by the words of its key."""
    return NAMES.get(key) or key.partition(".")[2].replace("_", " ").capitalize()


def setting_value(key: str, value: Any) -> str:
    """A value as a person would say it; – where a family has no such setting."""
    if isinstance(value, (list, tuple)):
        return ", ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in value) or "none"
    words = VALUES.get(key, {})
    if value in words:
        return words[value]
    if isinstance(value, bool):
        return SWITCH[value]
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
