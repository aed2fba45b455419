"""``secondlook bench memory``: the context memory against its bare foundations."""
