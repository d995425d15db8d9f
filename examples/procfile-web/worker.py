"""Counts the till; started by a platform that runs the worker process."""

print("nothing to count yet")
