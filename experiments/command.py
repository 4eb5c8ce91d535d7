"""What every experiment's command does alike: flags, presets, errors, the compilation cache."""

import ctypes
import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import rich.console
import rich.text
import tyro

C = TypeVar("C")


def run(main: Callable[[C], Any], presets: Mapping[str, C], module: str) -> None:
    """Runs an experiment from the command line: `--preset` chooses the defaults of all other flags.

    A refused value, a missing file or a training that diverged ends the command with one message
    and exit code 2; with the environment variable MEDADV_TRACEBACK set, with Python's traceback.

    Args:
      main: The experiment.
      presets: Its configurations, instances of one frozen dataclass with a field `preset`; the
        first is the default.
      module: Name of the experiment's module, for the messages.
    """
    try:
        main(parse(sys.argv[1:], presets, module))
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
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
