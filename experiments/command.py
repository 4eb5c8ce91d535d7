"""What every experiment's command does alike: flags, presets, errors, the compilation cache."""

import ctypes
import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import rich.console
import rich.text
import tyro

C = TypeVar("C")


def run(main: Callable[[C], Any], presets: Mapping[str, C], module: str) -> None:
    """Runs an experiment from the command line: `--preset` chooses the defaults of all other flags.

    A refused value, a missing file or extra, or a training that diverged ends it with one message
    and exit code 2; with the environment variable MEDADV_TRACEBACK set, with Python's traceback.

    Args:
      main: The experiment.
      presets: Its configurations, instances of one frozen dataclass with a field `preset`; the
        first is the default.
      module: Name of the experiment's module, for the messages.
    """
    try:
        main(parse(sys.argv[1:], presets, module))
    except (ValueError, FileNotFoundError, FloatingPointError, ImportError) as error:
        if "MEDADV_TRACEBACK" in os.environ:
            raise
        text = rich.text.Text.assemble(("error: ", "bold red"), str(error))
        rich.console.Console(stderr=True).print(text, soft_wrap=True)
        sys.exit(2)


def parse(arguments: list[str], presets: Mapping[str, C], module: str) -> C:
    """Reads flags into a configuration.

    Args:
      arguments: The words after the command.
      presets: The configurations to start from.
      module: Name of the experiment's module, for the messages.

    Returns:
      The configuration that `--preset` names, or the first, with the other flags put in.

    Raises:
      SystemExit: A flag that does not exist, a value that is refused, or `--help`.
    """
    chosen = next(iter(presets))
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        name, _, value = word.partition("=")
        if name == "--preset":
            chosen = value or following
    # An unknown preset is left to tyro, whose message lists the known ones.
    default = presets.get(chosen, next(iter(presets.values())))
    return tyro.cli(type(default), prog=f"python -m {module}", args=arguments, default=default)


def common_rules(config: Any) -> list[tuple[bool, str]]:
    """Returns the rules for the flags that every experiment has; see `require`."""
    given = {name: _listed(getattr(config, name)) for name in ("sweep", "models", "epochs")}
    return [
        (
            0 < config.eps <= 1,
            f"--eps is in (0, 1], in units of the pixel range; got {config.eps}",
        ),
        (
            all(0 < eps <= 1 for eps in config.sweep),
            f"--sweep has sizes in (0, 1]; got {given['sweep']}",
        ),
        (
            0 < len(config.models) == len(set(config.models)),
            f"--models names at least one network, each once; got {given['models']}",
        ),
        (len(config.attacks) > 0, "--attacks names at least one attack or noise"),
        (
            len(config.epochs) in (1, len(config.models)) and min(config.epochs) >= 1,
            f"--epochs is one number, or one for each of the {len(config.models)} --models, at "
            f"least 1; got {given['epochs']}",
        ),
        (config.batch_size >= 2, f"--batch-size is at least 2; got {config.batch_size}"),
        (config.learning_rate > 0, f"--learning-rate is positive; got {config.learning_rate}"),
        (config.width > 0, f"--width is positive; got {config.width}"),
        (config.limit is None or config.limit >= 1, f"--limit is at least 1; got {config.limit}"),
        (config.seed >= 0, f"--seed is at least 0; got {config.seed}"),
        (
            config.name is None or config.name == pathlib.Path(config.name).name,
            f"--name is the name of a folder, without a slash; got {config.name}",
        ),
    ]


def folder_rules(config: Any, generated: Sequence[str]) -> list[tuple[bool, str]]:
    """Returns the rules for the folder of a data set; `generated` ones have none."""
    made, given = config.data in generated, config.data_dir is not None
    return [
        (
            not (made and given),
            f"--data={config.data} is generated and takes no --data-dir; got "
            f"--data-dir={config.data_dir}. Name the data set that lies there by --data",
        ),
        (made or given, f"--data={config.data} needs --data-dir, the folder that it lies in"),
    ]


def _listed(values: Sequence[Any]) -> str:
    return " ".join(map(str, values)) or "nothing"


def require(*rules: tuple[bool, str]) -> None:
    """Refuses a configuration.

    Args:
      *rules: Whether each rule holds, and what it says, with the value that was got.

    Raises:
      ValueError: A rule does not hold; the message is that of the first.
    """
    for holds, rule in rules:
        if not holds:
            raise ValueError(rule)


def words(config: Any, presets: Mapping[str, Any]) -> list[str]:
    """Returns the flags that make a configuration, whether it came from a command or from Python.

    Args:
      config: An instance of the presets' dataclass.
      presets: The configurations to start from.

    Returns:
      Words that `parse` turns into the same configuration.
    """
    base = presets[config.preset]
    found = [] if base is next(iter(presets.values())) else [f"--preset={config.preset}"]
    for field in dataclasses.fields(config):
        value, flag = getattr(config, field.name), "--" + field.name.replace("_", "-")
        if isinstance(value, tuple) and value != getattr(base, field.name):
            found += [flag, *map(str, value)]
        elif value != getattr(base, field.name):
            found.append(f"{flag}={value}")
    return found


def run_folder(config: Any) -> pathlib.Path:
    """Returns the folder that the report of an experiment goes to."""
    return config.workdir / (config.name or f"{config.data}-eps{config.eps:g}")


def epochs(config: Any, model: str) -> int:
    """Returns the passes over the training data of a network; `--epochs` is one number or all."""
    each = config.epochs * (len(config.models) if len(config.epochs) == 1 else 1)
    return each[config.models.index(model)]


def use_compilation_cache(workdir: pathlib.Path) -> None:
    """Keeps compiled programs in `<workdir>/.cache/jax`, so that the next run starts at once."""
    jax.config.update("jax_compilation_cache_dir", str(workdir.absolute() / ".cache" / "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def keep_memory() -> None:
    """Lets the process keep the memory that it frees, where glibc manages it.

    On CPU, XLA asks for its working memory anew in every step. By default glibc takes blocks of
    that size from the kernel and gives them back: the page faults were a third of a training step.
    """
    if sys.platform != "linux" or jax.default_backend() != "cpu":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent from musl
    if mallopt is not None:
        arena_max, mmap_max, trim_threshold = -8, -4, -1
        mallopt(arena_max, 1)
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
