"""The keeper of a camera's trust, as far as the memory knows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from secondlook.edge.memory.notes import Recollection
from secondlook.shared.memory.kinds import TrustWindow
from secondlook.shared.trust import (
    UNKNOWN,
    Basis,
    TrustKeeper,
    TrustSettings,
    certificate_of,
)


def recalled(
    camera: str, settings: TrustSettings, gate: str, known: Recollection, at_s: float
) -> TrustKeeper:
    """A keeper that knows what was certified before, and goes on with the window that was open.

    Args:
        camera: id of the camera, its site included.
        settings: of trust.
        gate: fingerprint of the gate.
        known: what earlier processes knew.
        at_s: wall clock now, seconds since the Unix epoch.
    """
    mine = {key: window for key, window in known.trust.items() if window.gate == gate}
    past = [window for window in mine.values() if window.at_s <= at_s]
    newest = max(past, key=lambda window: window.at_s, default=None)
    # Until a verdict says otherwise, the model is the one that answered last.
    basis = Basis(gate, UNKNOWN, "")
    if newest is not None:
        basis = Basis(gate, newest.model, newest.model_version)
    keeper = TrustKeeper(camera, settings, basis)
    keeper.recall(mine, at_s)
    adopt(keeper, known.site_trust)
    return keeper


def adopt(keeper: TrustKeeper, windows: Mapping[str, TrustWindow]) -> None:
    """Have a keeper take over what its site has certified, where that is of use."""
    for window in sorted(windows.values(), key=lambda one: one.at_s):
        certificate = certificate_of(window, keeper.camera)
        if certificate is not None:
            keeper.adopt(certificate)
