"""The Open Inference Protocol: sources and their committed, typed stubs. See ``CONTRIBUTING.md``.

`tritonclient` brings stubs of the same symbols, and a process holds each symbol once: never import
both in one process.
"""
