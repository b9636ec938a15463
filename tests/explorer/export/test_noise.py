"""The page draws the noise that Python draws, to the last bit of float32."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from vidpred.explorer.export.live import STATIC
from vidpred.randomness import generator

NAMES = [(0, 0, "test/traj_0_to_255/1"), (2**31 - 1, 19, "validate"), (7, 3, "clips/Tänzer/" + "9" * 120)]
DRAWS, COUNT = 3, 10_001
SCRIPT = """
import {{keyOf, normals}} from {module};
const drawn = {names}.flatMap(names => {{
  const key = keyOf(...names);
  return Array.from({{length: {draws}}}, (_, draw) => [...new Uint32Array(normals(key, draw, {count}).buffer)]).flat();
}});
console.log(JSON.stringify(drawn));
"""


def node():
    """A JavaScript engine: one on the path, or that of the browser's driver."""
    playwright = pytest.importorskip("playwright")
    own = Path(playwright.__file__).parent / "driver" / "node"
    return shutil.which("node") or str(own)


def test_every_bit_is_pythons():
    values = {"module": (STATIC / "philox.mjs").as_uri(), "names": NAMES}
    script = SCRIPT.format(**{name: json.dumps(value) for name, value in values.items()}, draws=DRAWS, count=COUNT)
    done = subprocess.run(
        [node(), "--input-type=module"], input=script, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    found = np.array(json.loads(done.stdout), np.uint32).reshape(len(NAMES), DRAWS, COUNT)
    for names, drawn in zip(NAMES, found):
        expected = generator(*names).normals(DRAWS, (COUNT,)).numpy()
        assert np.array_equal(drawn, expected.view(np.uint32))
