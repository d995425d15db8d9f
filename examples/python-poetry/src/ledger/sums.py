"""Sums."""


def total(amounts: list[str]) -> int:
    return sum(int(amount) for amount in amounts)
