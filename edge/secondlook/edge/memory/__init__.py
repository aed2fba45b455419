"""What a camera's pipeline remembers beyond its process, and how that gets there and back.

`knowledge` is the part inside the pipeline: pure, in its thread. It writes `notes`; `backlog` and
`writing` carry them to the local store without being in a frame's way; `recalling` brings them
back at the next start; `hub` ties them to the daemon, and `uplink` to the cloud.
"""
