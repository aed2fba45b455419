"""The cloud gRPC service: heavy models behind a batcher, and the context memory of record."""
