"""``secondlook doctor``: finds what is wrong, hop by hop, and says what to do about it."""
