"""Prints steps of time in words."""

from datetime import timedelta
from importlib.resources import files

import humanize


def main() -> None:
    steps = files("forecast").joinpath("steps.txt").read_text().split()
    words = [humanize.naturaldelta(timedelta(seconds=int(step))) for step in steps]
    print("forecast for", " and ".join(words))
