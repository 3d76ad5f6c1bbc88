"""Records of today in the shape that the golden files were written in (commit 558b134)."""

import json
from typing import Any

from engine.records import Problem, to_json


def old_problem(problem: Problem) -> dict[str, Any]:
    shape: dict[str, Any] = json.loads(to_json(problem))
    return shape
