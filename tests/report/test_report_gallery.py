import io

import numpy as np
import PIL.Image
import pytest

from medadv_jax.report import gallery, images

NAMES = ("a", "b", "c")


def test_perturbation_is_enlarged_round_grey(gallery_examples):
    example = gallery_examples[0]
    change, factor = images.enlarged(example.clean, example.perturbed)
    assert factor == 100  # 0.5 / 0.004 = 125
    np.testing.assert_allclose(change, 0.5 + 100 * (example.perturbed - example.clean))
    same, factor = images.enlarged(example.clean, example.clean)
    assert factor == 1 and (same == 0.5).all()


@pytest.mark.parametrize("largest", [1.0, 0.5, 0.3, 0.1, 0.02, 0.0005])
def test_gain_fills_the_range_but_never_clips(largest):
    factor = images.gain(np.array([largest, -largest / 2]))
    assert factor * largest <= 0.5 * (1 + 1e-4) or factor == 1
    assert factor * largest > 0.5 / 2.5 * (1 - 1e-6)


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 1), (9, 9, 3)])
def test_small_pictures_are_exact(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for image in (pixels, pixels / 255):
        content, kind = images.encode(image)
        assert kind == "image/png"
        read = np.asarray(PIL.Image.open(io.BytesIO(content)))
        assert (read == pixels.reshape(read.shape)).all()


def test_large_pictures_are_compressed():
    noise = np.random.default_rng(0).uniform(size=(299, 299, 3))
    content, kind = images.encode(noise)
    assert kind == "image/webp" and len(content) < 150_000
    assert PIL.Image.open(io.BytesIO(content)).size == (299, 299)


def test_examples_that_cannot_be_drawn_are_refused(gallery_examples):
    example = gallery_examples[0]
    for change, reason in (
        (dict(perturbed=np.zeros((3, 3, 3))), "Example 1: clean and perturbed"),
        (dict(clean_probabilities=np.ones(2)), r"clean_probabilities .* got shape \(2,\)"),
        (dict(label=3), r"label is in 0 .. 2, got 3"),
    ):
        with pytest.raises(ValueError, match=reason):
            gallery.check([example, example._replace(**change)], NAMES)


def test_few_examples_are_all_shown(gallery_examples):
    assert gallery.select(gallery_examples, 0.1, NAMES) == gallery_examples


def test_of_many_examples_every_attack_and_model_has_its_turn(gallery_examples):
    images = [np.full((4, 4, 3), value) for value in np.linspace(0, 1, 8)]
    base = gallery_examples[0]
    many = [
        base._replace(clean=image, model=model, perturbation=name, eps=eps, success=number >= 5)
        for model in "abc"
        for name, eps in (("pgd", 0.1), ("pgd", 0.2), ("fgsm", 0.2), ("deepfool", None))
        for number, image in enumerate(images)
    ]
    chosen = gallery.select(many, 0.2, NAMES)
    assert len(chosen) == gallery.LIMIT
    assert {(e.model, e.perturbation, e.eps) for e in chosen} == {
        (model, name, eps)
        for model in "abc"
        for name, eps in (("pgd", 0.2), ("fgsm", 0.2), ("deepfool", None))
    }
    assert all(example.success for example in chosen)
    counts = [sum((e.clean == image).all() for e in chosen) for image in images[5:]]
    assert sum(counts) == 24 and min(counts) >= 7  # images take turns


def test_sheet_is_a_picture(gallery_examples):
    content = gallery.sheet(gallery_examples, ("nevus", "melanoma", "carcinoma"))
    width, height = PIL.Image.open(io.BytesIO(content)).size
    assert (width, height) == (1080, 750)
