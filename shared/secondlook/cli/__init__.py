"""The one command, ``secondlook``: composes edge and cloud."""
