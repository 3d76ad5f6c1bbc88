"""What is found, or the one code block in it, is JSON that equals an accepted value and fits a schema."""

import json
import re
from functools import cache
from typing import TYPE_CHECKING

from configs.scorers import Json
from engine.answers import equal_json, find_answer, json_value
from engine.records import Attempt, Fault, Problem, Reference, Verdict
from engine.verify.scorers.scoring import Score, judged, nothing_found, right, wrong

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

NAME = "json"
FAULTS = {"not_in_schema": "The reply is JSON that does not fit the schema."}


def score(truth: Reference, reply: str, settings: Json) -> Score:
    """Right where the value fits the schema, if there is one, and equals an accepted one, if it must."""
    found = find_answer(reply, settings.find)
    blocks = re.findall(r"```(?:json)?\s*\n(.*?)```", found, re.DOTALL)
    if len(blocks) == 1:
        found = blocks[0].strip()
    if not found:
        return nothing_found(settings.find)
    try:
        value = json_value(found)
    except (ValueError, RecursionError) as error:
        return Score(found, Fault.UNPARSED, f"the reply is not valid JSON: {str(error)[:80]}")
    if schema := truth.extra.get("schema"):
        misfit = next(_validator(schema).iter_errors(value), None)
        if misfit is not None:
            return Score(found, "not_in_schema", f"the reply does not fit the schema: {misfit.message[:120]}")
    if settings.equal and not any(equal_json(value, json_value(answer)) for answer in truth.accepted):
        return wrong(found, truth.accepted)
    return right(found)


@cache
def _validator(schema: str) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: a reference to elsewhere is an error, and nothing is fetched.
    return Draft202012Validator(json.loads(schema), registry=Registry())


def verify(problem: Problem, attempt: Attempt) -> Verdict:
    """Judge one reply."""
    return judged(problem, attempt, Json, NAME, score)
