"""``secondlook models``: model repositories, seen and checked before they are served."""
