"""``secondlook calibrate``: a gate for one's own cameras, from footage without labels."""
