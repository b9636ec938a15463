"""The page draws the noise that Python draws, to the last bit of float32."""

import numpy as np

from tests.explorer.export.javascript import result_of
from vidpred.randomness import generator

NAMES = [(0, 0, "test/traj_0_to_255/1"), (2**31 - 1, 19, "validate"), (7, 3, "clips/Tänzer/" + "9" * 120)]
DRAWS, COUNT = 3, 10_001
SCRIPT = """
return given.names.flatMap(names => {
  const key = keyOf(...names);
  return given.draws.flatMap(draw => [...new Uint32Array(normals(key, draw, given.count).buffer)]);
});
"""


def test_every_bit_is_pythons():
    given = {"names": NAMES, "draws": list(range(DRAWS)), "count": COUNT}
    bits = result_of("philox.mjs", ["keyOf", "normals"], SCRIPT, given)
    found = np.array(bits, np.uint32).reshape(len(NAMES), DRAWS, COUNT)
    for names, drawn in zip(NAMES, found):
        expected = generator(*names).normals(DRAWS, (COUNT,)).numpy()
        assert np.array_equal(drawn, expected.view(np.uint32))
