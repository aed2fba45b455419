"""The engine `ray`: the same models as Ray Serve deployments, on as many nodes as there are."""

from secondlook.cloud.engine.ray.engine import RayEngine
from secondlook.cloud.engine.ray.settings import RaySettings

__all__ = ["RayEngine", "RaySettings"]
