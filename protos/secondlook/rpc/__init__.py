"""The wire: protocol buffer sources and their committed, typed stubs."""
