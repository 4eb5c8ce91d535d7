"""Square: its schedule, its moves by hand, its queries, and what others got wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses
from medadv_jax.attacks.square_moves import move, pyramids, random_place, start, tiles

SHAPE = (4, 3, 3)
HALVINGS = [(10, 1), (50, 2), (200, 3), (500, 4), (1000, 5), (2000, 6), (4000, 7), (6000, 8)]


def setting(count=16):
    model = toy.mlp(0)
    images = toy.images(1, count, SHAPE, low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def moves(image, clean, share, norm, count=200, eps=0.1):
    keys = jax.random.split(jax.random.key(1), count)
    go = jax.jit(jax.vmap(lambda key: move(key, image, clean, eps, share, norm)))
    return np.asarray(go(keys)) - np.asarray(clean)


def their_pyramids(side):
    """The pattern of the authors' code, by its loops."""

    def rectangle(x, y):
        values, corner = np.zeros((x, y)), [x // 2, y // 2]
        for counter in range(max(x // 2 + 1, y // 2 + 1)):
            rows = slice(max(corner[0], 0), min(corner[0] + 2 * counter + 1, x))
            columns = slice(max(corner[1], 0), min(corner[1] + 2 * counter + 1, y))
            values[rows, columns] += 1 / (counter + 1) ** 2
            corner = [corner[0] - 1, corner[1] - 1]
        return values / max(np.sqrt((values**2).sum()), 1e-12)

    half = side // 2
    both = np.concatenate([rectangle(half, side), -rectangle(side - half, side)])
    return both / np.sqrt((both**2).sum())


@pytest.mark.parametrize("rescaled", [False, True])
def test_the_share_is_halved_after_the_squares_of_the_authors(rescaled, key):
    attack = attacks.Square(eps=0.1, p_init=0.8, steps=5000, rescaled=rescaled)
    state = attack.init(key, None, jnp.zeros(SHAPE), jnp.array(0))
    unit = 0.5 if rescaled else 1  # 10,000 squares in 5000 steps
    for after, halvings in HALVINGS:
        for square, expected in ((after * unit, halvings - 1), (after * unit + 1, halvings)):
            number = jnp.array(int(square) + 1)  # number 0 is the start
            share = attack._share(state._replace(number=number))
            np.testing.assert_allclose(share, 0.8 / 2**expected, rtol=1e-6)


def test_in_linf_one_square_of_the_right_side_goes_to_the_border(key):
    clean = jnp.full((9, 7, 2), 0.5)
    for share, side in ((0.8, 6), (0.25, 4), (0.02, 1), (1e-4, 1)):
        changes = moves(clean, clean, share, "linf")
        for change in changes:
            for channel in np.moveaxis(change, -1, 0):
                rows, columns = np.nonzero(channel)
                assert len(rows) == side**2 and np.ptp(rows) == np.ptp(columns) == side - 1
                np.testing.assert_allclose(np.abs(channel[rows, columns]), 0.1, rtol=1e-5)
                assert len(np.unique(np.sign(channel[rows, columns]))) == 1
        assert {tuple(np.sign(change.sum((0, 1)))) for change in changes} == {
            (a, b) for a in (-1.0, 1.0) for b in (-1.0, 1.0)
        }


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_trap_squares_reach_the_last_row_and_column(norm, key):
    # the end of a random range is no part of it: with the authors, ART and torchattacks a square
    # that is smaller than the image never touches its right and lower border
    clean = jnp.full((6, 6, 1), 0.5)
    touched = (np.abs(moves(clean, clean, 0.25, norm, 400)) > 0).mean(axis=0)[..., 0]
    assert (touched > 0).all()
    np.testing.assert_allclose(touched, touched[::-1, ::-1], atol=0.12)


def test_places_are_equally_likely(key):
    draw = jax.jit(jax.vmap(lambda key: -random_place(key, (3, 4), 2)[:, 0, 0]))
    found = np.asarray(draw(jax.random.split(key, 3000)))
    counts = np.zeros((2, 3))
    np.add.at(counts, tuple(found.T), 1)
    assert np.abs(counts / 3000 - 1 / 6).max() < 0.03


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 8])
def test_pyramids_are_those_of_the_authors(side):
    expected = their_pyramids(side)
    offsets = jnp.indices((10, 9)) - 1
    for axis in (0, 1):
        found = np.asarray(jax.jit(pyramids)(offsets, side, axis))
        inside = found[1 : side + 1, 1 : side + 1]
        np.testing.assert_allclose(inside, expected.T if axis else expected, atol=1e-6)
        assert np.count_nonzero(found) == np.count_nonzero(inside)


def test_in_l2_the_energy_of_two_squares_goes_into_one(key):
    clean = jnp.full((9, 9, 2), 0.5)
    image = start(key, clean, 0.1, "l2")
    before = np.asarray(image - clean)
    changes = moves(image, clean, 0.1, "l2", 50)  # squares of 3 x 3 pixels
    np.testing.assert_allclose(toy.size_of(changes, "l2"), 0.1, rtol=1e-4)
    for change in changes:
        differs = np.abs(change - before).max(axis=-1) > 1e-6
        # two squares that may overlap; what else there is stays but for rounding
        assert 9 <= differs.sum() <= 18
        emptied = differs & (np.abs(change).max(axis=-1) < 1e-7)
        assert emptied.sum() in (0, *range(3, 10)) or differs.sum() < 18
        for channel in (0, 1):
            np.testing.assert_allclose(
                (change[..., channel] ** 2).sum(), (before[..., channel] ** 2).sum(), rtol=1e-3
            )


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3, 1), (4, 4, 1), (14, 14, 2), (3, 4, 5, 1)])
def test_trap_images_of_any_size_have_a_start_and_moves(shape, key):
    # ART 4 x 4: `high <= 0`; the original's tiles need 5 pixels, and fail on 14 x 14
    clean = jnp.full(shape, 0.5)
    for norm in ("linf", "l2"):
        begin = start(key, clean, 0.1, norm)
        np.testing.assert_allclose(toy.size_of((begin - clean)[None], norm), 0.1, rtol=1e-5)
        changes = moves(begin, clean, 0.8, norm, 20)
        sizes = toy.size_of(changes, norm)  # of one pixel, two pyramids may cancel out
        np.testing.assert_allclose(
            sizes[sizes > 0] if shape == (1, 1, 3) else sizes, 0.1, rtol=1e-4
        )
        assert len(np.unique(changes.reshape(20, -1), axis=0)) > 1


def test_the_start_is_stripes_or_tiles(key):
    clean = jnp.full((10, 11, 2), 0.5)
    stripes = np.asarray(start(key, clean, 0.1, "linf") - clean)
    np.testing.assert_allclose(np.abs(stripes), 0.1, rtol=1e-5)
    assert (stripes == stripes[:1]).all() and 0 < (stripes > 0).mean() < 1
    grid = np.asarray(tiles(key, (10, 11, 2)))  # 5 x 5 tiles of 2 x 2 pixels and a column left
    assert (grid[:, -1] == 0).all()
    for row in range(5):
        for column in range(5):
            tile = grid[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            for channel in (0, 1):
                fits = [
                    np.allclose(np.abs(tile[..., channel]), np.abs(turned), atol=1e-6)
                    and np.allclose((tile[..., channel] * turned).sum() ** 2, 1, atol=1e-5)
                    for turned in (their_pyramids(2), their_pyramids(2).T)
                ]
                assert any(fits)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_it_succeeds_exactly_beyond_the_distance(num_classes, key):
    model = toy.linear(num_classes, (2, 2, 1), num_classes)
    images = toy.images(1, 16, (2, 2, 1))
    labels = toy.predictions(model, images)
    distances = toy.distances(model, images, labels, "linf")
    targets = jnp.asarray(distances.argmin(axis=1), jnp.int32)
    for factor in (0.98, 1.02):
        attack = attacks.Square(eps=factor * distances.min(axis=1), steps=150)
        result = attacks.run(attack, key, model, images, labels, targets)
        assert (result.success == (factor > 1)).all()


def test_it_asks_only_for_logits_and_counts_them(key):
    model, images, labels = setting()
    result = attacks.run(attacks.Square(eps=0.08, steps=20), key, model, images, labels)
    assert 0 < result.success.sum() < 16
    assert (result.gradients == 0).all() and (result.forwards == result.steps).all()
    assert (result.forwards[~result.success] == 21).all()
    assert (result.forwards[result.success] <= 21).all() and result.forwards.min() == 1

    @jax.custom_vjp
    def predict(images):
        return model(images)

    def no_gradient(*_):
        raise AssertionError("a gradient was asked for")

    predict.defvjp(no_gradient, no_gradient)
    same = attacks.run(attacks.Square(eps=0.08, steps=20), key, predict, images, labels)
    assert (same.success == result.success).all()


@pytest.mark.parametrize("norm, eps", [("linf", 0.02), ("l2", 0.04)])
def test_the_loss_never_falls_and_the_best_image_is_kept(norm, eps, key):
    model, images, labels = setting(4)
    attack = attacks.Square(eps=eps, norm=norm, steps=30, loss=losses.cross_entropy)
    step = jax.jit(lambda state: attack.step(lambda image: model(image[None])[0], state))
    state = attack.init(key, None, images[0], labels[0])
    values = []
    for _ in range(31):
        state = step(state)
        found = losses.cross_entropy(model(state.image[None])[0], labels[0])
        np.testing.assert_allclose(found, state.value, rtol=1e-5)
        values.append(float(state.value))
        if state.done:
            break
    assert (np.diff(values) >= 0).all() and len(set(values)) > 3


def test_a_target_is_reached(key):
    model, images, labels = setting()
    targets = (labels + 1) % 4
    result = attacks.run(attacks.Square(eps=0.5, steps=60), key, model, images, labels, targets)
    assert result.success.mean() > 0.5
    assert (toy.predictions(model, result.images) == targets)[result.success].all()


def test_every_example_has_squares_of_its_own(key):
    model, images, labels = setting(2)
    same = jnp.stack([images[0], images[0]])
    result = attacks.run(
        attacks.Square(eps=0.01, steps=5), key, model, same, jnp.stack([labels[0], labels[0]])
    )
    assert (result.images[0] != result.images[1]).any()


def test_it_runs_on_volumes_and_where_logits_turn_not_finite(key):
    model = toy.linear(0, (3, 4, 5, 2), 3)
    images = toy.images(1, 4, (3, 4, 5, 2))
    labels = toy.predictions(model, images)
    distances = toy.distances(model, images, labels, "linf").min(axis=1)
    result = attacks.run(attacks.Square(eps=3 * distances, steps=40), key, model, images, labels)
    assert result.success.any() and result.images.shape == images.shape

    def breaks(clean, model, images):  # every image but the clean one
        same = (images == clean).all(axis=(1, 2, 3, 4))
        return jnp.where(same[:, None], model(images), jnp.nan)

    predict = jax.tree_util.Partial(breaks, images[:1], model)
    result = attacks.run(attacks.Square(eps=0.1, steps=3), key, predict, images[:1], labels[:1])
    assert not result.success.any() and jnp.isfinite(result.images).all()


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(norm="l1"), "norm must be one of 'linf', 'l2'"),
        (dict(eps=2.0), "eps must be"),
        (dict(p_init=0.0), "p_init must be"),
        (dict(steps=0), "steps must be"),
    ],
)
def test_bad_hyperparameters_are_refused(options, message, key):
    with pytest.raises(ValueError, match=message):
        attacks.run(attacks.Square(**(dict(eps=0.1) | options)), key, *setting(2))
