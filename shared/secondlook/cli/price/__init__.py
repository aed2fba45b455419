"""``secondlook price``: what the systems would cost on a clip, and how well they agree."""
