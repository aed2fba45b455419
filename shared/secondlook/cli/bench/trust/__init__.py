"""``secondlook bench trust``."""
