"""Which samples make up which batch, and the random generator of each: the same whatever the number of workers."""

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import Sampler

# Streams of randomness, independent of each other under one seed.
CROPS, SHUFFLE, DRAWING, HELD_OUT, STEPS = range(5)


def generator(seed: int, stream: int, index: int) -> np.random.Generator:
    """The generator that belongs to (seed, stream, index) and to nothing else."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, index)))


class EndlessBatches(Sampler[list[int]]):
    """Sample indices 0, 1, 2, … in batches without end; each of a distributed run's processes takes every world-th.

    `step` is asked when the iteration starts, so that a resumed run goes on where it stopped.
    """

    def __init__(self, batch_size: int, *, rank: int, world: int, step: Callable[[], int]) -> None:
        self.batch_size, self.rank, self.world, self.step = batch_size, rank, world, step

    def __iter__(self) -> Iterator[list[int]]:
        span = self.batch_size * self.world
        first = self.step() * span
        while True:
            yield list(range(first + self.rank, first + span, self.world))
            first += span
