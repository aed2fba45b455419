"""``secondlook bench serve``: the service against a bare gRPC server over the same models."""
