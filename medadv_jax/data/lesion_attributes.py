"""What a synthetic lesion is like: attributes drawn with probabilities that depend on its class.

The probabilities follow what dermoscopy textbooks and the pattern-analysis literature report as
typical, exceptional or shared between diagnoses; they are rounded by hand so that the classes
overlap, and are no estimate of a population. How an image is taken (hair, ruler, light, skin tone)
does not depend on the class.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

CLASS_NAMES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""The seven diagnoses of HAM10000, in its alphabetical order."""

# Every tuple below has one entry a class, in the order of CLASS_NAMES.
PALETTE = {  # name: its colour on fair skin, its weight in each class
    "light brown": ((172, 118, 82), (0.24, 0.16, 0.38, 0.46, 0.20, 0.46, 0.03)),
    "dark brown": ((104, 66, 48), (0.08, 0.10, 0.22, 0.16, 0.36, 0.32, 0.05)),
    "black": ((46, 38, 42), (0.02, 0.06, 0.06, 0.02, 0.17, 0.05, 0.08)),
    "red": ((172, 66, 74), (0.22, 0.18, 0.04, 0.05, 0.07, 0.04, 0.40)),
    "pink": ((212, 134, 130), (0.32, 0.32, 0.08, 0.22, 0.08, 0.09, 0.18)),
    "blue-grey": ((112, 112, 130), (0.02, 0.14, 0.08, 0.03, 0.10, 0.03, 0.06)),
    "yellow": ((202, 164, 104), (0.10, 0.04, 0.14, 0.06, 0.01, 0.01, 0.01)),
    "purple": ((112, 60, 90), (0.02, 0.03, 0.01, 0.01, 0.02, 0.01, 0.24)),
}
STRUCTURES: Mapping[str, Mapping[str, tuple[float, ...]]] = {  # field: kind: its probability
    "pigment_network": {
        "typical": (0.02, 0.01, 0.03, 0.78, 0.08, 0.78, 0.01),
        "atypical": (0.01, 0.01, 0.02, 0.03, 0.76, 0.03, 0.01),
    },
    "globules": {
        "regular": (0.02, 0.01, 0.03, 0.02, 0.03, 0.62, 0.02),
        "irregular": (0.02, 0.04, 0.06, 0.02, 0.64, 0.03, 0.03),
    },
    "streaks": {
        "regular": (0.01, 0.01, 0.01, 0.01, 0.04, 0.10, 0.01),
        "irregular": (0.01, 0.02, 0.02, 0.01, 0.50, 0.02, 0.01),
    },
    "vessels": {
        "arborising": (0.03, 0.88, 0.02, 0.02, 0.04, 0.01, 0.02),
        "dotted": (0.74, 0.03, 0.03, 0.08, 0.12, 0.04, 0.02),
        "lacunae": (0.01, 0.02, 0.01, 0.01, 0.02, 0.01, 0.91),
    },
    "blue_white_veil": {"present": (0.02, 0.05, 0.03, 0.02, 0.60, 0.02, 0.06)},
    "ovoid_nests": {"present": (0.01, 0.62, 0.03, 0.01, 0.04, 0.01, 0.02)},
    "scale": {"present": (0.91, 0.05, 0.06, 0.03, 0.03, 0.02, 0.03)},
    "milia_cysts": {"present": (0.02, 0.03, 0.92, 0.02, 0.02, 0.02, 0.02)},
    "white_patch": {"present": (0.03, 0.05, 0.03, 0.92, 0.07, 0.02, 0.02)},
}
COLOUR_COUNTS = (  # probability of 1, 2, 3, 4, 5 colours, one row a class
    (0.32, 0.44, 0.19, 0.05, 0.00),
    (0.28, 0.42, 0.22, 0.07, 0.01),
    (0.28, 0.42, 0.22, 0.07, 0.01),
    (0.38, 0.43, 0.16, 0.03, 0.00),
    (0.06, 0.24, 0.36, 0.24, 0.10),
    (0.44, 0.44, 0.10, 0.02, 0.00),
    (0.42, 0.40, 0.15, 0.03, 0.00),
)
BETAS = {  # field in [0, 1]: parameters (a, b) of its beta distribution, one pair a class
    "asymmetry": ((3, 3), (3, 3), (2.5, 3.5), (1.6, 5), (5, 2), (1.4, 6), (2, 4.5)),
    "border_irregularity": ((4, 3), (3, 3), (2.5, 3.5), (2, 4.5), (4.5, 2.5), (1.8, 5), (2, 4.5)),
    "border_sharpness": ((2, 4), (2.5, 3), (5, 2), (1.8, 5), (3, 3), (3, 3), (4, 2.5)),
    "diameter": ((3, 2), (2.5, 3), (3, 2.5), (2.5, 3), (3.5, 2), (2.5, 3), (2.2, 3.2)),
}
AGES = ((67, 11), (67, 13), (64, 14), (53, 14), (61, 15), (46, 15), (51, 20))  # mean, deviation
MALE = (0.66, 0.60, 0.57, 0.54, 0.61, 0.51, 0.49)
SITES = {
    "abdomen": (2, 4, 4, 4, 6, 13, 21),
    "back": (9, 36, 19, 2, 29, 22, 17),
    "chest": (4, 9, 7, 1, 6, 4, 4),
    "face": (37, 20, 30, 1, 10, 2, 6),
    "foot": (1, 1, 1, 3, 3, 5, 2),
    "hand": (5, 1, 2, 1, 1, 1, 4),
    "lower extremity": (21, 12, 17, 68, 17, 23, 20),
    "neck": (4, 3, 3, 1, 3, 2, 3),
    "scalp": (5, 4, 3, 1, 2, 1, 1),
    "trunk": (2, 2, 7, 1, 4, 18, 22),
    "upper extremity": (20, 10, 10, 20, 19, 10, 9),
}
SKIN_TONES = (0.13, 0.34, 0.29, 0.13, 0.07, 0.04)  # Fitzpatrick types I to VI


@dataclasses.dataclass(frozen=True)
class Lesion:
    """A lesion and the person who has it; what two images of one lesion share.

    Attributes:
      stream: Non-negative integers that seed whatever is random about the way it is drawn.
      label: Index into CLASS_NAMES.
      skin_tone: Fitzpatrick type, 1 (fair) to 6 (dark).
      asymmetry: 0 (concentric colours, even outline) to 1.
      border_irregularity: 0 (smooth outline) to 1 (ragged).
      border_sharpness: 0 (fades into the skin) to 1 (cut off).
      diameter: 0 (two fifths of the field of view) to 1 (most of it).
      colours: Names from PALETTE, the main one first.
    """

    stream: tuple[int, ...]
    label: int
    skin_tone: int
    asymmetry: float
    border_irregularity: float
    border_sharpness: float
    diameter: float
    colours: tuple[str, ...]
    pigment_network: str
    globules: str
    streaks: str
    vessels: str
    blue_white_veil: bool
    ovoid_nests: bool
    scale: bool
    milia_cysts: bool
    white_patch: bool
    age: int
    sex: str
    site: str

    @property
    def radius(self) -> float:
        """The mean radius, in half widths of the field of view."""
        return 0.42 + 0.34 * self.diameter


@dataclasses.dataclass(frozen=True)
class View:
    """How one image is taken; nothing here depends on the class.

    Attributes:
      stream: As in `Lesion`.
      hair: Number of hairs in the field of view.
      ruler_marks: Whether a scale is in the field of view.
      vignette: Whether the round edge of the dermatoscope darkens the corners.
      rotation: Angle of the camera, radians.
      shift: Where the lesion's centre lies, in half widths of the field of view.
      light: Factors of red, green and blue: brightness and colour of the lamp.
      slope: How much brighter one side is, along x and y.
      blur: Standard deviation of the lens, per mille of the width.
      noise: Standard deviation of the sensor, in grey levels of 255.
    """

    stream: tuple[int, ...]
    hair: int
    ruler_marks: bool
    vignette: bool
    rotation: float
    shift: tuple[float, float]
    light: tuple[float, float, float]
    slope: tuple[float, float]
    blur: float
    noise: float


def generator(stream: tuple[int, ...], part: int = 0) -> np.random.Generator:
    """Returns the random generator of one part of a stream, independent of all other parts."""
    return np.random.default_rng(np.random.SeedSequence(stream[0], spawn_key=(*stream[1:], part)))


def _structure(rng: np.random.Generator, field: str, label: int) -> str | bool:
    kinds = STRUCTURES[field]
    bounds = np.cumsum([probabilities[label] for probabilities in kinds.values()])
    kind = [*kinds, "absent"][int(np.searchsorted(bounds, rng.random(), side="right"))]
    return kind == "present" if "present" in kinds else kind


def draw_lesion(stream: tuple[int, ...], label: int) -> Lesion:
    """Draws a lesion of a class and its owner.

    Args:
      stream: Non-negative integers; the same ones give the same lesion.
      label: Index into CLASS_NAMES.

    >>> draw_lesion((0, 1, 2), 5) == draw_lesion((0, 1, 2), 5)
    True
    """
    rng = generator(stream)
    # The skin comes first, from draws that every class makes alike.
    skin_tone = 1 + int(rng.choice(len(SKIN_TONES), p=SKIN_TONES))
    weights = np.array([by_class[label] for _, by_class in PALETTE.values()])
    count = 1 + int(rng.choice(5, p=COLOUR_COUNTS[label]))
    colours = rng.choice(list(PALETTE), size=count, replace=False, p=weights / weights.sum())
    age = int(np.clip(5 * round(rng.normal(*AGES[label]) / 5), 5, 90))  # in steps of 5 years
    places = np.array([by_class[label] for by_class in SITES.values()], float)
    drawn: dict[str, Any] = {
        field: float(rng.beta(*by_class[label])) for field, by_class in BETAS.items()
    }
    drawn |= {field: _structure(rng, field, label) for field in STRUCTURES}
    return Lesion(
        stream=stream,
        label=label,
        skin_tone=skin_tone,
        colours=tuple(str(colour) for colour in colours),
        age=age,
        sex="male" if rng.random() < MALE[label] else "female",
        site=str(rng.choice(list(SITES), p=places / places.sum())),
        **drawn,
    )


def draw_view(stream: tuple[int, ...]) -> View:
    """Draws how an image is taken.

    Args:
      stream: Non-negative integers; the same ones give the same view.

    >>> draw_view((0, 1, 2)) == draw_view((0, 1, 2))
    True
    """
    rng = generator(stream)
    gain, warm, magenta = rng.normal((0.96, 0.0, 0.0), (0.07, 0.04, 0.04))
    return View(
        stream=stream,
        hair=int(rng.integers(3, 20)) if rng.random() < 0.3 else 0,
        ruler_marks=bool(rng.random() < 0.2),
        vignette=bool(rng.random() < 0.3),
        rotation=float(rng.uniform(0, 2 * np.pi)),
        shift=(float(rng.normal(0, 0.07)), float(rng.normal(0, 0.07))),
        light=(float(gain * (1 + warm)), float(gain * (1 - magenta)), float(gain * (1 - warm))),
        slope=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.06))),
        blur=float(rng.uniform(1, 5)),
        noise=float(rng.uniform(1, 4)),
    )
