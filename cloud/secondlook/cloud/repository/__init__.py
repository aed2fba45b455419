"""The model repository: which versions of which models lie where, and how they are to be run."""
