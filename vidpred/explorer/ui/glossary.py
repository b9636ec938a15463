"""What the field's words mean, a sentence each: shown where they stand, to who points at them, tabs to them or taps."""

import json
from pathlib import Path

STATIC = Path(__file__).parent / "static"

# Word, as it is written on the page -> what it means.
GLOSSARY = {
    "action-free": "The model is not told what the robot does: it sees frames alone.",
    "no actions": "The model is not told what the robot does: it sees frames alone.",
    "actions known": "The model is told each motor command and where the gripper is.",
    "active units": "How many dimensions of z change from clip to clip; 0 means that z says nothing.",
    "annealing": "Letting beta rise slowly, so that the model learns to use z before it has to pay for it.",
    "beta": "The price of the KL in the loss: the higher, the less z may say.",
    "best of": "Of several imagined futures, the one nearest to what happened: is one of them right?",
    "finn": "PSNR of each colour channel of each frame, then their mean: as robot-pushing papers give it.",
    "joint": "PSNR over all three colour channels of a frame at once, then the mean over frames.",
    "KL": "How much z had to say about a frame that the prior did not expect.",
    "learned prior": "A network looks at the past frames and says which z may come next, and how sure it is.",
    "fixed prior": "z is drawn from the same bell curve N(0, I) at every step, whatever was seen.",
    "nats": "The unit of information in natural logarithms: 0.69 nats are one bit.",
    "posterior": "The network that looks at the true frame, in training only, and says which z explains it.",
    "prior": "Where z is drawn from when the true frame is not known: at prediction.",
    "PSNR": "The error of pixels in decibels: higher is better, 3 dB more is half the error.",
    "Sharpness": "Edges of the prediction over those of the truth where the scene moves: 1 is as sharp, below is blur.",
    "sigma": "A standard deviation: how wide a bell curve is, how unsure the model.",
    "spread": "How far the imagined futures lie apart: 0 means that they are all one.",
    "SSIM": "How alike two pictures are in structure: 1 is identical.",
    "teacher forcing": "In training, the true last frame is put in instead of the model's own prediction.",
    "temperature": "Scales the noise: 0 takes the likeliest future, above 1 they spread wider than the model believes.",
    "tfr": "The teacher-forcing ratio: how often the true last frame is put in instead of the predicted one.",
}
HEAD = (
    f"<style>{(STATIC / 'glossary.css').read_text()}</style>"
    f"<script>window.glossary = {json.dumps(GLOSSARY)};\n{(STATIC / 'glossary.js').read_text()}</script>"
)
