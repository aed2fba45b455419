"""From a model's directory to its releases, with everything that is wrong about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from secondlook.cloud.repository.complete import complete
from secondlook.cloud.repository.config import MAIN_VARIANT, ModelConfig, Release
from secondlook.cloud.repository.described import Description
from secondlook.cloud.repository.description import describe
from secondlook.cloud.repository.digests import Digests, read_sums, verify
from secondlook.cloud.repository.files import read_at_most
from secondlook.cloud.repository.findings import FaultyConfig, Finding, Issue, Severity
from secondlook.cloud.repository.forms import MAX_BYTES, Written, from_json, from_text, from_toml
from secondlook.cloud.repository.layout import Folder
from secondlook.cloud.repository.naming import companions, model_file_name
from secondlook.cloud.repository.proto import from_proto
from secondlook.cloud.repository.variants import check_variant
from secondlook.shared.errors import InvalidConfig, InvalidModel

_MAX_DESCRIBED = 4096
"""Most descriptions that are remembered; the oldest goes first."""

_REMOTE_VERSION = "1"
"""What a model on another server is called where neither policy nor parameters name a version."""


@dataclass(slots=True)
class Reading:
    """What came of one directory.

    Attributes:
        releases: what can be served, as in `Offer.releases`.
        findings: everything else.
    """

    releases: list[Release] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Configured:
    """A configuration, and whether it says `max_batch`."""

    config: ModelConfig
    batch_said: bool
    file: Path | None


class Reader:
    """Reads directories; what has not changed on disk is neither hashed nor opened again."""

    def __init__(self) -> None:
        self._digests = Digests()
        self._described: dict[str, Description] = {}

    def read(self, folder: Folder, config_json: str | None = None) -> Reading:
        """Read one model. Blocking: hashes its files, and opens each once.

        Args:
            folder: its directory.
            config_json: a configuration in place of that on disk.
        """
        reading = Reading(findings=list(folder.findings))
        if folder.unreadable:
            return reading
        try:
            configured = self._configure(folder, config_json, reading)
        except FaultyConfig as error:
            file = None if config_json is not None else _config_file(folder)
            reading.findings += [_of(folder, issue, file, Severity.ERROR) for issue in error.issues]
            return reading
        if configured.config.backend == "remote":
            reading.releases = _remote(folder, configured)
            return reading
        for version in self._chosen(folder, configured.config, reading):
            self._version(folder, version, configured, reading)
        reading.releases.sort(key=lambda r: (int(r.version), r.variant != MAIN_VARIANT, r.variant))
        _check_shares(folder, configured, reading)
        return reading

    def describe(self, file: Path, digest: str) -> Description:
        """What a file says of itself; opened once for each content.

        Raises:
            InvalidModel: see `description.describe`.
        """
        # The ending decides how it is read.
        key = f"{digest}{file.suffix}"
        found = self._described.get(key)
        if found is None:
            found = self._described[key] = describe(file)
            if len(self._described) > _MAX_DESCRIBED:
                self._described.pop(next(iter(self._described)))
        return found

    def digest(self, file: Path) -> str:
        """SHA-256 of a file that stands alone, with what belongs to it.

        Raises:
            InvalidModel: it cannot be read.
        """
        self._digests.of(file)
        return self._digests.of_release(file.parent, file.name, companions(file))

    def _configure(self, folder: Folder, text: str | None, reading: Reading) -> _Configured:
        file = _config_file(folder) if text is None else None
        if text is not None:
            written = from_json(text, "config of the load call")
        elif file is None:
            return _Configured(ModelConfig(folder.name, "", derived=True), False, None)
        elif len(folder.configs) > 1:
            both = " and ".join(path.name for path in folder.configs)
            raise FaultyConfig(str(folder.path), [Issue("", f"there are {both}; keep one")])
        else:
            written = _parse(file)
        read = from_proto(written.message)
        issues = list(read.issues)
        if read.config.name not in ("", folder.name):
            reason = f"is {read.config.name[:60]!r}, but the directory is {folder.name!r}"
            issues.append(Issue("name", f"{reason}; leave it out, or make it the same"))
        if issues:
            raise FaultyConfig(written.where, [written.at(issue) for issue in issues])
        for note in read.notes:
            reading.findings.append(_of(folder, written.at(note), file, Severity.NOTE))
        return _Configured(replace(read.config, name=folder.name), written.batch_said, file)

    def _chosen(self, folder: Folder, config: ModelConfig, reading: Reading) -> Iterator[int]:
        """Versions that the policy asks for; asked one by one, so that a bad one is passed over.

        Of "the latest N" those count that can be served: a bad new version does not end the good
        old one.
        """
        policy = config.versions
        if not folder.versions:
            reason = "no version: a directory with a number is expected"
            reading.findings.append(Finding(folder.name, reason, file=folder.path))
        if policy.specific:
            for version in policy.specific:
                if version in folder.versions:
                    yield version
                else:
                    reason = "is asked for by version_policy.specific, and is not there"
                    finding = Finding(folder.name, reason, str(version), folder.path / str(version))
                    reading.findings.append(finding)
        elif policy.everything:
            yield from reversed(folder.versions)
        else:
            for version in reversed(folder.versions):
                if len({release.version for release in reading.releases}) >= policy.latest:
                    return
                yield version

    def _version(
        self, folder: Folder, version: int, configured: _Configured, reading: Reading
    ) -> None:
        try:
            main = self._main(folder, version, configured)
        except (InvalidModel, InvalidConfig) as error:
            reading.findings.append(_refused(folder, version, error))
            return
        reading.releases.append(main)
        files = folder.files_of(version)
        for variant, name in configured.config.variants.items():
            if name not in files:
                reason = f"has no variant {variant} ({name}); it is served without"
                file = main.file.with_name(name)
                reading.findings.append(
                    Finding(folder.name, reason, str(version), file, severity=Severity.NOTE)
                )
                continue
            try:
                reading.releases.append(self._variant(folder, main, variant, name))
            except (InvalidModel, InvalidConfig) as error:
                reading.findings.append(_refused(folder, version, error))

    def _main(self, folder: Folder, version: int, configured: _Configured) -> Release:
        config, inside = configured.config, folder.path / str(version)
        files = folder.files_of(version)
        name = config.filename or model_file_name(inside, files, config)
        file, digest = inside / name, self._checked(inside, name, files)
        described = self.describe(file, digest)
        backend = config.backend or described.backend
        _check_backend(file, backend, described)
        config = replace(config, backend=backend)
        config = complete(config, described, file, batch_said=configured.batch_said)
        return Release(config, str(version), file, MAIN_VARIANT, digest)

    def _variant(self, folder: Folder, main: Release, variant: str, name: str) -> Release:
        inside = main.file.parent
        file = inside / name
        digest = self._checked(inside, name, folder.files_of(int(main.version)))
        described = self.describe(file, digest)
        _check_backend(file, main.config.backend, described)
        # It has to take and give what the main file does: callers do not choose it.
        complete(main.config, described, file, batch_said=True)
        release = replace(main, file=file, variant=variant, digest=digest)
        check_variant(release)
        return release

    def _checked(self, inside: Path, name: str, files: tuple[str, ...]) -> str:
        sums = read_sums(inside, files)
        digest = self._digests.of_release(inside, name, files)
        if sums is not None:
            verify(inside, sums, self._digests, name)
        return digest


def _config_file(folder: Folder) -> Path | None:
    return folder.configs[0] if folder.configs else None


def _parse(file: Path) -> Written:
    try:
        data = read_at_most(file, MAX_BYTES)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise FaultyConfig(str(file), [Issue("", reason)]) from error
    return (from_toml if file.suffix == ".toml" else from_text)(data, str(file))


def _check_backend(file: Path, backend: str, described: Description) -> None:
    # A checkpoint of ultralytics needs its library; torch alone cannot run it, nor the reverse.
    if backend != described.backend:
        raise InvalidModel(f"{file} is for backend {described.backend!r}, not {backend!r}")


def _remote(folder: Folder, configured: _Configured) -> list[Release]:
    config = configured.config
    named = config.parameters.get("remote_version", _REMOTE_VERSION)
    versions = [str(version) for version in sorted(config.versions.specific)] or [named]
    file = configured.file or folder.path
    return [Release(config, version, file) for version in versions]


def _check_shares(folder: Folder, configured: _Configured, reading: Reading) -> None:
    served = {release.version for release in reading.releases}
    for version in configured.config.shares:
        if served and version not in served:
            reason = f"is not served, so that its share goes to {', '.join(sorted(served))}"
            where = Issue(f"parameters[share.{version}]", f"version {version} {reason}")
            reading.findings.append(_of(folder, where, configured.file, Severity.NOTE))


def _of(folder: Folder, issue: Issue, file: Path | None, severity: Severity) -> Finding:
    return Finding(
        folder.name,
        issue.reason,
        file=file,
        line=issue.line,
        field=issue.field,
        severity=severity,
        about_config=True,
    )


def _refused(folder: Folder, version: int, error: InvalidModel | InvalidConfig) -> Finding:
    return Finding(
        folder.name,
        str(error).rstrip("."),
        str(version),
        about_config=not isinstance(error, InvalidModel),
    )
