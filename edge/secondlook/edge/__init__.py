"""The edge daemon: answers each frame at once, asks the cloud about what it is unsure of."""
