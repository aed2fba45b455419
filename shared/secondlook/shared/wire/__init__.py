"""Values to protocol buffers and back: the only place where both are known."""
