"""Train SVG: `python -m train.svg --data DIR --out RUN [--preset NAME] …`. Run it again to resume."""

from train.training_command import train_family
from vidpred.config import SVGConfig


def main(args: list[str] | None = None) -> None:
    """Parse and train."""
    description = "Train SVG on clips in the robot-push layout. The same command again resumes where it stopped."
    train_family("python -m train.svg", SVGConfig, "svg", description, args)


if __name__ == "__main__":
    main()
