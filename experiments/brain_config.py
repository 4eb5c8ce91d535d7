"""What the brain experiment can be told: its flags and its presets."""

import dataclasses
import pathlib
from typing import Literal, get_args

from experiments import command

Model = Literal["unet", "segnet", "fc_densenet"]
Perturbation = Literal[
    "rician_noise",
    "gaussian_noise",
    "fgsm",
    "pgd",
    "pgd_dice",
    "segpgd",
    "cospgd",
    "dag",
    "dag_a",
    "dag_b",
    "dag_c",
    "sea",
    "asma",
]
DataSet = Literal["brain_template", "brain_phantom", "bids", "malc", "freesurfer"]
LONG = ("sea", "asma")
"""Perturbations that take hundreds of steps."""
GENERATED = ("brain_template", "brain_phantom")


@dataclasses.dataclass(frozen=True)
class Config:
    """Trains segmentation networks, perturbs their test slices, and reports what is left."""

    eps: float = 0.01
    """Size of the perturbations: the largest change of a pixel for fgsm, pgd, pgd_dice, segpgd,
    cospgd and sea, the standard deviation of the noise; in units of the pixel range [0, 1]. dag and
    asma go on until they have what they want."""
    sweep: tuple[float, ...] = (0.003,)
    """Further sizes, for the curves of score against eps."""
    models: tuple[Model, ...] = get_args(Model)
    """Networks to train and to attack; each is also attacked with the examples of the others."""
    attacks: tuple[Perturbation, ...] = tuple(n for n in get_args(Perturbation) if n not in LONG)
    """Noise and attacks. fgsm, pgd, segpgd and cospgd climb the cross-entropy, of which background
    is the largest part; pgd_dice climbs the Dice loss, of which each structure is an equal part.
    dag wants any wrong structure, dag_a background everywhere, dag_b two structures swapped, dag_c
    one structure grown. sea and asma take hundreds of steps: they run if they are named here."""
    data: DataSet = "brain_template"
    """Data set; brain_template (warped variants of one brain) and brain_phantom (synthetic) need no
    folder."""
    data_dir: pathlib.Path | None = None
    """Folder of the data set, in its published layout; it is only read."""
    plane: Literal["coronal", "axial", "sagittal"] = "coronal"
    """Plane of the slices."""
    spacing: float | None = None
    """Side of a voxel in mm that volumes are resampled to; by default they stay as they are, and
    the template's are 3 mm."""
    image_size: tuple[int, int] | None = None
    """Height and width that slices are cut or padded to, about their middle; by default they stay
    as they are, which needs slices of one size."""
    width: float = 0.25
    """Factor of the number of channels in each layer; 1 is the network as published."""
    depth: Literal["shallow", "full"] = "shallow"
    """full has the levels and blocks as published; shallow has UNet as published, SegNet of four
    levels, and FC-DenseNet of four with fewer and wider layers."""
    epochs: tuple[int, ...] = (2,)
    """Passes over the training slices: one number, or one for each network of --models."""
    batch_size: int = 8
    """Slices in a training step and in a step of an attack."""
    learning_rate: float = 1e-2
    """Peak of the learning rate (AdamW, linear warm-up, cosine decay)."""
    limit: int | None = 12
    """Most test slices to evaluate, drawn evenly over the subjects among those that show most; None
    for all slices of all test subjects, which surface distances in mm need."""
    steps: int = 10
    """Steps of pgd, pgd_dice, segpgd and cospgd, each eps/4 long."""
    dag_steps: int = 20
    """Most steps of dag, dag_a, dag_b and dag_c."""
    dag_norm: Literal["l2", "linf"] = "l2"
    """Norm in which a step of these has its length: 0.5 in l2 (20 steps in the code of Paschali et
    al.), 0.5/255 in linf (200 steps in that of Xie et al.)."""
    sea_steps: int = 100
    """Steps of each of the three parts of sea; with fewer it is no stronger than segpgd."""
    asma_steps: int = 1000
    """Most steps of asma."""
    seed: int = 0
    """Seed of the initialisation, the order of the data, the augmentation and the attacks."""
    workdir: pathlib.Path = pathlib.Path("runs/brain")
    """Receives everything: a folder a run, and what runs share (checkpoints, cells, caches)."""
    name: str | None = None
    """Name of the run's folder in workdir; by default data and eps."""
    preset: Literal["quick", "paper"] = "quick"
    """quick: narrow networks, minutes on two CPU cores. paper: the networks as published, for an
    accelerator. Every other flag overrides its preset."""

    def __post_init__(self):
        """Refuses values that no run could use."""
        command.require(
            *command.common_rules(self),
            *command.folder_rules(self, GENERATED),
            (
                self.spacing is None or self.spacing > 0,
                f"--spacing is positive, in mm; got {self.spacing}",
            ),
            (
                self.image_size is None or min(self.image_size) >= 16,
                "--image-size is a height and a width of at least 16 pixels; got "
                f"{' '.join(map(str, self.image_size or ()))}",
            ),
            *(
                (
                    getattr(self, name) >= 1,
                    f"--{name.replace('_', '-')} is at least 1; got {getattr(self, name)}",
                )
                for name in ("steps", "dag_steps", "sea_steps", "asma_steps")
            ),
        )


PRESETS = {
    "quick": Config(),
    "paper": Config(
        spacing=1.0,
        width=1.0,
        depth="full",
        epochs=(30,),
        learning_rate=2e-3,
        limit=None,
        steps=40,
        sea_steps=300,
        preset="paper",
    ),
}
