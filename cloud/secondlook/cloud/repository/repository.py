"""The model repository: what is to be served now, and what changed."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from secondlook.cloud.repository.config import MAIN_VARIANT, Release
from secondlook.cloud.repository.findings import Finding, Severity
from secondlook.cloud.repository.layout import Folder, Listing, list_roots
from secondlook.cloud.repository.reading import Reader, Reading
from secondlook.cloud.repository.snapshot import Offer, Snapshot
from secondlook.shared.errors import NotFound
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)

_Key = tuple[str, str, str]
"""Model, version, variant."""


class ModelRepository:
    """Model directories under one or more roots.

    What it offers can be served as far as files tell. Where a model that was offered becomes
    unreadable (its configuration broken, its root gone, its only version corrupt), the last good
    offer stands beside the finding, so that what serves goes on; only a directory that is gone, or
    has no version left, ends an offer. A version is immutable: other content under a number that
    was offered before is refused until `forget`, or the end of the process.

    Methods block, and may be called from any thread; ``changes`` is for the event loop.

    Args:
        roots: directories that hold models; of two models of one name the earlier root's counts.
        tell: gets each finding once, for as long as it is so; by default the log.
    """

    def __init__(
        self, roots: Sequence[Path], tell: Callable[[Finding], None] | None = None
    ) -> None:
        self._roots = tuple(roots)
        self._tell = tell or _to_the_log
        self._reader = Reader()
        self._lock = threading.Lock()
        self._offers: dict[str, Offer] = {}
        self._digests: dict[_Key, str] = {}
        self._configs: dict[str, str] = {}
        """Configurations of load calls, in place of those on disk."""
        self._read: dict[str, Folder] = {}
        """Directories as they were when they were read."""
        self._seen = Listing({}, (), ())
        """What the poll before saw."""
        self._listed: tuple[Finding, ...] = ()
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._told: set[Finding] = set()
        self._snapshot = Snapshot()

    def scan(self) -> Snapshot:
        """Read everything, as it is now. What has not changed on disk is not hashed again."""
        with self._lock:
            listing = list_roots(self._roots)
            names = listing.folders.keys() | self._read.keys()
            return self._take(listing, names)

    def poll(self) -> Snapshot | None:
        """Look for changes; ``None`` where nothing is to be done.

        Costs stat calls alone, unless something changed. A directory that changed is read when a
        second poll finds it as the first did: a copy in progress is left alone.
        """
        with self._lock:
            listing = list_roots(self._roots)
            before, self._seen = self._seen, listing
            names = listing.folders.keys() | self._read.keys()
            settled = {
                name
                for name in names
                if not _same(listing.folders.get(name), self._read.get(name))
                and _same(listing.folders.get(name), before.folders.get(name))
            }
            told = listing.findings == self._listed or listing.findings != before.findings
            if not settled and told:
                return None
            last = self._snapshot
            snapshot = self._take(listing, settled)
            return None if snapshot == last else snapshot

    async def changes(self, poll_s: float) -> AsyncGenerator[Snapshot, None]:
        """Everything at once, then everything again after each change.

        Polls, because network file systems tell of no events, and links into them neither.

        Args:
            poll_s: pause between two looks, seconds.
        """
        yield await anyio.to_thread.run_sync(self.scan)
        while True:
            await anyio.sleep(poll_s)
            snapshot = await anyio.to_thread.run_sync(self.poll)
            if snapshot is not None:
                yield snapshot

    def read(self, name: str, config_json: str | None = None) -> Offer:
        """Read one model now, for an explicit load.

        Args:
            name: the model.
            config_json: its configuration in place of that on disk, until it is read again
                without; the JSON of Triton's load parameter ``config``.

        Returns:
            The offer; where a newer version is refused, of the older ones, with the finding.

        Raises:
            NotFound: no root has such a model.
            InvalidModel, InvalidConfig: nothing of it can be served.
        """
        with self._lock:
            listing = list_roots(self._roots)
            folder = listing.folders.get(name)
            if folder is None:
                for finding in listing.findings:
                    if finding.model == name and finding.severity is Severity.ERROR:
                        raise finding.error()
                known = ", ".join(listing.folders) or "none"
                raise NotFound(f"no model {name[:128]!r} is in the repository; there are {known}")
            if config_json is None:
                self._configs.pop(name, None)
            reading = self._reader.read(folder, config_json)
            errors = [f for f in reading.findings if f.severity is Severity.ERROR]
            offer = self._offer(name, reading)
            if offer is None:
                raise (errors or [Finding(name, "nothing of it can be served")])[0].error()
            if config_json is not None:
                self._configs[name] = config_json
            self._keep(name, folder, offer)
            self._compose()
            return offer

    def names(self) -> tuple[str, ...]:
        """Models that lie in the repository, whether they can be served or not."""
        return tuple(sorted(list_roots(self._roots).folders))

    def forget(self, name: str) -> None:
        """Let a model's versions have other content: after an unload, or a load that failed.

        What it offers stays until it is read again, which is when its files change or `read` is
        called. The configuration of a load call is dropped.
        """
        with self._lock:
            self._configs.pop(name, None)
            for key in [key for key in self._digests if key[0] == name]:
                del self._digests[key]

    def _take(self, listing: Listing, names: set[str]) -> Snapshot:
        """Read the models ``names`` of a listing."""
        self._seen = listing
        self._listed = listing.findings
        for name in sorted(names):
            folder = listing.folders.get(name)
            if folder is None:
                self._gone(name, listing)
                continue
            reading = self._reader.read(folder, self._configs.get(name))
            offer = self._offer(name, reading)
            if offer is None:
                # Broken now, served before: it goes on.
                last = self._offers.get(name) if folder.versions or folder.unreadable else None
                offer = None if last is None else replace(last, findings=tuple(reading.findings))
            self._findings[name] = tuple(reading.findings)
            self._keep(name, folder, offer)
        return self._compose()

    def _gone(self, name: str, listing: Listing) -> None:
        folder = self._read.get(name)
        if folder is not None and folder.path.parent in listing.failed:
            # The disk is away, not the model.
            return
        self._read.pop(name, None)
        self._offers.pop(name, None)
        self._findings.pop(name, None)

    def _keep(self, name: str, folder: Folder, offer: Offer | None) -> None:
        self._read[name] = folder
        if offer is None:
            self._offers.pop(name, None)
            return
        self._offers[name] = offer
        self._findings[name] = offer.findings
        for release in offer.releases:
            self._digests[name, release.version, release.variant] = release.digest

    def _offer(self, name: str, reading: Reading) -> Offer | None:
        """What was read, less what changed under a number that was offered before."""
        last = self._offers.get(name)
        old = {(r.version, r.variant): r for r in last.releases} if last is not None else {}
        releases: list[Release] = []
        for release in reading.releases:
            known = self._digests.get((name, release.version, release.variant))
            if known in (None, release.digest):
                releases.append(release)
                continue
            reading.findings.append(_changed(name, release, known or ""))
            stands = old.get((release.version, release.variant))
            if stands is not None:
                releases.append(stands)
        main = [release for release in releases if release.variant == MAIN_VARIANT]
        if not main:
            return None
        # A release that stands against changed content keeps its configuration; how the model's
        # requests are divided among its releases is of today.
        now = reading.releases[-1].config
        config = replace(
            main[-1].config, versions=now.versions, shares=now.shares, objective_s=now.objective_s
        )
        return Offer(name, config, tuple(releases), tuple(reading.findings))

    def _compose(self) -> Snapshot:
        offers = {name: self._offers[name] for name in sorted(self._offers)}
        found = [
            *self._listed,
            *(f for name in sorted(self._findings) for f in self._findings[name]),
        ]
        for finding in found:
            if finding not in self._told:
                self._tell(finding)
        self._told = set(found)
        self._snapshot = Snapshot(offers, tuple(found))
        return self._snapshot


def _to_the_log(finding: Finding) -> None:
    said = _log.bind(model=finding.model, version=finding.version)
    if finding.severity is Severity.ERROR:
        said.warning("not served", reason=str(finding))
    else:
        said.info("passed over", reason=str(finding))


def _same(one: Folder | None, other: Folder | None) -> bool:
    if one is None or other is None:
        return one is other
    return (
        one.path == other.path
        and one.stamp == other.stamp
        and one.versions == other.versions
        and one.unreadable == other.unreadable
    )


def _changed(name: str, release: Release, known: str) -> Finding:
    return Finding(
        name,
        f"its content changed (SHA-256 {known[:12]}... to {release.digest[:12]}...) under an "
        "unchanged version number; a version is immutable: give it a new number, or unload it "
        "first",
        release.version,
        release.file,
    )
