import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medadv_jax import models
from medadv_jax.models import tiles
from medadv_jax.types import Predict


class Convs(nn.Module):
    """Convolutions with zeros around the image; pixels see `repeats * (side // 2)` far."""

    side: int = 3
    repeats: int = 1

    @nn.compact
    def __call__(self, images, train=False):
        for _ in range(self.repeats):
            images = nn.Conv(3, (self.side,) * (images.ndim - 2))(jnp.tanh(images))
        return images


run = jax.jit(lambda predict, images: predict(images))


def bound(space, **options):
    images = jax.random.uniform(jax.random.key(1), (2, *space, 1))
    model = Convs(**options)
    return models.bind(model, models.init(jax.random.key(2), model, (*space, 1))), images


@pytest.mark.parametrize("space, size, overlap", [
    ((11, 8), 4, 0),
    ((11, 8), (5, 3), (2, 1)),
    ((7, 9), 5, 4),
    ((3, 20), 8, 3),  # one side is shorter than a patch
    ((4, 4), 4, 2),
    ((5, 6, 7), (2, 4, 3), 1),
])  # fmt: skip
def test_equal_to_the_whole_where_no_pixel_sees_another(space, size, overlap):
    predict, images = bound(space, side=1)
    tiled = models.tiled(predict, size, overlap)
    chex.assert_trees_all_close(run(tiled, images), run(predict, images), atol=1e-6)


@pytest.mark.parametrize("space, size, overlap, halo, repeats", [
    ((13, 10), 6, 2, 1, 1),
    ((13, 10), (7, 6), (4, 5), 2, 2),
    ((6, 5, 7), 4, 2, 1, 1),
])  # fmt: skip
def test_equal_to_the_whole_with_a_halo_of_the_receptive_field(space, size, overlap, halo, repeats):
    predict, images = bound(space, repeats=repeats)
    whole = run(predict, images)
    tiled = models.tiled(predict, size, overlap, halo=halo)
    chex.assert_trees_all_close(run(tiled, images), whole, atol=1e-6)
    seams = run(models.tiled(predict, size, overlap), images)
    assert float(jnp.max(jnp.abs(seams - whole))) > 1e-3  # a patch's edge sees zeros instead


def test_without_a_halo_equal_where_one_patch_holds_all_that_a_pixel_sees():
    predict, images = bound((10, 4))
    tiled = run(models.tiled(predict, (6, 4), (2, 0)), images)
    whole = run(predict, images)
    chex.assert_trees_all_close(tiled[:, :4], whole[:, :4], atol=1e-6)
    chex.assert_trees_all_close(tiled[:, 6:], whole[:, 6:], atol=1e-6)
    assert float(jnp.max(jnp.abs(tiled - whole)[:, 4:6])) > 1e-3


def test_overlap_is_a_weighted_mean():
    # Logits that tell which patch they are of: its first pixel, everywhere in the patch.
    first = jax.tree_util.Partial(lambda x: jnp.broadcast_to(x[:, :1], x.shape))
    images = jnp.arange(7.0).reshape(1, 7, 1, 1)
    y = run(models.tiled(first, (5, 1), (3, 0)), images).ravel()
    # Patches start at 0 and 2; ramps of 3/4, 2/4, 1/4 and 1/4, 2/4, 3/4 across pixels 2 to 4.
    np.testing.assert_allclose(y, [0, 0, 0.5, 1, 1.5, 2, 2], atol=1e-6)


@pytest.mark.parametrize("side, size, overlap, halo", [
    (17, 5, 2, 1), (17, 5, 4, 2), (5, 5, 3, 0), (3, 5, 4, 2), (6, 5, 0, 0), (1, 1, 0, 0),
])  # fmt: skip
def test_weights_sum_to_one_and_patches_lie_within(side, size, overlap, halo):
    starts, weights = tiles._plan(side, size, overlap, halo)
    chex.assert_shape(weights, (len(starts), min(size, side)))
    assert starts[0] == 0 and starts[-1] + weights.shape[1] == side
    assert np.all(np.diff(starts) > 0) and np.all(np.diff(starts) <= size - overlap)
    total = np.zeros(side)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + len(weight)] += weight
    np.testing.assert_allclose(total, 1, atol=1e-6)
    if len(starts) > 1:
        assert np.all(weights[1:, :halo] == 0) and np.all(weights[0, :1] == 1)
        assert np.all(weights[:-1, weights.shape[1] - halo :] == 0)


def test_gradient_is_that_of_the_whole():
    predict, images = bound((9, 7))
    tiled = models.tiled(predict, 5, 2, halo=1)
    loss = lambda predict, images: jnp.sum(jnp.sin(predict(images)))
    slopes = jax.jit(jax.grad(loss, argnums=(0, 1)))
    ours, theirs = slopes(tiled, images), slopes(predict, images)
    chex.assert_trees_all_close((ours[0].predict, ours[1]), theirs, atol=1e-5)


def test_memory_of_the_gradient_is_that_of_one_patch():
    predict, _ = bound((8, 8), repeats=6)

    def memory(predict, side):
        images = jax.ShapeDtypeStruct((1, side, 16, 1), jnp.float32)
        slope = jax.jit(jax.grad(lambda images, predict: jnp.sum(predict(images)), argnums=0))
        return slope.lower(images, predict).compile().memory_analysis().temp_size_in_bytes

    tiled = models.tiled(predict, 16, 4)
    grown = [memory(p, 512) - memory(p, 256) for p in (tiled, predict)]
    print("more memory for 256 more rows, by patches and at once:", grown)
    # Image, logits and their slopes stay, one of each; the layers between them do not.
    assert grown[0] < grown[1] / 2


def test_mapped_compiled_and_one_program_for_new_weights():
    predict, images = bound((9, 7))
    other = jax.tree.map(lambda leaf: 2 * leaf, predict)

    @jax.jit
    @chex.assert_max_traces(1)
    def logits(predict, images):
        return jax.vmap(lambda image: predict(image[None])[0])(images)

    chex.clear_trace_counter()
    for one in (predict, other):
        tiled = models.tiled(one, 5, 2, halo=1)
        assert isinstance(tiled, Predict)
        chex.assert_trees_all_close(logits(tiled, images), one(images), atol=1e-6)
    program = jax.make_jaxpr(lambda p, x: p(x))(models.tiled(predict, 5, 2), images)
    assert not [constant for constant in program.consts if np.size(constant) > 20]


def test_a_net_that_pools_is_equal_on_its_grid():
    model = models.create("unet", 3, width=1 / 32, depth=1)
    images = jax.random.uniform(jax.random.key(1), (1, 64, 16, 1))
    predict = models.bind(model, models.init(jax.random.key(2), model, (64, 16, 1)))
    # Radius: 2 (down) + 4 (bottom, at stride 2) + 2 (up), and a pixel of the pooling's window.
    tiled = models.tiled(predict, (36, 16), (20, 0), halo=(10, 0))
    chex.assert_trees_all_close(run(tiled, images), run(predict, images), atol=1e-5)


def test_bad_options_are_refused():
    predict, images = bound((8, 8), side=1)
    with pytest.raises(ValueError, match="size >= 1, got size=0"):
        models.tiled(predict, 0, 0)
    with pytest.raises(ValueError, match="overlap < size, got overlap=4, size=4"):
        models.tiled(predict, 4, 4)
    with pytest.raises(ValueError, match="0 <= overlap < size, got overlap=-1"):
        models.tiled(predict, 4, -1)
    with pytest.raises(ValueError, match=r"halo <= overlap / 2, got halo=\(1, 2\), overlap=3"):
        models.tiled(predict, 4, 3, halo=(1, 2))
    with pytest.raises(ValueError, match=r"one overlap or one for each of 3 sides, got \(1, 1\)"):
        models.tiled(predict, (4, 4, 4), (1, 1))
    with pytest.raises(ValueError, match=r"one size or one for each of 2 sides, got \(4, 4, 4\)"):
        models.tiled(predict, (4, 4, 4), 1)(images)
    classifier = jax.tree_util.Partial(lambda images: images.reshape(images.shape[0], -1))
    with pytest.raises(
        ValueError, match=r"every pixel of a patch \(2, 4, 4\), got shape \(2, 16\)"
    ):
        models.tiled(classifier, 4, 1)(images)
