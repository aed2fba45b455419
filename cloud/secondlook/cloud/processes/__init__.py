"""Several processes behind one port: ``server.processes``.

A supervisor, which answers no calls, starts them, starts again those that die, drains them all at
a signal, and serves their metrics together. Each is a whole service; which of them gets a
connection is the system's choice (``SO_REUSEPORT``).
"""

from secondlook.cloud.processes.supervisor import supervise

__all__ = ["supervise"]
