"""Samples of execution times, their difference, and the text that keeps them between two calls."""

from dataclasses import dataclass
from math import inf, sqrt

# The contract takes texts up to 1,000 characters; a statement takes up to 40.
MAX_STATEMENTS = 24
PATTERN = r"v1(~-?[0-9a-z]{1,13}(\.[0-9a-z]{1,12}){3}){1,24}"

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Sample:
    """How often something ran, for how long in all, and the sum of the squares of the times, in milliseconds."""

    calls: int
    total: float
    squares: float

    @property
    def mean(self):
        return self.total / self.calls

    @property
    def variance(self):
        return max(0.0, self.squares / self.calls - self.mean**2)

    def __sub__(self, earlier):
        return Sample(self.calls - earlier.calls, self.total - earlier.total, self.squares - earlier.squares)


@dataclass(frozen=True)
class Change:
    factor: float
    sigmas: float


def slower(before, since):
    """How many times slower on average, and by how many standard errors of the difference."""
    error = sqrt(before.variance / before.calls + since.variance / since.calls)
    difference = since.mean - before.mean
    factor = since.mean / before.mean if before.mean > 0 else inf
    return Change(min(factor, 1e9), min(difference / error, 1e9) if error > 0 else (1e9 if difference > 0 else 0.0))


def base36(number):
    sign, number = ("-", -number) if number < 0 else ("", number)
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
    return sign + (digits or "0")


def write_baseline(samples):
    """Times are kept in microseconds: the mean, and the standard deviation."""
    parts = (
        [int(query_id), sample.calls, round(sample.mean * 1000), round(sqrt(sample.variance) * 1000)]
        for query_id, sample in samples.items()
    )
    return "~".join(["v1", *(".".join(base36(number) for number in part) for part in parts)])


def read_baseline(text):
    samples = {}
    for part in text.split("~")[1:]:
        query_id, calls, mean, deviation = (int(number, 36) for number in part.split("."))
        if calls < 1:
            raise ValueError("is no answer of `baseline`: a statement in it never ran")
        mean, deviation = mean / 1000, deviation / 1000
        samples[str(query_id)] = Sample(calls, mean * calls, calls * (deviation**2 + mean**2))
    return samples
