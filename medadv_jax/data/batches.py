"""Batches of a source: shuffled, augmented, padded and masked, by grain."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from medadv_jax.data.augment import Augment
from medadv_jax.data.augment_mri import DenseAugment
from medadv_jax.data.maps import Maps
from medadv_jax.data.pictures import Pictures
from medadv_jax.data.source import Source
from medadv_jax.types import Batch

CACHE_BYTES = 2**31
"""Most memory that the decoded images of one `Batches` take; what does not fit is decoded anew."""


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """Batches that can be iterated over again and again; see `batches`."""

    source: Source
    batch_size: int
    image_size: int | tuple[int, ...] | None
    seed: int | None
    epochs: int | None
    start: int
    augment: Augment | DenseAugment | None
    balance: float
    cache: bool

    def __post_init__(self):
        _check(self)

    def __len__(self) -> int:
        """Returns the number of batches in total, those that `start` skips included."""
        if self.epochs is None:
            raise TypeError("Batches of endless epochs have no length.")
        if self.seed is None:
            return -(-len(self.source) // self.batch_size) * self.epochs
        return len(self.source) * self.epochs // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        """Starts an iteration; two threads work ahead of it."""
        import grain  # takes 0.5 s, which a user of `load` alone need not pay

        dataset = self._pipeline()[self.start :]
        options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
        return iter(dataset.to_iter_dataset(options))

    def _pipeline(self):
        """Returns the grain dataset whose element n is batch n."""
        import grain

        numbers = grain.MapDataset.range(len(self.source))
        if self.seed is None:
            dataset = numbers.map(lambda number: (number, self._view(number)))
            return dataset.batch(self.batch_size, batch_fn=self._stack).repeat(self.epochs)
        numbers = numbers.seed(self.seed)
        if self.balance:
            order = _BalancedOrder(self.source.column("label"), self.balance, self.seed)
            numbers = numbers.repeat(self.epochs).map_with_index(lambda place, _: order[place])
        else:
            numbers = numbers.shuffle().repeat(self.epochs)
        # Repeated before it is batched: what remains of an epoch begins the next one's first batch.
        dataset = numbers.random_map(lambda number, rng: (number, self._view(number, rng)))
        return dataset.batch(self.batch_size, drop_remainder=True, batch_fn=self._stack)

    def _view(self, number: int, rng: np.random.Generator | None = None) -> Any:
        """Returns an example as it enters a batch."""
        example = self._resized[number]
        if self.augment is None or rng is None:
            return self._form.cut(example)
        return self._form.augmented(example, self.augment, rng)

    @functools.cached_property
    def _form(self) -> Any:
        """How examples are read, cut and stacked: those of one class, or of dense labels."""
        form: Any = Maps if self.source.dense else Pictures
        return form(self.source, self.image_size)

    @functools.cached_property
    def _resized(self) -> "_Kept":
        return _Kept(self._form, CACHE_BYTES if self.cache else 0)

    def _stack(self, examples: Sequence[tuple[int, Any]]) -> Batch:
        """Returns a batch of examples, padded by black images."""
        present = len(examples)
        index = np.full(self.batch_size, -1, np.int32)
        index[:present] = [number for number, _ in examples]
        mask = np.arange(self.batch_size) < present
        images, labels = self._form.stacked([view for _, view in examples], index, mask)
        return Batch(images, labels, mask, index)


def batches(
    source: Source,
    batch_size: int,
    *,
    image_size: int | tuple[int, ...] | None = None,
    seed: int | None = None,
    epochs: int | None = 1,
    start: int = 0,
    augment: Augment | DenseAugment | None = None,
    balance: float = 0.0,
    cache: bool = True,
) -> Batches:
    r"""Makes batches of a source, the same ones at every iteration.

    Batch n is a function of the arguments and of n alone: an iteration that begins at `start`
    continues one that was cut off there, bit by bit.

    Without a seed the records come in their stored order and the last batch of an epoch is
    padded: `mask` is False there, the index -1. With a seed they are shuffled anew each epoch and
    every batch is full: what remains of an epoch begins the first batch of the next one, and less
    than a batch is left out at the very end.

    Args:
      source: The records.
      batch_size: Examples in a batch.
      image_size: Side in pixels. An image is resized (bicubic, antialiased) until its shorter side
        has this length; then the middle square is taken, or the augmentation gets the whole.
        With dense labels nothing is resized: the middle of the image is taken and zeros are put
        round it, their label 0 (background), after the augmentation; `(h, w)` gives each side.
        `None` leaves images as they are stored.
      seed: Seed of order and augmentation, at least 0; `None` for the stored order.
      epochs: Passes over the source; `None` for no end.
      start: How many batches to pass over, at once.
      augment: `augment(rng, image)`, from a uint8 image `(h, w, 3)` to a uint8 image, for example
        `data.augment.dermoscopy(size)`; with dense labels `augment(rng, image, label, spacing)`,
        from and to a float32 image and its label, for example `data.augment.mri()`, where `spacing`
        are the sides of a pixel in mm, each 1 in records that do not tell; needs a seed.
      balance: $\beta$ in [0, 1]: a class of $n$ records is drawn in proportion to $n^{1-\beta}$:
        0 as they are, 0.5 by the square root, 1 uniformly. An epoch has as many examples as the
        source has records; needs a seed.
      cache: Keeps images (uint8 and resized, dense ones float32) in memory (up to 2 GiB), so that
        later epochs and iterations of the same object need not decode them again.

    Returns:
      An object that can be iterated over again and again; its length is the number of batches in
      total, those that `start` passes over included. A batch is a `types.Batch` of numpy arrays:
      float32 images in [0, 1] and int32 labels, `(b,)` or, dense, `(b, h, w)`.

    Raises:
      ValueError: An argument is outside its range.
    """
    return Batches(*(source, batch_size, image_size, seed, epochs, start, augment, balance, cache))


def _check(batches: Batches) -> None:
    """Raises ValueError for an argument outside its range."""
    for name, low in dict(batch_size=1, image_size=1, epochs=1, start=0, seed=0).items():
        value = getattr(batches, name)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None and one < low:
                raise ValueError(f"{name} is at least {low}, got {value}.")
    if isinstance(batches.image_size, tuple) and not batches.source.dense:
        raise ValueError(
            f"image_size is one side, as images of a class are square; got {batches.image_size}."
        )
    if batches.balance and batches.source.dense:
        raise ValueError(f"balance is for classes; {batches.source.name} has dense labels.")
    if not 0 <= batches.balance <= 1:
        raise ValueError(f"balance is in [0, 1], got {batches.balance}.")
    if batches.seed is None and (batches.balance or batches.augment is not None):
        raise ValueError("balance and augment are random: give a seed.")
    if batches.epochs is None:
        return
    if len(batches) < max(batches.start, 1):
        raise ValueError(
            f"{len(batches.source)} records in {batches.epochs} epochs make {len(batches)} batches "
            f"of {batches.batch_size}: too few for start={batches.start}."
        )


class _Kept:
    """The examples of a source, kept in memory up to a limit. Threads may share it."""

    def __init__(self, form: Any, limit: int):
        self._form, self._left = form, limit
        self._kept: dict[int, Any] = {}

    def __getitem__(self, number: int) -> Any:
        """Returns an example before it is cut or augmented."""
        example = self._kept.get(number)
        if example is None:
            example = self._form.read(number)
            size = self._form.size(example)
            # Two threads may both pass here: the limit is then missed by an example.
            if size <= self._left:
                self._kept[number] = example
                self._left -= size
        return example


class _BalancedOrder:
    """Which record stands at which place when classes are drawn by their own probabilities.

    Within a class every record comes once before one comes twice in an epoch.
    """

    def __init__(self, labels: np.ndarray, balance: float, seed: int):
        self._members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        weights = np.array([float(len(own)) for own in self._members]) ** (1 - balance)
        self._probability = weights / weights.sum()
        self._length, self._seed = len(labels), seed
        self._epoch = functools.lru_cache(maxsize=2)(self._draw)

    def __getitem__(self, place: int) -> int:
        """Returns the number of the record at a place of the endless order."""
        epoch, rest = divmod(place, self._length)
        return int(self._epoch(epoch)[rest])

    def _draw(self, epoch: int) -> np.ndarray:
        """Returns the order of one epoch."""
        rng = np.random.default_rng([self._seed, epoch])
        classes = rng.choice(len(self._members), self._length, p=self._probability)
        order = np.empty(self._length, int)
        for label, own in enumerate(self._members):
            places = np.flatnonzero(classes == label)
            rounds = -(-len(places) // len(own))
            drawn = [rng.permutation(own) for _ in range(rounds)]
            order[places] = np.concatenate([*drawn, own[:0]])[: len(places)]
        return order
