"""The rule of success for dense outputs with targets."""

import jax
import jax.numpy as jnp
import pytest

from medadv_jax.attacks.judge import fooled

LABEL = jnp.zeros((40, 50), jnp.int32)


def met(prediction, target, label=LABEL):
    return bool(fooled(jax.nn.one_hot(prediction, 3), label, target))


@pytest.mark.parametrize("missed, success", [(20, True), (21, False)])
def test_99_percent_of_the_valid_pixels_are_at_their_target(missed, success):
    target = jnp.ones_like(LABEL)
    prediction = target.ravel().at[:missed].set(0).reshape(LABEL.shape)
    assert met(prediction, target) == success


def test_a_small_change_is_not_met_by_the_clean_prediction():
    target = LABEL.at[0, :10].set(1)  # half a percent of the pixels
    assert not met(LABEL, target)
    assert met(target, target)
    assert not met(target.at[0, 0].set(0), target)


def test_void_pixels_and_pixels_without_a_target_do_not_count():
    target = LABEL.at[:, :25].set(1)
    prediction = target.at[:20].set(2)
    assert not met(prediction, target)
    assert met(prediction, target, LABEL.at[:20].set(-1))
    assert met(prediction, target.at[:20].set(-1))


def test_a_target_that_is_the_label_is_never_met():
    assert not met(LABEL, LABEL)
    assert not met(LABEL, jnp.full_like(LABEL, -1))
