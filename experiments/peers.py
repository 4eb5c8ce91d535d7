"""Attacks of other libraries, which the bench compares ours with; each library is optional."""

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.cost import Cost
from medadv_jax.attacks import checks

Found = Callable[[Any, np.ndarray, np.ndarray, Cost], np.ndarray]
"""From a Predict, images `(b, h, w, c)`, labels `(b,)` and where to count, to perturbed images."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the libraries' warnings and progress to themselves."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


class Peer(NamedTuple):
    """An attack of another library.

    Attributes:
      library: Name of the package that has it, as it is imported.
      run: The attack.
    """

    library: str
    run: Found

    def missing(self) -> str:
        """Imports the library; returns what has to be installed first, "" if nothing has."""
        needed = (self.library,) if self.library == "foolbox" else (self.library, "torch")
        return ", ".join(name for name in needed if not _imports(name))


def _imports(name: str) -> bool:
    try:
        with _quiet():
            importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def foolbox(name: str, eps: float | None = None, *, least_likely: bool = False, **options) -> Peer:
    """Returns an attack of Foolbox, which runs on jax.

    Args:
      name: Of its class in `foolbox.attacks`.
      eps: Radius of the ball; None for an attack that minimises.
      least_likely: Whether it is led to the least likely class.
      **options: Of its constructor.
    """

    def run(predict: Any, images: np.ndarray, labels: np.ndarray, cost: Cost) -> np.ndarray:
        compiled = jax.jit(lambda predict, images: predict(images))

        def counted(images: Any) -> Any:
            if checks.is_traced(images):
                cost.gradients += len(images)
            else:
                cost.forwards += len(images)
            return compiled(predict, images)

        with _quiet():
            library = importlib.import_module("foolbox")
            model = library.models.JAXModel(counted, bounds=(0, 1))
            goal = library.criteria.Misclassification(jax.numpy.asarray(labels))
            if least_likely:
                target = compiled(predict, images).argmin(axis=-1)
                goal = library.criteria.TargetedMisclassification(target)
            attack = getattr(library.attacks, name)(**options)
            return np.asarray(attack(model, jax.numpy.asarray(images), goal, epsilons=eps)[1])

    return Peer("foolbox", run)


def _on_torch(library: str, run: Callable[[Any, Any, Any], Any]) -> Peer:
    """Makes a Peer of an attack on a torch module, images `(b, c, h, w)` and labels."""

    def found(predict: Any, images: np.ndarray, labels: np.ndarray, cost: Cost) -> np.ndarray:
        torch = importlib.import_module("torch")
        bridge = importlib.import_module("experiments.torch_bridge")
        with _quiet():
            pixels = torch.tensor(np.moveaxis(images, -1, 1).copy())
            found = run(bridge.TorchPredict(predict, cost), pixels, torch.tensor(labels).long())
            found = found.detach().numpy() if hasattr(found, "detach") else found
        return np.moveaxis(found, 1, -1)

    return Peer(library, found)


def torchattacks(name: str, **options: Any) -> Peer:
    """Returns an attack of torchattacks; options are those of its constructor."""

    def run(model: Any, images: Any, labels: Any) -> Any:
        return getattr(importlib.import_module("torchattacks"), name)(model, **options)(
            images, labels
        )

    return _on_torch("torchattacks", run)


def authors(module: str, name: str, norm: str, **options: Any) -> Peer:
    """Returns a part of the authors' AutoAttack.

    Args:
      module: Where its class lies in `pyautoattack`.
      name: Of its class.
      norm: "linf" or "l2".
      **options: Of its constructor.
    """

    def run(model: Any, images: Any, labels: Any) -> Any:
        part = getattr(importlib.import_module(f"pyautoattack.{module}"), name)
        attack = part(model, norm=norm.capitalize(), device="cpu", **options)
        return attack.perturb(images, labels)

    return _on_torch("pyautoattack", run)


def autoattack(eps: float, norm: str, num_classes: int) -> Peer:
    """Returns the authors' standard version of AutoAttack."""

    def run(model: Any, images: Any, labels: Any) -> Any:
        kind = importlib.import_module("pyautoattack.autoattack").AutoAttack
        attack = kind(model, norm=norm.capitalize(), eps=eps, device="cpu", seed=0)
        classes = min(9, num_classes - 1)  # with more it stops at an index error
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = classes
        return attack.run_standard_evaluation(images, labels, batch_size=len(images))[0]

    return _on_torch("pyautoattack", run)


def art(name: str, num_classes: int, **options: Any) -> Peer:
    """Returns an evasion attack of the Adversarial Robustness Toolbox, led to the runner-up."""

    def run(model: Any, images: Any, labels: Any) -> Any:
        library = importlib.import_module("art.attacks.evasion")
        estimators = importlib.import_module("art.estimators.classification")
        torch = importlib.import_module("torch")
        classifier = estimators.PyTorchClassifier(
            model,
            loss=torch.nn.CrossEntropyLoss(),
            input_shape=tuple(images.shape[1:]),
            nb_classes=num_classes,
            clip_values=(0.0, 1.0),
        )
        likeliest = model(images).numpy().argsort(axis=1)  # the label is first: all are right
        return getattr(library, name)(classifier, **options).generate(
            images.numpy(), np.eye(num_classes)[likeliest[:, -2]]
        )

    return _on_torch("art", run)
