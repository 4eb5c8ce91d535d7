"""APGD in L1: the ball inside the box, sparse steps and their checkpoints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses
from medadv_jax.attacks import apgd_l1, norms
from medadv_jax.attacks.apgd_plan import windows
from medadv_jax.attacks.fab_projections import to_hyperplane

SHAPE = (6, 6, 3)


def test_projections_are_the_nearest_points_of_the_ball_in_the_box(key):
    one, two, three = jax.random.split(key, 3)
    clean = jnp.round(4 * jax.random.uniform(one, (5, 5, 1))) / 4  # some pixels at the ends
    project = jax.jit(apgd_l1.project)
    for scale, eps in ((1.0, 2.0), (1.0, 0.1), (0.05, 2.0), (1.0, 40.0), (3.0, 5.0)):
        far = clean + scale * jax.random.normal(two, clean.shape)
        near = project(far, clean, eps)
        size = jnp.abs(near - clean).sum()
        assert near.min() >= 0 and near.max() <= 1 and size <= eps * (1 + 1e-5)
        outside = jnp.abs(jnp.clip(far, 0, 1) - clean).sum() > eps
        np.testing.assert_allclose(size, eps, rtol=1e-4) if outside else None
        others = jax.random.normal(three, (200, *clean.shape))
        points = jax.vmap(lambda change, eps=eps: project(clean + change, clean, eps))(others)
        inner = jnp.einsum("hwc,nhwc->n", far - near, points - near[None])
        assert (inner < 1e-4).all()  # the condition that makes a point of a convex set the nearest
    assert (project(far, clean, 0.0) == clean).all()


def test_trap_clipping_after_the_ball_wastes_the_budget():
    # "mind the box": most libraries project onto the ball alone, then clip
    clean = jnp.full((4, 4, 1), 0.95)
    far = clean.at[0, 0].set(3.0).at[1, 1].set(0.5)
    size = lambda image: jnp.abs(image - clean).sum()
    assert size(norms.project(far, clean, 0.4, "l1")) < 0.06
    np.testing.assert_allclose(size(apgd_l1.project(far, clean, 0.4)), 0.4, rtol=1e-5)


def test_a_step_moves_the_steepest_pixels_by_the_same_length(key):
    clean = jnp.full((10, 10, 1), 0.5)
    attack = attacks.APGD(eps=2.0, norm="l1", random_start=False)
    state = attack.init(key, None, clean, jnp.array(0))._replace(length=jnp.array(0.5))
    gradient = jax.random.normal(key, clean.shape)
    for share, count in ((0.2, 20), (0.07, 7), (0.02, 2), (1.0, 100)):
        moved = apgd_l1.move(state._replace(share=jnp.array(share)), gradient, 2.0) - clean
        chosen = np.argsort(-np.abs(gradient).ravel())[:count]
        expected = np.zeros(100)
        expected[chosen] = np.sign(gradient.ravel()[chosen]) / count
        np.testing.assert_allclose(moved.ravel(), expected, atol=1e-6)


def test_checkpoints_follow_how_sparse_the_best_image_is(key):
    clean = jnp.full((10, 10, 1), 0.5)
    state = attacks.APGD(eps=2.0, norm="l1").init(key, None, clean, jnp.array(0))
    state = state._replace(
        length=jnp.array(0.3), differ=jnp.array(40.0), current=clean + 0.1, slope=clean + 1
    )
    gradient = jnp.zeros_like(clean)
    for count, window, length, back in (
        (30, 4, 1.0, True),  # sparser: a long step from the best image
        (39, 4, 0.2, False),
        (30, 0, 0.3, False),  # no checkpoint
    ):
        best = clean.ravel().at[:count].add(0.1).reshape(clean.shape)
        new, slope = apgd_l1.checkpoint(state._replace(best=best), gradient, jnp.array(window))
        np.testing.assert_allclose(new.length, length, rtol=1e-6)
        assert (new.current == (best if back else state.current)).all()
        assert (slope == (state.slope if back else gradient)).all()
        if window:
            np.testing.assert_allclose(new.share, count / 100 / 1.5, rtol=1e-6)
            assert new.differ == count
    short = state._replace(length=jnp.array(0.12), best=clean + 0.1)
    assert apgd_l1.checkpoint(short, gradient, jnp.array(4))[0].length == jnp.float32(0.1)
    assert windows(100, "l1") == [4] * 25 and windows(10, "l1") == [1] * 10


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_it_succeeds_exactly_beyond_the_distance_inside_the_box(num_classes, key):
    model = toy.linear(num_classes, SHAPE, num_classes)
    images = toy.images(1, 12, SHAPE)
    labels = toy.predictions(model, images)

    def exact(image, label, other):
        slope = (model.weights[:, other] - model.weights[:, label]).reshape(SHAPE)
        logits = model(image[None])[0]
        way = to_hyperplane(image, slope, logits[other] - logits[label], "l1")
        return jnp.where(other == label, jnp.inf, norms.length(way, "l1"))

    every = jax.vmap(jax.vmap(exact, (None, None, 0)), (0, 0, None))
    distances = jax.jit(every)(images, labels, jnp.arange(num_classes))
    targets = distances.argmin(axis=1).astype(jnp.int32)
    for factor in (0.98, 1.02):
        attack = attacks.APGD(
            eps=factor * distances.min(axis=1), norm="l1", steps=10, loss=losses.margin
        )
        result = attacks.run(attack, key, model, images, labels, targets)
        assert (result.success == (factor > 1)).all()


def test_it_is_stronger_than_pgd_with_as_many_gradients(key):
    model = toy.mlp(0)
    images = toy.images(1, 64, (4, 3, 3), low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    ours = attacks.APGD(eps=1.0, norm="l1", steps=29, loss="dlr")
    other = attacks.PGD(eps=1.0, norm="l1", steps=30, loss=losses.margin)
    one, two = (attacks.run(attack, key, model, images, labels) for attack in (ours, other))
    assert one.success.sum() >= two.success.sum() and 0 < one.success.sum() < 64
    assert one.gradients.max() == 30


def test_stages_shrink_the_ball(key):
    model = toy.mlp(0)
    images = toy.images(1, 8, (4, 3, 3), low=0.0, high=1.0)
    labels = toy.predictions(model, images)
    stages = ((0.3, 3.0), (0.3, 2.0), (0.4, 1.0))
    attack = attacks.APGD(eps=0.5, norm="l1", steps=20, stages=stages)
    result = attacks.run(attack, key, model, images, labels)
    sizes = toy.size_of(result.images - images, "l1")
    assert (sizes <= 0.5 * (1 + 1e-5)).all() and np.median(sizes) > 0.45
    assert result.gradients.max() == 23  # less where a stage has ended at an image that fools
