"""Settings of the scorers of records: how the answer is found in a reply, and what makes it right."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, Tag

from configs.base import Leaf, by


class After(Leaf):
    """The answer is what follows a marker, to the end of its line."""

    after: Annotated[str, Field(min_length=1, max_length=80)]
    r"""For example ``####`` or ``Answer:``. The last one in the text counts; capitals do not."""


Find: TypeAlias = Literal["whole", "last_line", "boxed"] | After
r"""Where an answer stands in a text: everywhere, in its last line that is not blank, in its last
``\boxed{…}``, or after a marker."""


class Exact(Leaf):
    """The answer is one of the accepted ones but for blanks, and quotes and points around it."""

    name: Literal["exact"] = "exact"
    find: Find = "whole"
    case: bool = False
    """Whether capitals count."""


class Numeric(Leaf):
    """The answer has the value of an accepted one; fractions, per cent, units and LaTeX are read."""

    name: Literal["numeric"] = "numeric"
    find: Literal["last_number", "whole", "boxed"] | After = "last_number"
    """``last_number`` takes the number after the last ``answer is``, ``answer:`` or ``####``, else the last
    one of the reply. A number that its sentence denies, doubts or leaves open is no answer."""


class Choice(Leaf):
    """The answer names one label and no other."""

    name: Literal["choice"] = "choice"
    find: Find = "whole"
    labels: list[Annotated[str, Field(min_length=1)]] = []
    """All labels, such as A to D. Empty: all answers of the file."""


class Regex(Leaf):
    """The accepted answers are regular expressions, one of which matches all of what is found."""

    name: Literal["regex"] = "regex"
    find: Find = "whole"


class Contains(Leaf):
    """What is found holds an accepted answer as whole words, whatever else it says."""

    name: Literal["contains"] = "contains"
    find: Find = "whole"
    case: bool = False
    """Whether capitals count."""


class Semantic(Leaf):
    """What is found means about the same as an accepted answer, by cosine similarity of embeddings."""

    name: Literal["semantic"] = "semantic"
    find: Find = "whole"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Least similarity; `ratchet data check` calibrates it on the file's own answers."""


class Json(Leaf):
    """What is found, or the one code block in it, is JSON that equals an accepted value and fits a schema."""

    name: Literal["json"] = "json"
    find: Find = "whole"
    schema_file: str | None = None
    """Path of a JSON schema, relative to the current directory."""
    equal: bool = True
    """``false``: only the schema counts."""


class Python(Leaf):
    """A function of a user's own, ``function(reply, answers)``, says whether what is found is right."""

    name: Literal["python"] = "python"
    find: Find = "whole"
    function: Annotated[str, Field(pattern=r"\.py:[A-Za-z_]\w*$")]
    """``path/to/file.py:function``. It returns True or False, or a sentence that says what is wrong."""


def _by_name(value: Any) -> Any:
    """``numeric`` stands for ``{name: numeric}``, and ``file.py:function`` for that function."""
    if isinstance(value, str):
        return {"name": "python", "function": value} if ".py:" in value else {"name": value}
    if isinstance(value, dict) and "python" in value and "name" not in value:
        rest = {key: each for key, each in value.items() if key != "python"}
        return {"name": "python", "function": value["python"], **rest}
    return value


_named: Callable[[Any], Any] = _by_name
AnyScorer: TypeAlias = Annotated[
    Annotated[
        Annotated[Exact, Tag("exact")]
        | Annotated[Numeric, Tag("numeric")]
        | Annotated[Choice, Tag("choice")]
        | Annotated[Regex, Tag("regex")]
        | Annotated[Contains, Tag("contains")]
        | Annotated[Semantic, Tag("semantic")]
        | Annotated[Json, Tag("json")]
        | Annotated[Python, Tag("python")],
        by("name", "exact"),
    ],
    BeforeValidator(_named),
]
