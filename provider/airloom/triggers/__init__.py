"""Triggers: what the triggerer waits for while a task takes no worker slot."""
