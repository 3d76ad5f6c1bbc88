"""lm-evaluation-harness is an extra: what is missing, or of another release, is one sentence."""

import importlib
import importlib.metadata
import logging
import sys

import pytest

from engine.benchmark.package import BenchmarkError, require_harness


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.delitem(sys.modules, "lm_eval.evaluator", raising=False)
    with pytest.raises(BenchmarkError, match=r"needs the package lm_eval.*`pip install '\.\[benchmark\]'`"):
        require_harness()


def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", lambda name: None)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.5.0")
    with pytest.raises(BenchmarkError, match=r"needs lm-eval 0\.4\.13, .*; got 0\.5\.0"):
        require_harness()


def test_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib, "import_module", lambda name: None)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.4.13")
    require_harness()
    assert logging.getLogger("lm_eval").level == logging.ERROR
