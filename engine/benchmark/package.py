"""The package lm-evaluation-harness, which is an extra: checked before anything needs it, and kept quiet.

pip install '.[benchmark]'
"""

import importlib
import importlib.metadata
import logging
import os

from engine.errors import Mistake

VERSION = "0.4.13"
_QUIET = {
    # Progress is shown by `engine.terminal`, and only to people.
    "TQDM_DISABLE": "1",
    # It would fork this process, in which Ray's threads run, to resample a standard error.
    "DISABLE_MULTIPROC": "1",
}


class BenchmarkError(Mistake):
    """A benchmark that cannot be run as asked; the message says what is missing or does not fit."""


def require_harness() -> None:
    """Load lm-evaluation-harness. Raises BenchmarkError where it is missing, or of another release."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)  # read when tqdm is imported, so before the harness is
    try:
        importlib.import_module("lm_eval.evaluator")
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f"`ratchet benchmark` needs the package {error.name}, which is not installed: "
            "`pip install '.[benchmark]'` at the root of the repository installs it"
        ) from None
    if (found := importlib.metadata.version("lm-eval")) != VERSION:
        raise BenchmarkError(
            f"`ratchet benchmark` needs lm-eval {VERSION}, whose classes it builds on; got {found}"
        )
    # Its warnings are about what is decided, and told, here: cut prompts, shots, stop texts.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
