"""The pose picture of a dancer: limbs on black, in colours that tell them apart. Simulated dancers and filmed ones are
drawn by the same function."""

import numpy as np
from PIL import Image, ImageDraw

from vidpred.config import DANCE_SIZE
from vidpred.simulate.engine import average_down

SKELETON_SCALE = 8  # by how much larger it is drawn

# Name of a limb: the two points that it joins and its colour in the skeleton picture.
LIMBS = {
    "head": ("neck", "head", (255, 255, 255)),
    "chest": ("neck", "waist", (255, 0, 0)),
    "belly": ("waist", "pelvis", (150, 110, 90)),
    "right_collar": ("neck", "right_shoulder", (255, 128, 0)),
    "right_upper_arm": ("right_shoulder", "right_elbow", (255, 170, 0)),
    "right_lower_arm": ("right_elbow", "right_hand", (255, 255, 0)),
    "left_collar": ("neck", "left_shoulder", (0, 128, 0)),
    "left_upper_arm": ("left_shoulder", "left_elbow", (0, 190, 0)),
    "left_lower_arm": ("left_elbow", "left_hand", (128, 255, 64)),
    "right_hip": ("pelvis", "right_hip", (160, 0, 80)),
    "right_thigh": ("right_hip", "right_knee", (200, 0, 200)),
    "right_shin": ("right_knee", "right_foot", (255, 128, 255)),
    "left_hip": ("pelvis", "left_hip", (0, 0, 160)),
    "left_thigh": ("left_hip", "left_knee", (0, 64, 255)),
    "left_shin": ("left_knee", "left_foot", (0, 224, 255)),
}
LIMB_WIDTH = 1.5  # pixels


def draw_skeleton(places: dict[str, tuple[float, float]], nearness: dict[str, float]) -> np.ndarray:
    """uint8 (32, 64, 3), limbs farther away drawn first. places: x and y of the skeleton's points in the picture,
    pixels, outside of it too; nearness: larger is nearer to the camera."""
    height, width = DANCE_SIZE
    large = Image.new("RGB", (width * SKELETON_SCALE, height * SKELETON_SCALE))
    draw = ImageDraw.Draw(large)
    radius = LIMB_WIDTH * SKELETON_SCALE / 2
    for start, end, colour in sorted(LIMBS.values(), key=lambda limb: nearness[limb[0]] + nearness[limb[1]]):
        ends = [tuple(SKELETON_SCALE * v for v in places[name]) for name in (start, end)]
        draw.line(ends, fill=colour, width=round(2 * radius))
        for place in ends:
            draw.circle(place, radius, fill=colour)
    return average_down(np.asarray(large), SKELETON_SCALE)
