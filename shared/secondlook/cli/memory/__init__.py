"""``secondlook memory``: look into the context memory, change it, copy it."""
