"""The choice of version, variant and batch limit from live traffic."""
