"""The engine `remote`: the models of an existing Triton or KServe server, or of another of ours."""

from secondlook.cloud.engine.remote.engine import RemoteEngine
from secondlook.cloud.engine.remote.settings import RemoteSettings

__all__ = ["RemoteEngine", "RemoteSettings"]
