"""Every way in which the explorer runs a model: (library, run, clip) -> what comes of it."""

from vidpred.explorer.drive import session, what_if
from vidpred.explorer.drive.simulator import Physics
from vidpred.explorer.latents import analysis
from vidpred.explorer.runs import prediction

MODEL_CALLS = {
    "predict": lambda library, run, clip: prediction.predict_clip(library, run, clip, n_future=3, samples=2),
    "latents": lambda library, run, clip: analysis.analyse(library, run, clip, 0),
    "traversal": lambda library, run, clip: analysis.traversal(library, run, clip, 0),
    "what if": lambda library, run, clip: what_if.what_if(library, Physics(), run, clip, "reversed", n_future=3),
}
# Their functions of a model, in this order; latents are followed by a prediction of samples.
FUNCTIONS = ["_futures", "_measure", "_futures", "_traverse", "_futures"]


def begin_drive(library, run, clip):
    """A drive, whose model stays in the server."""
    return session.Drives(library, Physics()).begin(run, clip, 0, 1.0)[1]
