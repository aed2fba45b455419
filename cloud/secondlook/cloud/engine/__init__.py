"""The engine: a bounded, deadline-aware batcher in front of the heavy models."""
