"""Who may do what: from the certificate of a device to the cameras it may speak for.

A camera is `site/camera`; one without a site is of the site `default`. A pattern names one camera
(`site/camera`), all of a site (`site/*`) or all there are (`*`). A device may write and read the
records of its ``cameras`` and send their pictures, and read the records of its ``reads`` and what
is certified for the sites of its cameras.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput, PermissionDenied
from secondlook.shared.memory.kinds import DEFAULT_SITE
from secondlook.shared.memory.record import check_id
from secondlook.shared.trust import SITE_CAMERA

ALL = "*"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what it may do.

    Attributes:
        identity: its name in the certificate; empty where identities are not asked for.
        writes: what ids of records it may write begin with.
        reads: what ids of records it may read begin with.
    """

    identity: str
    writes: tuple[str, ...]
    reads: tuple[str, ...]

    def check_write(self, record_id: str) -> None:
        """Refuse a write of a record of another's camera.

        Raises:
            PermissionDenied: it may not write there.
        """
        if not record_id.startswith(self.writes):
            raise self._denied("write", record_id, "cameras")

    def check_read(self, record_id: str) -> None:
        """Refuse a look at a record of another's camera.

        Raises:
            PermissionDenied: it may not read there.
        """
        if not record_id.startswith(self.reads):
            raise self._denied("read", record_id, "cameras or reads")

    def check_list(self, prefix: str) -> None:
        """Refuse a listing that could show what this caller may not read.

        Raises:
            PermissionDenied: not all ids that begin with ``prefix`` may be read.
        """
        if prefix.startswith(self.reads):
            return
        within = [allowed for allowed in self.reads if allowed.startswith(prefix)]
        raise PermissionDenied(
            f"{self.identity} may not list all of {_short(prefix)}",
            remedy=f"begin the prefix with {' or '.join(map(repr, within[:3]))}"
            if within
            else f"add it to cameras or reads of {self.identity} in access.devices",
        )

    def check_camera(self, camera: str) -> None:
        """Refuse to hear about another's camera.

        Raises:
            PermissionDenied: it may not speak for ``camera``.
        """
        place = camera if "/" in camera else f"{DEFAULT_SITE}/{camera}"
        if not f"{place}/".startswith(self.writes):
            raise self._denied("speak for", camera, "cameras")

    def signed(self, writer: str) -> str:
        """The name that a write is to carry: the identity's own, where there is one.

        Raises:
            PermissionDenied: ``writer`` is another's name.
        """
        if not self.identity:
            return writer
        if writer not in ("", self.identity):
            raise PermissionDenied(
                f"{self.identity} may not write as {_short(writer)}",
                remedy="leave writer empty, or give the name in the certificate",
            )
        return self.identity

    def _denied(self, verb: str, what: str, where: str) -> PermissionDenied:
        return PermissionDenied(
            f"{self.identity} may not {verb} {_short(what)}",
            remedy=f"add its camera to {where} of {self.identity} in access.devices",
        )


ANYONE = Caller("", ("",), ("",))
"""Where identities are not asked for, everyone may do everything."""


class Access:
    """From the certificate of a call to what its caller may do.

    Args:
        devices: what each identity may do.
    """

    def __init__(self, devices: Iterable[Caller]) -> None:
        self._devices = {device.identity: device for device in devices}

    def caller(self, certificate: Mapping[str, Iterable[bytes]]) -> Caller:
        """Who calls.

        Args:
            certificate: what gRPC verified (``auth_context``).

        Raises:
            PermissionDenied: none of the names in the certificate is listed.
        """
        names = names_in(certificate)
        for name in names:
            if name in self._devices:
                return self._devices[name]
        shown = ", ".join(map(_short, names[:3])) or "a caller without certificate"
        raise PermissionDenied(f"{shown} is not known here", remedy="add it to access.devices")


def names_in(certificate: Mapping[str, Iterable[bytes]]) -> list[str]:
    """The names of the holder: the alternative names, then the common name."""
    found: dict[str, None] = {}
    for field in ("x509_subject_alternative_name", "x509_common_name"):
        for raw in certificate.get(field, ()):
            found[raw.decode(errors="replace")] = None
    return list(found)


def device(identity: str, cameras: Sequence[str], reads: Sequence[str] = ()) -> Caller:
    """What a device may do, from the patterns of the settings."""
    writes = tuple(map(_prefix, cameras))
    sites = [f"{prefix.partition('/')[0]}/{SITE_CAMERA}/" for prefix in writes if prefix]
    readable = (*writes, *map(_prefix, reads))
    more = dict.fromkeys(site for site in sites if not site.startswith(readable))
    return Caller(identity, writes, (*readable, *more))


def check_pattern(pattern: str) -> str:
    """Refuse a pattern that can mean nothing; returns it.

    Raises:
        InvalidInput: it is not ``site/camera``, ``camera``, ``site/*`` or ``*``.
    """
    place = pattern.removesuffix(f"/{ALL}") if pattern != ALL else "any"
    check_id(place)
    if ALL in place or pattern.count("/") > 1:
        raise InvalidInput(f"{_short(pattern)}: site/camera, camera, site/* or * expected")
    return pattern


def _prefix(pattern: str) -> str:
    """What the ids of the records of a camera, or of the cameras of a site, begin with."""
    if pattern == ALL:
        return ""
    if pattern.endswith(f"/{ALL}"):
        return pattern.removesuffix(ALL)
    return f"{pattern}/" if "/" in pattern else f"{DEFAULT_SITE}/{pattern}/"


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
