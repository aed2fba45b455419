"""``secondlook bench prefetch``: what forecasts of the next request are worth."""
