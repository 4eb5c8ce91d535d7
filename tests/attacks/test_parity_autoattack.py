"""FAB, Square and AutoAttack find what the authors' code finds (pyautoattack 0.2.0)."""

import contextlib
import io
import logging
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from medadv_jax import attacks, losses
from medadv_jax.attacks import apgd_l1, square_moves
from medadv_jax.attacks.dlr import dlr
from medadv_jax.attacks.fab_projections import to_hyperplane
from medadv_jax.attacks.rivals import likeliest_others

torch = pytest.importorskip("torch", exc_type=ImportError)
fab_pt = pytest.importorskip("pyautoattack.fab_pt", exc_type=ImportError)
from pyautoattack import fab_projections as their_projections, square as their_square  # noqa: E402
from pyautoattack.autoattack import AutoAttack as TheirAutoAttack  # noqa: E402
from test_parity_apgd import autopgd, twin, values_of  # noqa: E402

NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}


class Counted(torch.nn.Module):
    """A model that counts the images of its gradients, and of its passes without one."""

    def __init__(self, predict):
        super().__init__()
        self.predict, self.gradients, self.forwards = predict, 0, 0

    def forward(self, images):
        logits = self.predict(images)
        if logits.requires_grad:
            logits.register_hook(self.count)
        else:
            self.forwards += len(images)
        return logits

    def count(self, gradient):
        self.gradients += len(gradient)


def setting(count, num_classes=5, seed=0):
    model = toy.conv_net(seed, num_classes)
    images = toy.images(3, count, (8, 8, 3), low=0.0, high=1.0)
    return model, images, toy.predictions(model, images)


def to_torch(images, labels):
    x = torch.tensor(np.moveaxis(np.array(images), -1, 1).copy())
    return x, torch.tensor(np.array(labels), dtype=torch.long)


def quiet(function, *arguments):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where a gradient is zero
        return function(*arguments)


def back(images):
    return np.moveaxis(images.numpy(), 1, -1)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_projections_are_theirs(norm):
    random = np.random.default_rng(0)
    t, other = random.uniform(size=(2, 50, 30)).astype(np.float32)
    w = random.normal(size=(50, 30)).astype(np.float32)
    b = (w * other).sum(axis=1)
    theirs = getattr(their_projections, f"projection_{norm}")
    expected = theirs(*(torch.tensor(value) for value in (t, w, b))).numpy()
    project = jax.vmap(lambda t, w, gap: to_hyperplane(t, w, gap, norm))
    found = jax.jit(project)(t, w, (w * t).sum(axis=1) - b)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("aimed", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_fab(norm, aimed, key):
    model, images, labels = setting(64)
    attack = fab_pt.FABAttack_PT(twin(model), norm=NORMS[norm], device="cpu", eps=1.0)
    attack.target_class = 2  # the second likeliest
    x, y = to_torch(images, labels)
    expected = back(quiet(attack.attack_single_run, x, y, False, aimed))
    aim = likeliest_others(model(images), labels, 1)[:, 0] if aimed else None
    walk = attacks.FAB(norm=norm, aim=aim, search=0)
    ours = attacks.run(walk, key, model, images, labels)
    theirs = twin(model)(to_torch(expected, labels)[0]).argmax(dim=1).numpy()
    assert (ours.success == (theirs != labels)).all()
    one, two = (toy.size_of(found - images, norm) for found in (ours.images, expected))
    np.testing.assert_allclose(one, two, rtol=2e-3)
    searched = attacks.FAB(norm=norm, aim=aim)
    nearer = toy.size_of(attacks.run(searched, key, model, images, labels).images - images, norm)
    assert (nearer <= 1.001 * two).all() and np.median(nearer / two) < 0.999


SEEDS = 3
"""The authors' images share the place of a square, so that one run says little."""


def their_squares(norm, eps, steps, images, labels, model):
    """How many images the authors' Square fools, and with how many queries, on average."""
    success, queries = [], []
    for seed in range(SEEDS):
        counted = Counted(twin(model))
        options = dict(norm=NORMS[norm], n_queries=steps, eps=eps, seed=seed, device="cpu")
        attack = their_square.SquareAttack(counted, resc_schedule=False, **options)
        found = back(quiet(attack.perturb, *to_torch(images, labels)))
        success.append((toy.predictions(model, found) != labels).mean())
        queries.append(counted.forwards / len(images))
    return np.mean(success), np.mean(queries)


def our_squares(norm, eps, steps, images, labels, model):
    attack = attacks.Square(eps=eps, norm=norm, steps=steps)
    keys = [jax.random.key(seed) for seed in range(SEEDS)]
    results = [attacks.run(attack, key, model, images, labels) for key in keys]
    found = [(result.success.mean(), result.forwards.mean()) for result in results]
    return np.mean(found, axis=0)


@pytest.mark.parametrize("norm, eps", [("linf", 0.03), ("l2", 0.25)])
def test_square(norm, eps, monkeypatch):
    model, images, labels = setting(400)
    success, queries = their_squares(norm, eps, 400, images, labels, model)
    # squares that reach the border, which theirs never do, fool more with fewer queries
    more, fewer = our_squares(norm, eps, 400, images, labels, model)
    assert more > success + 0.02 and fewer < 0.95 * queries

    def as_they_do(key, space, side):
        ends = jnp.maximum(jnp.array(space) - side, 1)
        corner = jax.random.randint(key, (len(space),), 0, ends)
        return jnp.indices(space) - jnp.expand_dims(corner, range(1, len(space) + 1))

    monkeypatch.setattr(square_moves, "random_place", as_they_do)
    # no other test has 401 steps, so that what was compiled here is used nowhere else
    same, as_many = our_squares(norm, eps, 401, images, labels, model)
    assert 0.2 < success < 0.8 and abs(same - success) <= 0.02
    np.testing.assert_allclose(as_many, queries, rtol=0.02)


@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_apgd_in_l1(loss, random_start, key, monkeypatch):
    model, images, labels = setting(200)
    attack = autopgd.APGDAttack(twin(model), n_iter=51, norm="L1", eps=0.6, loss=loss, device="cpu")
    x, y = to_torch(images, labels)
    attack.init_hyperparam(x)
    torch.manual_seed(0)
    begin = None if random_start else x
    _, standing, found, _ = quiet(attack.attack_single_run, x, y, begin)
    options = dict(eps=0.6, norm="l1", loss=loss, random_start=random_start)
    better = attacks.run(attacks.APGD(**options, steps=50), key, model, images, labels)
    with monkeypatch.context() as patch:
        # no other test has 51 steps, so that what was compiled here is used nowhere else
        patch.setattr(apgd_l1, "corner", lambda state, radius: state.current)
        options["steps"] = 51
        ours = attacks.run(attacks.APGD(**options, keep="loss"), key, model, images, labels)
        kept = attacks.run(attacks.APGD(**options), key, model, images, labels)
    function = losses.cross_entropy if loss == "ce" else dlr
    values, found = values_of(function, model, ours.images, labels), found.numpy()
    if loss == "dlr":  # beyond 1, where an image is fooled, it grows at random: three logits meet
        values, found = np.minimum(values, 1), np.minimum(found, 1)
    start = values_of(function, model, images, labels).mean()
    assert values.mean() - start > 0.3
    atol = 0.02 if random_start else 0.002
    np.testing.assert_allclose(values.mean() - start, found.mean() - start, rtol=atol)
    assert abs(kept.success.mean() - (~standing.numpy()).mean()) <= 0.02
    assert better.success.mean() >= kept.success.mean()


@pytest.mark.parametrize("num_classes, norm, eps", [(5, "linf", 0.014), (12, "l2", 0.12)])
def test_autoattack(num_classes, norm, eps, key):
    model, images, labels = setting(200, num_classes)
    counted = Counted(twin(model))
    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    theirs = TheirAutoAttack(counted, eps=eps, norm=NORMS[norm], seed=0, device="cpu")
    theirs.apgd_targeted.n_target_classes = min(9, num_classes - 1)  # else an index error
    theirs.fab.n_target_classes = min(9, num_classes - 1)
    found = back(quiet(theirs.run_standard_evaluation, *to_torch(images, labels))[0])
    standing = (toy.predictions(model, found) == labels).sum()
    ours = attacks.run(attacks.autoattack(eps, norm), key, model, images, labels)
    assert 40 < standing < 160 and abs(int((~ours.success).sum()) - int(standing)) <= 1
    assert ours.gradients.sum() < counted.gradients
    assert ours.forwards.sum() < counted.forwards
