"""What keeps the service standing: breakers around backends, and a look at itself every second."""

from secondlook.cloud.stability.breaker import Breaker
from secondlook.cloud.stability.guard import Breakers, Guard
from secondlook.cloud.stability.guarded import GuardedBackend, GuardedDetector
from secondlook.cloud.stability.metrics import BreakerMetrics
from secondlook.cloud.stability.monitor import Monitor, monitored
from secondlook.cloud.stability.settings import BreakerSettings, MonitorSettings
from secondlook.cloud.stability.states import BreakerState, Ending, Transition

__all__ = [
    "Breaker",
    "BreakerMetrics",
    "BreakerSettings",
    "BreakerState",
    "Breakers",
    "Ending",
    "Guard",
    "GuardedBackend",
    "GuardedDetector",
    "Monitor",
    "MonitorSettings",
    "Transition",
    "monitored",
]
