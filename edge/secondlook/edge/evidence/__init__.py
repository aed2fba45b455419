"""What is known about a frame before anything is asked: evidence for the gate."""
