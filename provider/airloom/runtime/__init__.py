"""One step, run: the same on every target; and a whole plan on this machine."""
