"""``secondlook demo``: a minute of a simulated street, both tiers as real processes, one report."""
