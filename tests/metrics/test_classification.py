import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn import metrics as sklearn

from medadv_jax import metrics

CLASSES = 4


def examples(number=200, seed=0):
    """Logits of an imperfect model, labels without class 3, integer weights (some zero)."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES - 1, size=number, p=[0.7, 0.2, 0.1]).astype(np.int32)
    logits = rng.normal(size=(number, CLASSES)).astype(np.float32)
    logits[np.arange(number), labels] += 1
    return logits, labels, rng.integers(0, 4, number).astype(float)


def outcomes(metric, logits, labels):
    return np.asarray(jax.vmap(metric.outcome)(logits, labels))


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (metrics.accuracy, sklearn.accuracy_score),
        (metrics.balanced_accuracy, sklearn.balanced_accuracy_score),
    ],
)
def test_score_equals_scikit_learn(metric, reference):
    logits, labels, weights = examples()
    logits[:, 3] = -9  # scikit-learn warns of a predicted class that no example has
    metric = metric(CLASSES)
    found = logits.argmax(-1)
    score = metric.score(outcomes(metric, logits, labels), weights)
    assert isinstance(score, float)
    np.testing.assert_allclose(score, reference(labels, found, sample_weight=weights), rtol=1e-12)


def test_confusion_and_recall_equal_scikit_learn():
    logits, labels, weights = examples()
    found = logits.argmax(-1)
    decisions = outcomes(metrics.accuracy(CLASSES), logits, labels)
    matrix = sklearn.confusion_matrix(labels, found, labels=range(CLASSES), sample_weight=weights)
    np.testing.assert_array_equal(metrics.confusion(CLASSES)(decisions, weights), matrix)
    recall = metrics.recall(CLASSES)(decisions, weights)
    expected = np.diag(matrix)[:3] / matrix.sum(1)[:3]
    np.testing.assert_allclose(recall, [*expected, np.nan], rtol=1e-12)


def test_auc_equals_scikit_learn_without_ties():
    logits, labels, _ = examples()
    metric = metrics.auc(3)
    score = metric.score(outcomes(metric, logits[:, :3], labels), np.ones(200))
    probabilities = scipy.special.softmax(logits[:, :3].astype(np.float64), axis=1)
    expected = sklearn.roc_auc_score(labels, probabilities, multi_class="ovr")
    np.testing.assert_allclose(score, expected, rtol=1e-12)


def test_auc_equals_scikit_learn_with_ties_and_weights():
    logits, labels, weights = examples()
    logits = logits[np.arange(200) // 4, :3]  # each row four times, with different labels
    metric = metrics.auc(3)
    parts = metric.parts(outcomes(metric, logits, labels), weights)
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    expected = [
        sklearn.roc_auc_score(labels == k, probabilities[:, k], sample_weight=weights)
        for k in range(3)
    ]
    np.testing.assert_allclose(parts, expected, rtol=1e-12)


def test_auc_ties_logits_that_differ_by_a_constant():
    logits = jnp.array([[1.5, 0.25, -3.0], [101.5, 100.25, 97.0]])
    metric = metrics.auc(3)
    values = outcomes(metric, logits, jnp.array([0, 1]))
    np.testing.assert_array_equal(metric.parts(values, np.ones(2)), [0.5, 0.5, np.nan])


def test_auc_tells_examples_apart_whose_probabilities_are_rounded():
    logits = jnp.array([[0.0, -200.0], [0.0, -300.0]])
    metric = metrics.auc(2)
    assert metric.score(outcomes(metric, logits, jnp.array([1, 0])), np.ones(2)) == 1


MAKERS = [metrics.accuracy, metrics.balanced_accuracy, metrics.auc]


@pytest.mark.parametrize("maker", MAKERS)
def test_a_weight_is_a_number_of_copies(maker):
    logits, labels, weights = examples()
    metric = maker(CLASSES)
    values = outcomes(metric, logits, labels)
    copies = np.repeat(values, weights.astype(int), axis=0)
    expected = metric.score(copies, np.ones(len(copies)))
    np.testing.assert_allclose(metric.score(values, weights), expected, rtol=1e-12)


@pytest.mark.parametrize("maker", MAKERS)
def test_replicates_at_once_equal_one_by_one(maker):
    logits, labels, _ = examples(30)
    metric = maker(CLASSES)
    values = outcomes(metric, logits, labels)
    weights = np.random.default_rng(1).integers(0, 3, (2, 3, 30)).astype(float)
    together = metric.score(values, weights)
    assert together.shape == (2, 3)
    alone = [[metric.score(values, w) for w in row] for row in weights]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@pytest.mark.parametrize(("maker", "undefined"), list(zip(MAKERS, (0, 1, 1), strict=True)))
def test_an_absent_class_is_left_out_and_counted(maker, undefined):
    logits, labels, weights = examples()
    metric = maker(CLASSES)
    values = outcomes(metric, logits, labels)
    assert metric.undefined(values, weights).sum() == undefined
    parts = metric.parts(values, weights)
    np.testing.assert_allclose(metric.score(values, weights), np.nanmean(parts), rtol=1e-12)


@pytest.mark.parametrize("maker", MAKERS)
def test_without_weight_every_score_is_nan(maker):
    logits, labels, _ = examples(5)
    metric = maker(CLASSES)
    assert np.isnan(metric.score(outcomes(metric, logits, labels), np.zeros(5)))


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 1, got 0 \.\. 2"):
        metrics.accuracy(2).score(np.array([[0, 0], [2, 0]], np.float32), np.ones(2))
