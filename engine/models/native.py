"""Which architectures transformers has code for, read from its sources: importing it takes seconds."""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

TIED = "tie_word_embeddings"
"""The key of a config.json that says whether the embedding is the head as well."""
_ANY_TOKENIZER = {"PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend", "PythonBackend"}
_ANSWERS = ("ForCausalLM", "ForConditionalGeneration", "ChatModel", "LMHeadModel")
"""How the name of a class ends that writes text; vLLM, too, goes by that."""


def is_native(config: Mapping[str, Any]) -> bool:
    """Whether transformers has a language model for a config.json: code of the model's own is not needed."""
    classes = _language_models().get(str(config.get("model_type")))
    first = _class_of(config)
    return classes is not None and (first is None or first in classes)


def writes_nothing(config: Mapping[str, Any]) -> bool:
    """Whether a config.json names a class for another task, such as one that sorts texts.

    An architecture that nobody here knows may answer all the same.
    """
    known = str(config.get("model_type")) in _language_models()
    return known and not is_native(config) and not str(_class_of(config)).endswith(_ANSWERS)


def _class_of(config: Mapping[str, Any]) -> Any:
    named = config.get("architectures")
    return named[0] if isinstance(named, list) and named else None


@lru_cache(maxsize=8)
def has_own_head(kind: str) -> bool:
    """Whether a model of this type surely has a head of its own where its config.json says nothing of it."""
    (name,) = _pairs("auto_mappings.py", "CONFIG_MAPPING_NAMES").get(kind, [""])
    modules = _pairs("auto_mappings.py", "SPECIAL_MODEL_TYPE_TO_MODULE_NAME")
    (folder,) = modules.get(kind, [kind.replace("-", "_")])
    source = _models() / folder / f"configuration_{folder}.py"
    if not name or not source.is_file():
        return False
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    own = next((node for node in nodes if isinstance(node, ast.ClassDef) and node.name == name), None)
    # Said once, as the default: where a method of the class has a say in it as well, nothing is sure.
    said = [] if own is None else [node for node in ast.walk(own) if _speaks_of(node, TIED)]
    stated = [node for node in said if isinstance(node, ast.AnnAssign)]
    values = [node.value.value for node in stated if isinstance(node.value, ast.Constant)]
    return values == [False] and len(said) == 2  # the assignment, and the name in it


def _speaks_of(node: ast.AST, name: str) -> bool:
    match node:
        case ast.AnnAssign(target=ast.Name(id=found)) | ast.Name(id=found) | ast.Attribute(attr=found):
            return found == name
        case ast.Constant(value=found) | ast.keyword(arg=found):
            return bool(found == name)
    return False


def has_tokenizer(config: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether transformers has a tokenizer for a config.json, or has that of a tokenizer_config.json."""
    known, name = _tokenizers() | _ANY_TOKENIZER, str(settings.get("tokenizer_class"))
    return str(config.get("model_type")) in known or name in known or name.removesuffix("Fast") in known


@lru_cache(maxsize=1)
def _language_models() -> dict[str, frozenset[str]]:
    """By model type the classes that `AutoModelForCausalLM` may load."""
    table = _pairs("modeling_auto.py", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")
    return {kind: frozenset(names) for kind, names in table.items()}


@lru_cache(maxsize=1)
def _tokenizers() -> frozenset[str]:
    """Model types that `AutoTokenizer` knows, and names of the classes that it loads for them."""
    tables = ("TOKENIZER_MAPPING_NAMES", "MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS")
    return frozenset(text for table in tables for text in _strings(_value("tokenization_auto.py", table)))


def _pairs(file: str, name: str) -> dict[str, list[str]]:
    """What such a module lists for each key: one text, or several."""
    return {
        next(_strings(node.elts[0])): list(_strings(node.elts[1]))
        for node in ast.walk(_value(file, name))
        if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[0], ast.Constant)
    }


def _value(file: str, name: str) -> ast.expr:
    """What a module of transformers' `models/auto` assigns to a name at first."""
    source = _models() / "auto" / file
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets: list[ast.expr] = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.value
    raise AssertionError(f"{source} assigns nothing to {name}")


def _models() -> Path:
    spec = importlib.util.find_spec("transformers")
    assert spec and spec.submodule_search_locations, "transformers is installed"
    return Path(spec.submodule_search_locations[0]) / "models"


def _strings(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
