"""``secondlook trust``."""
