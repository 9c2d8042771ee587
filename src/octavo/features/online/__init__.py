"""Features online: states that events are folded into as they come, and that requests are read from."""
