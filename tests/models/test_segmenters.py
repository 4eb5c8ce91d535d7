import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_nets import create, small
from tables import MODELS

from medadv_jax import models

NETS = pytest.mark.parametrize("name", [name for name, row in MODELS.items() if row.dense])
UNLIKE_NETS = pytest.mark.parametrize("name", ["unet_3d", "segnet", "fc_densenet"])


def space(name):
    return MODELS[name].shape[:-1]


def shapes(model, space=(16, 16), channels=1):
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *space, channels)))


def conv(taps, inputs, outputs):
    return taps * inputs * outputs + outputs


def unet_count(channels, classes, dims=2, norm=False):
    """The paper's figure 1: two convolutions a level, 64 channels doubled four times."""
    # A bias, or a scale and a shift in its place.
    block = lambda i, o: sum(conv(3**dims, n, o) + norm * o for n in (i, o))
    levels = [64, 128, 256, 512, 1024]
    down = sum(block(i, o) for i, o in zip([channels, *levels], levels, strict=False))
    up = sum(conv(2**dims, 2 * n, n) + block(2 * n, n) for n in levels[:-1])
    return down + up + conv(1, 64, classes)


def segnet_count(channels, classes):
    """Thirteen convolutions each way; all but the last have scale and shift instead of a bias."""
    encoder = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    chain = [channels, *encoder, *encoder[-2::-1]]
    inner = sum(9 * i * o + 2 * o for i, o in zip(chain, chain[1:], strict=False))
    return inner + conv(9, 64, classes)


def tiramisu_count(channels, classes, growth, down, bottleneck):
    """Table 1 and 2 of the paper: layers are BatchNorm, ReLU and a convolution with bias."""

    def block(width, layers):
        total = sum(2 * (width + n * growth) + conv(9, width + n * growth, growth)
                    for n in range(layers))  # fmt: skip
        return total, width + layers * growth

    total, width, skips = conv(9, channels, 48), 48, []
    for layers in down:
        more, width = block(width, layers)
        total += more + 2 * width + conv(1, width, width)
        skips.append(width)
    total += block(width, bottleneck)[0]
    new = bottleneck * growth
    for layers in down[::-1]:
        more, width = block(new + skips.pop(), layers)
        total += conv(9, new, new) + more
        new = layers * growth
    return total + conv(1, width, classes)


@pytest.mark.parametrize(
    "name, channels, classes, options, independent, published",
    [
        # The Keras net of many tutorials has 31,031,685: its two last convolutions have 1,157, this
        # one 130.
        ("unet", 1, 2, dict(batch_norm=False), unet_count(1, 2), 31_031_685 - 1157 + 130),
        ("unet", 1, 2, dict(), unet_count(1, 2, norm=True), 31.0e6),
        ("unet", 1, 28, dict(dims=3), unet_count(1, 28, 3, True), 90.3e6),
        ("segnet", 3, 12, dict(), segnet_count(3, 12), 29.4e6),
        ("fc_densenet", 3, 11, dict(variant=56), tiramisu_count(3, 11, 12, [4] * 5, 4), 1.4e6),
        ("fc_densenet", 3, 11, dict(variant=67), tiramisu_count(3, 11, 16, [5] * 5, 5), 3.5e6),
        (
            "fc_densenet",
            3,
            11,
            dict(),
            tiramisu_count(3, 11, 16, [4, 5, 7, 10, 12], 15),
            9.3e6,
        ),
    ],
)
def test_number_of_parameters(name, channels, classes, options, independent, published):
    model = models.create(name, classes, **options)
    count = models.count(shapes(model, (16,) * options.get("dims", 2), channels))
    assert count == independent
    assert count == pytest.approx(published, rel=0 if isinstance(published, int) else 0.02)


@pytest.mark.parametrize("variant, published", [(56, 1.4e6), (67, 3.5e6), (103, 9.4e6)])
def test_the_paper_counts_the_statistics_of_batch_norm_too(variant, published):
    variables = shapes(models.create("fc_densenet", 11, variant=variant), channels=3)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert round(count, -5) == published


@pytest.mark.parametrize("variant", [56, 67, 103])
def test_the_variant_is_the_number_of_convolutions(variant):
    params = shapes(models.create("fc_densenet", 11, variant=variant))["params"]
    kernels = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)
               if path[-1].key == "kernel"]  # fmt: skip
    assert len(kernels) == variant


@NETS
def test_every_size(name):
    model = create(name)
    variables = shapes(model, space(name), channels=2)
    assert variables["params"]["logits"]["kernel"].shape[-1] == 3
    dims = len(space(name))
    for sides in [(1, 1, 1), (7, 8, 9), (5, 16, 3), (33, 2, 6)]:
        images = jnp.zeros((2, *sides[:dims], 2))
        logits = jax.eval_shape(model.apply, variables, images)
        chex.assert_shape(logits, (2, *sides[:dims], 3))
        assert logits.dtype == jnp.float32


@UNLIKE_NETS
def test_bound_mapped_one_by_one_equals_the_batch(name):
    variables, images, run = small(name)
    predict = models.bind(create(name, dropout=0.5), variables)
    one_by_one = jax.jit(lambda p, x: jax.vmap(lambda image: p(image[None])[0])(x))
    whole = run(variables, images, jax.random.key(3))[0]
    chex.assert_trees_all_close(one_by_one(predict, images), whole, rtol=1e-4, atol=1e-5)


@UNLIKE_NETS
def test_padding_repeats_the_edge(name):
    variables, images, run = small(name)
    model = create(name)
    stride = 8 if name == "segnet" else 4
    wide = [(0, 0)] * images.ndim
    for axis, side in enumerate(space(name), start=1):
        wide[axis] = ((-side % stride) // 2, -side % stride - (-side % stride) // 2)
    wider = jnp.pad(images, wide, mode="edge")
    whole = jax.jit(lambda x: models.apply(model, variables, x)[0])(wider)
    place = tuple(slice(before, whole.shape[axis] - after)
                  for axis, (before, after) in enumerate(wide))  # fmt: skip
    given = run(variables, images, jax.random.key(3))[0]
    chex.assert_trees_all_close(whole[place], given, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["unet", "segnet", "fc_densenet"])
def test_a_shift_by_the_stride_shifts_the_logits(name):
    variables, _, _ = small(name)
    model = create(name)
    far = 48
    images = jax.random.uniform(jax.random.key(6), (1, 2 * far + 24, 8, 2))
    logits = jax.jit(lambda x: models.apply(model, variables, x)[0])
    one, other = logits(images[:, :-8]), logits(images[:, 8:])
    chex.assert_trees_all_close(one[:, far + 8 : -far], other[:, far : -far - 8], atol=1e-5)


@pytest.mark.parametrize("name", ["unet", "unet_3d", "fc_densenet"])
def test_skip_connections_are_used(name):
    variables, images, _ = small(name)
    model = create(name)
    params = variables["params"]
    if name == "fc_densenet":
        path = ("up1", "layer1", "bn", "scale")  # upsampled channels first, then the skip
        skip = params["down2"]["layer2"]["conv"]["bias"].size * 2
        changed = jnp.ones(params["up1"]["layer1"]["bn"]["scale"].shape).at[skip:].set(0)
    else:
        path = ("up1", "conv1", "conv", "kernel")  # the skip first
        kernel = params["up1"]["conv1"]["conv"]["kernel"]
        changed = kernel.at[..., : kernel.shape[-2] // 2, :].set(0)
    without = jax.tree_util.tree_map_with_path(
        lambda place, leaf: changed if tuple(entry.key for entry in place) == path else leaf, params
    )
    logits = jax.jit(lambda p: models.apply(model, {**variables, "params": p}, images)[0])
    assert float(jnp.max(jnp.abs(logits(without) - logits(params)))) > 1e-3


def test_segnet_unpools_to_the_places_of_the_maxima():
    model = models.create("segnet", 2, width=1 / 32, repeats=(1,))
    # One stage of one convolution, which is made the identity of the first channel.
    variables = models.init(jax.random.key(0), model, (4, 4, 1))
    params = jax.tree.map(jnp.zeros_like, variables["params"])
    params["down1_1"]["conv"]["kernel"] = params["down1_1"]["conv"]["kernel"].at[1, 1, 0, 0].set(1)
    params["down1_1"]["bn"]["scale"] = jnp.ones_like(params["down1_1"]["bn"]["scale"])
    params["logits"]["kernel"] = params["logits"]["kernel"].at[1, 1, 0, 1].set(1)
    image = jnp.array([[1, 5, 2, 0], [3, 4, 0, 7], [9, 1, 6, 6], [8, 2, 6, 6]], jnp.float32)
    logits = jax.jit(model.apply)({**variables, "params": params}, image.reshape(1, 4, 4, 1))
    kept = [[0, 5, 0, 0], [0, 0, 0, 7], [9, 0, 6, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(logits[0, :, :, 1], np.array(kept) / np.sqrt(1.001), rtol=1e-6)
    np.testing.assert_array_equal(logits[..., 0], 0)


def test_the_same_slices_make_the_same_volume():
    """A 3-D UNet whose kernels look along the last two axes alone is the 2-D one on every slice."""
    flat, deep = (models.create("unet", 3, width=1 / 32, depth=1, dims=d) for d in (2, 3))
    images = jax.random.uniform(jax.random.key(1), (1, 6, 5, 1))
    variables = models.init(jax.random.key(0), flat, (6, 5, 1))

    def thicken(path, leaf):
        names = [entry.key for entry in path]
        if names[-1] != "kernel":
            return leaf
        if "upconv1" in names:
            return jnp.stack([leaf, leaf])
        middle = jnp.zeros((leaf.shape[0], *leaf.shape))
        return middle.at[leaf.shape[0] // 2].set(leaf)

    thick = jax.tree_util.tree_map_with_path(thicken, variables)
    volume = jnp.repeat(images[:, None], 4, axis=1)
    slices = jax.jit(deep.apply)(thick, volume)
    expected = jnp.repeat(jax.jit(flat.apply)(variables, images)[:, None], 4, axis=1)
    chex.assert_trees_all_close(slices, expected, atol=1e-5)


def test_options_shrink_the_nets():
    count = lambda name, **options: models.count(shapes(models.create(name, 3, **options)))
    assert count("unet", width=0.25) < count("unet") / 15
    assert count("unet", depth=3) < count("unet") / 3
    assert count("segnet", repeats=(1, 1)) < count("segnet", width=0.25)
    assert count("fc_densenet", layers=(2, 2), width=0.5) < count("fc_densenet", layers=(2, 2)) / 3
    twice = models.create("fc_densenet", 3, layers=(4, 4, 4, 4, 4, 4), growth=12)
    assert shapes(twice) == shapes(models.create("fc_densenet", 3, variant=56))


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("unet", dict(dims=4), "UNet has 2 or 3 dimensions, got dims=4"),
        ("unet", dict(depth=0), "UNet needs depth >= 1, got depth=0"),
        ("unet", dict(dropout=1.0), "UNet needs 0 <= dropout < 1, got dropout=1.0"),
        ("segnet", dict(repeats=()), r"SegNet needs 1 to 5 repeats.*repeats=\(\)"),
        ("segnet", dict(repeats=(1, 0)), r"SegNet needs 1 to 5 repeats.*repeats=\(1, 0\)"),
        ("segnet", dict(repeats=(1,) * 6), "SegNet needs 1 to 5 repeats"),
        ("fc_densenet", dict(variant=121), r"variants \[56, 67, 103\], got variant=121"),
        ("fc_densenet", dict(layers=(4,)), r"2 or more layers.*layers=\(4,\)"),
        ("fc_densenet", dict(growth=0), "FCDenseNet needs growth >= 1, got growth=0"),
        ("fc_densenet", dict(first=0), "FCDenseNet needs first >= 1, got first=0"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, 3, **options)


@NETS
def test_images_of_another_rank_are_refused(name):
    model = create(name)
    dims = len(space(name))
    variables = shapes(model, space(name))
    for shape in [(8,) * (dims + 1), (1, *(8,) * (dims + 1), 1), (1, *(0,) * dims, 1)]:
        with pytest.raises(ValueError, match=rf"of {dims} dimensions needs images \(b, .*shape"):
            jax.eval_shape(model.apply, variables, jnp.zeros(shape))
