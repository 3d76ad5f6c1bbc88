"""Which architectures transformers has code for, read from its sources: importing it takes seconds."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_ANY_TOKENIZER = {"PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend", "PythonBackend"}


def is_native(config: Mapping[str, Any]) -> bool:
    """Whether transformers has a language model for a config.json: code of the model's own is not needed."""
    classes = _language_models().get(str(config.get("model_type")))
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    return classes is not None and (first is None or first in classes)


def has_tokenizer(config: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether transformers has a tokenizer for a config.json, or has that of a tokenizer_config.json."""
    known, name = _tokenizers() | _ANY_TOKENIZER, str(settings.get("tokenizer_class"))
    return str(config.get("model_type")) in known or name in known or name.removesuffix("Fast") in known


@lru_cache(maxsize=1)
def _language_models() -> dict[str, frozenset[str]]:
    """By model type the classes that `AutoModelForCausalLM` may load."""
    table = _value("modeling_auto.py", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")
    return {
        next(_strings(node.elts[0])): frozenset(_strings(node.elts[1]))
        for node in ast.walk(table)
        if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[0], ast.Constant)
    }


@lru_cache(maxsize=1)
def _tokenizers() -> frozenset[str]:
    """Model types that `AutoTokenizer` knows, and names of the classes that it loads for them."""
    tables = ("TOKENIZER_MAPPING_NAMES", "MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS")
    return frozenset(text for table in tables for text in _strings(_value("tokenization_auto.py", table)))


def _value(file: str, name: str) -> ast.expr:
    """What a module of transformers' `models/auto` assigns to a name at first."""
    spec = importlib.util.find_spec("transformers")
    assert spec and spec.submodule_search_locations, "transformers is installed"
    source = Path(spec.submodule_search_locations[0]) / "models" / "auto" / file
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets: list[ast.expr] = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.value
    raise AssertionError(f"{source} assigns nothing to {name}")


def _strings(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
