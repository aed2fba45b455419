"""The simulated street camera behind `sim://street`.

A deterministic street with known ground truth, drawn with OpenCV: demos, tests and the two
shipped models live on it. `StreetCamera(StreetConfig(...)).draw(i)` is a pure function of the
configuration and of i, so frames can be drawn in any order and in any process.
"""

from secondlook.shared.sim.camera import StreetCamera, StreetFrame
from secondlook.shared.sim.config import CLASS_NAMES, StreetConfig, StreetConfigError

__all__ = ["CLASS_NAMES", "StreetCamera", "StreetConfig", "StreetConfigError", "StreetFrame"]
