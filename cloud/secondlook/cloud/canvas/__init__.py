"""The cloud's end of canvas streams: decoders that may die, and sessions that notice."""
