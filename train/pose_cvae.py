"""Train the pose CVAE: `python -m train.pose_cvae --data DIR --out RUN [--preset NAME] …`. Run it again to resume."""

from train.training_command import train_family
from vidpred.config import PoseCVAEConfig


def main(args: list[str] | None = None) -> None:
    """Parse and train."""
    description = "Train the pose-conditioned CVAE on videos in the dance layout. The same command again resumes."
    train_family("python -m train.pose_cvae", PoseCVAEConfig, "pose", description, args)


if __name__ == "__main__":
    main()
