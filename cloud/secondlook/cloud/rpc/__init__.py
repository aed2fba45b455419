"""The gRPC surface: servicers that convert, call and map errors, and nothing else."""
