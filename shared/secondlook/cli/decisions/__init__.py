"""``secondlook explain`` and ``secondlook replay``: why was it sent, and what if?"""
