"""``secondlook bench links``: both tiers over emulated links, for minutes, bytes counted."""
