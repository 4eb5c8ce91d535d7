import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_grid import CLASSES, SIDE, Linear, Shift, batches

from medadv_jax import attacks
from medadv_jax.evaluate import identity
from medadv_jax.types import attack


@attack
class Other(Shift):
    """Another class with the same fields."""


def test_a_model_is_its_weights():
    weights = np.ones((SIDE, SIDE, 1, CLASSES), np.float32)
    name = identity.of_model(Linear(weights))
    assert name == identity.of_model(Linear(jnp.asarray(weights)))
    changed = weights.copy()
    changed[0, 0, 0, 0] += 1e-6
    assert name != identity.of_model(Linear(changed))
    assert name != identity.of_model(Linear(weights.reshape(SIDE * SIDE, 1, 1, CLASSES)))


def test_an_attack_is_its_class_and_its_fields():
    base = Shift(eps=0.1)
    name = identity.of_attack(base)
    for same in (np.float32(0.1), jnp.float32(0.1), np.float64(0.1)):
        assert identity.of_attack(Shift(eps=same)) == name
    others = [
        Shift(eps=0.2),
        Shift(eps=0.1, spread=1.0),
        dataclasses.replace(base, name="another"),
        Other(eps=0.1),
        attacks.FGSM(eps=0.1),
    ]
    names = [name, *(identity.of_attack(other) for other in others)]
    assert len(set(names)) == len(names)


def test_an_attack_with_a_nameless_function_is_refused():
    loss = lambda logits, label: -logits[label]
    with pytest.raises(ValueError, match="FGSM holds a lambda or a nested function"):
        identity.of_attack(attacks.FGSM(eps=0.1, loss=loss))


def test_a_model_with_a_nameless_function_is_refused():
    weights = jnp.ones(3)
    rounded = lambda weights, images: jnp.round(images) @ weights
    activation = jax.custom_jvp(jnp.tanh)  # written as "<... object at 0x...>"
    for function in (rounded, activation):
        with pytest.raises(ValueError, match="Partial holds a lambda or a nested function"):
            identity.of_model(jax.tree_util.Partial(function, weights))
    named = jax.tree_util.Partial(jnp.dot, weights)
    assert identity.of_model(named) != identity.of_model(jax.tree_util.Partial(jnp.add, weights))


def function_of(source, name="apply"):
    """A function at the top of a module of that name, with this source."""
    module = {"__name__": "notebook", "jnp": jnp}
    exec(source, module)
    return module[name]


def test_a_function_of_a_user_is_its_code():
    one = "def apply(weights, images):\n    return images @ weights"
    weights = jnp.ones(3)
    of = lambda source: identity.of_model(jax.tree_util.Partial(function_of(source), weights))
    assert of(one) == of(one) == of("# a comment\n" + one)
    others = [one.replace("images @", "-images @"), one.replace("@ weights", "@ weights + 1")]
    assert len({of(source) for source in (one, *others)}) == 3
    loss = "def loss(logits, label, sharpness=1):\n    return -sharpness * logits[label]"
    names = {
        identity.of_attack(attacks.PGD(eps=0.1, loss=function_of(source, "loss")))
        for source in (loss, loss.replace("-sharp", "sharp"))
    }
    assert len(names) == 2


def test_functions_of_one_name_in_two_modules_differ():
    def like(module):
        function = function_of("def apply(weights, images):\n    return images @ weights")
        function.__module__ = module
        return identity.of_model(jax.tree_util.Partial(function, jnp.ones(3)))

    assert like("one") == like("one") != like("two")


def test_a_class_of_a_user_is_its_code():
    source = """
import dataclasses, jax
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Net:
    weights: jax.Array
    def __call__(self, images):
        return images @ self.weights
"""
    of = lambda source: identity.of_model(function_of(source, "Net")(jnp.ones(3)))
    assert of(source) == of(source) != of(source.replace("images @", "-images @"))


def test_data_are_their_records_however_batched():
    name = identity.of_data(batches(20))
    assert identity.of_data(batches(7)) == name
    *_, padded = batches(7)
    dirty = np.where(padded.mask[:, None, None, None], padded.images, np.float32(7))
    assert identity.of_data([*batches(7)[:-1], padded._replace(images=dirty)]) == name
    assert identity.of_data(batches(20, seed=1)) != name
    assert identity.of_data(batches(20, records=19)) != name
    (batch,) = batches(20)
    assert identity.of_data([batch._replace(labels=batch.labels[::-1].copy())]) != name
    assert identity.of_data([batch._replace(index=batch.index + 1)]) != name


def test_a_hash_keeps_the_order_and_the_borders_of_its_parts():
    names = {identity.of_all(parts) for parts in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""])}
    assert len(names) == 4
