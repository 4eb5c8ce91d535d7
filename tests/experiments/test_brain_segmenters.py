import dataclasses

import numpy as np
import pytest

from experiments import brain, segmenters
from medadv_jax import data, models

NAMES = ("background", "inner", "outer")


@pytest.fixture
def source():
    """Three slices 8x8: a middle 2x2 of class 1, a border of class 2, a corner of no class."""
    label = np.full((8, 8), 2, np.int32)
    label[1:-1, 1:-1] = 0
    label[3:5, 3:5] = 1
    label[0, 0] = -1
    records = [dict(image=np.zeros((8, 8, 1), np.float32), label=label) for _ in range(3)]
    columns = dict(foreground=np.full(3, 31))
    return data.Source("toy", "train", NAMES, "subject", "Toy.", records, columns)


def weights(source, image_size, monkeypatch):
    """The weights of the classes, and the numbers of pixels that they come from."""
    seen = []
    monkeypatch.setattr(segmenters.train, "supervised", lambda _, **given: given["class_weights"])
    monkeypatch.setattr(
        segmenters.losses,
        "median_frequency_weights",
        lambda counts: seen.append(counts) or np.ones(len(counts)),
    )
    settings = segmenters.Settings(
        model="unet", options={}, epochs=1, batch_size=1, image_size=image_size
    )
    segmenters._objective(settings, source, models.create("unet", 3))
    return seen[0].tolist()


def test_classes_are_weighed_by_what_batches_hold(source, monkeypatch):
    for size in (None, (8, 8), (10, 12)):
        counts = weights(source, size, monkeypatch)
        (batch,) = data.batches(source, 3, image_size=size)
        assert counts == np.bincount(batch.labels[batch.labels >= 0], minlength=3).tolist()
    assert weights(source, None, monkeypatch) == [3 * 32, 3 * 4, 3 * 27]
    with pytest.warns(UserWarning):
        assert weights(source, (6, 4), monkeypatch) == [3 * 20, 3 * 4, 0]


def test_what_is_cut_off_is_said_once(source):
    segmenters.warn_of_cuts(source, (8, 9))
    with pytest.warns(UserWarning) as seen:
        segmenters.warn_of_cuts(source, (8, 4))
    (warning,) = seen
    # Of the border the upper and lower edge remain, 4 pixels each, and the middle.
    assert str(warning.message) == (
        f"--image-size 8 4 cuts off {1 - 12 / 31:.2%} of the labelled pixels of toy train: they "
        "count nowhere."
    )


def test_the_brain_experiment_says_what_its_test_slices_lose(source, monkeypatch):
    class Enough(Exception):
        pass

    def stop(*_, **__):
        raise Enough

    large = [
        dict(label=np.kron(record["label"], np.ones((4, 4), int))) for record in source.records
    ]
    monkeypatch.setattr(brain, "networks", lambda config: {})
    monkeypatch.setattr(brain, "slices", lambda config: dataclasses.replace(source, records=large))
    monkeypatch.setattr(brain.evaluate, "run", stop)
    config = brain.Config(data="brain_phantom", image_size=(32, 32))
    with pytest.raises(Enough):
        brain.main(config)
    with pytest.raises(Enough), pytest.warns(UserWarning, match="16 16 cuts off 87.10%"):
        brain.main(dataclasses.replace(config, image_size=(16, 16)))
