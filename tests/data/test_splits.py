import numpy as np
import pytest

from medadv_jax.data.splits import SPLITS, by_group


def lesions(seed=0):
    """Six hundred images of 400 lesions, one class rare."""
    rng = np.random.default_rng(seed)
    labels_of = rng.choice(3, 400, p=[0.8, 0.17, 0.03])
    lesion = np.sort(np.concatenate([np.arange(400), rng.integers(0, 400, 200)]))
    return [f"lesion {i}" for i in lesion], labels_of[lesion].tolist()


def test_no_group_is_parted_and_shares_hold_in_every_class():
    groups, labels = lesions()
    splits = np.array(by_group(groups, labels, "abc"))
    for group in set(groups):
        assert len(set(splits[np.array(groups) == group])) == 1
    for label in range(3):
        own = splits[np.array(labels) == label]
        shares = [np.mean(own == split) for split in SPLITS]
        assert np.abs(np.array(shares) - (0.7, 0.1, 0.2)).max() <= 3 / len(own)


def test_order_of_the_records_does_not_matter_and_the_seed_does():
    groups, labels = lesions()
    splits = by_group(groups, labels, "abc")
    order = np.random.default_rng(1).permutation(len(groups))
    again = by_group([groups[i] for i in order], [labels[i] for i in order], "abc")
    assert [splits[i] for i in order] == again
    assert by_group(groups, labels, "abc", seed=1) != splits


def test_a_class_of_three_lesions_is_in_every_split():
    groups, labels = list("abcdefghi"), [0] * 6 + [1] * 3
    splits = by_group(groups, labels, "xy")
    assert sorted(splits[6:]) == sorted(SPLITS)


def test_a_class_of_two_lesions_is_refused():
    with pytest.raises(ValueError, match="Class 'y' has 2 groups .* at least 3"):
        by_group(list("abcdde"), [0, 0, 0, 1, 1, 1], "xy")


def test_a_lesion_with_two_classes_stays_whole():
    splits = by_group(list("aaabbccdddefg"), [0, 0, 1, *[0] * 7, 1, 1, 1], "xy")
    assert len(set(splits[:3])) == 1
