"""`python -m train.benchmark {step,rollout,loader,startup,app,load,browser,quality,pace,memory,ceiling} [--json]`: the
wall-clock figures of the project, what a training holds, and what a processor's time buys."""

from train.benchmark.app import app
from train.benchmark.browser import browser
from train.benchmark.ceiling import ceiling
from train.benchmark.load import load
from train.benchmark.loader import loader
from train.benchmark.memory import memory
from train.benchmark.pace import pace
from train.benchmark.quality import quality
from train.benchmark.rollout import rollout
from train.benchmark.startup import startup
from train.benchmark.step import step
from train.cli import run_commands

# each in a file of its name
COMMANDS = (step, rollout, loader, startup, app, load, browser, quality, pace, memory, ceiling)

if __name__ == "__main__":
    run_commands({command.__name__: command for command in COMMANDS}, prog="python -m train.benchmark")
