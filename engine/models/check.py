"""Whether a model directory can be used, found before anything starts: a sentence that names file and remedy.

    ratchet doctor configs/quickstart.yaml base=path/to/model

Engines and trainers find most of these faults late and in words of their own, and some never: transformers
draws a missing head at random. Only JSON and the headers of safetensors are read, and a template is tried.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.models.identity import (
    INDEX,
    SINGLE,
    FilesState,
    ModelError,
    Tensor,
    files_state,
    read_json,
    refuse_pointer,
    tensors,
    weight_files,
)
from engine.models.native import has_tokenizer, is_native, writes_nothing
from engine.models.suitable import CONFIG, of_text
from engine.models.templates import check_template, template_of
from engine.models.tokens import SETTINGS, TOKENIZER, Special, special_tokens, token_ids
from engine.models.weights import embedding_of, require_head, require_layers

GENERATION = "generation_config.json"
_ADAPTER = "adapter_config.json"
_READ = (".json", ".txt", ".model", ".jinja")
"""Files that somebody reads of every model directory: the engine, the trainer, or a converter."""
_NUMBERED = ((CONFIG, "pad_token_id"), (CONFIG, "eos_token_id"), (GENERATION, "eos_token_id"))
"""Where the id of a token that the embedding lacks does harm; that of a generation config pads nothing."""
_SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 50, "min_p": None, "typical_p": 1.0}
"""Settings of a generation config that are for sampling only, with the value that asks for nothing."""
_ARGUMENTS = (
    "logits_processor",
    "stopping_criteria",
    "prefix_allowed_tokens_fn",
    "synced_gpus",
    "assistant_model",
    "streamer",
    "negative_prompt_ids",
    "negative_prompt_attention_mask",
)
"""What `generate` of transformers takes, and a generation config must not hold."""
CACHES = (
    *("dynamic", "offloaded", "quantized", "static", "offloaded_static", "paged"),
    *("sliding_window", "hybrid", "hybrid_chunked", "offloaded_hybrid", "offloaded_hybrid_chunked"),
)
"""What transformers knows as `cache_implementation`."""

_sound: dict[FilesState, tuple[str, ...]] = {}


def check_model(model: Path) -> tuple[str, ...]:
    """Refuse a model that could not be sampled from, before anything starts. Raises ModelError.

    Returns a sentence on each thing that is accepted and works otherwise than the directory says. A directory
    whose files are as they were when this process checked them last is not read again.
    """
    if not model.is_dir():
        raise ModelError(f"model directory {model} does not exist")
    try:
        state = files_state(model)
    except OSError as error:
        raise ModelError(f"model directory {model} cannot be read: {error.strerror}") from None
    if state not in _sound:
        _sound[state] = tuple(_notes(model))
    return _sound[state]


def _notes(model: Path) -> Iterator[str]:
    """Make every check in turn: each raises ModelError, or yields what is worth a word."""
    _refuse_adapter(model)
    if not (model / CONFIG).exists():
        raise ModelError(f"{model} holds no model: {CONFIG} is missing")
    for file in sorted(model.iterdir()):
        if file.suffix in _READ and file.is_file():
            refuse_pointer(file)
    config = read_json(model / CONFIG)
    yield from _on_code(model / CONFIG, config)
    _require_text(model / CONFIG, config)
    held = tensors(model)
    yield from _on_weights(model)
    require_head(model / CONFIG, config, held)
    embedding = embedding_of(model / CONFIG, config, held)
    require_layers(model / CONFIG, config, held, embedding)
    if not (model / TOKENIZER).exists() or not (model / SETTINGS).exists():
        raise ModelError(f"{model} has no tokenizer: {TOKENIZER} and {SETTINGS} are needed")
    special = special_tokens(model)
    _refuse_tokenizer_code(model / SETTINGS, config)
    template = template_of(model)
    if template is None:
        raise ModelError(
            f"{model} has no chat template; use an instruction-tuned base or add chat_template.jinja"
        )
    if not check_template(template, special.in_templates):
        yield f"{template.file} takes no system message: its text stands at the head of the first user's turn"
    yield from _on_tokens(model, config, special, embedding)
    yield from _on_generation(model)


def _refuse_adapter(model: Path) -> None:
    file = model / _ADAPTER
    if not file.exists():
        return
    if (model / CONFIG).exists():
        raise ModelError(
            f"{file} lies beside a model's weights: transformers would load the adapter on top, vLLM not; "
            "remove it if they have it in them, else merge it first (merge_and_unload of peft)"
        )
    raise ModelError(
        f"{file} is of an adapter, which is no model by itself: merge it into its base first "
        "(merge_and_unload of peft) and name the merged directory"
    )


def _require_text(file: Path, config: Mapping[str, Any]) -> None:
    if writes_nothing(config):
        raise ModelError(
            f"{file} is of the class {config['architectures'][0]}, which writes no text: use a model with a "
            "language head (ForCausalLM)"
        )


def _on_code(file: Path, config: Mapping[str, Any]) -> Iterator[str]:
    if "auto_map" not in config:
        return
    kind = config.get("model_type")
    if not is_native(config):
        named = config.get("architectures")
        first = f" {named[0]}" if isinstance(named, list) and named else ""
        raise ModelError(
            f"{file} asks for code of its own (auto_map), which Ratchet never runs, and transformers has no "
            f"language model{first} for model_type {kind}: use a model of an architecture that it has"
        )
    yield f"{file} names code of its own (auto_map), which is never run: transformers has its own for {kind}"


def _refuse_tokenizer_code(file: Path, config: Mapping[str, Any]) -> None:
    settings = read_json(file)
    if "auto_map" in settings and not has_tokenizer(config, settings):
        raise ModelError(
            f"{file} asks for code of its own (auto_map), which Ratchet never runs: remove auto_map, and set "
            f"tokenizer_class to PreTrainedTokenizerFast, which reads {TOKENIZER}"
        )


def _on_weights(model: Path) -> Iterator[str]:
    used = weight_files(model)
    decides = next((name for name in (INDEX, SINGLE) if (model / name).exists()), None)
    if decides is None:
        raise ModelError(
            f"{model} has neither {SINGLE} nor {INDEX}, by which weights are found: fetch the index of its "
            f"shards, or call a single file {SINGLE}"
        )
    over = sorted(file.name for file in model.glob("*.safetensors") if file not in used)
    if over:
        yield f"{', '.join(over)} in {model}: passed over, as {decides} decides which weights are the model's"


def _on_tokens(
    model: Path, config: Mapping[str, Any], special: Special, embedding: Tensor | None
) -> Iterator[str]:
    ids, file = token_ids(model), model / SETTINGS
    if special.has_no_eos:
        raise ModelError(
            f"{file} names no eos_token, so that no answer could end: add {_end_in(model, config, ids)}"
        )
    size = embedding.shape[0] if embedding else of_text(config).get("vocab_size")
    if ids and isinstance(size, int):
        whose = f"{embedding.name} in {embedding.file.name}" if embedding else CONFIG
        last = max(ids, key=lambda text: ids[text])
        if ids[last] >= size:
            raise ModelError(
                f"{model / TOKENIZER} has tokens up to id {ids[last]}, such as {_quoted(last)}, and the "
                f"embedding {size} rows ({whose}): remove those beyond it, or give it rows for them "
                "(resize_token_embeddings of transformers)"
            )
        _refuse_ids(model, config, size, whose)
        named = dict.fromkeys([*special.named.values(), *special.others])
        added = [text for text in named if text is not None and text not in ids]
        if added and ids[last] + len(added) >= size:
            raise ModelError(
                f"{file} names {_quoted(added[0])}, which {TOKENIZER} lacks and which would become token "
                f"{ids[last] + 1}, and the embedding has {size} rows ({whose}): name a token that is there"
            )
    end = special.named.get("eos_token")
    if ids and end and end not in ids and end not in special.others:
        raise ModelError(
            f"{file} names the eos_token {_quoted(end)}, which {TOKENIZER} lacks: as a token that the model "
            f"has never seen, it would end no answer; name {_end_in(model, config, ids)}"
        )
    if special.named.get("pad_token") is None and special.complete:
        yield f"{file} names no pad_token: training pads with the eos_token, and no padding is learnt"


def _refuse_ids(model: Path, config: Mapping[str, Any], size: int, whose: str) -> None:
    """Refuse a config whose tokens for padding, or all of whose ends, are beyond the embedding's rows."""
    for name, key in _NUMBERED:
        said = of_text(config) if name == CONFIG else _generation(model)
        value = said.get(key)
        numbers = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, int)]
        if numbers and min(numbers) >= size:
            raise ModelError(
                f"{model / name} says {key} {min(numbers)}, and the embedding has {size} rows ({whose}): set "
                "it to the id of a token that is there"
            )


def _end_in(model: Path, config: Mapping[str, Any], ids: Mapping[str, int]) -> str:
    """The token that is to end an answer, by its id in the model's configs where they have one."""
    ends = _generation(model).get("eos_token_id", config.get("eos_token_id"))
    wanted = ends[0] if isinstance(ends, list) and ends else ends
    end = next((text for text, number in ids.items() if number == wanted), "")
    return f'"eos_token": {_quoted(end)}' if end else "eos_token, the token that ends a turn"


def _generation(model: Path) -> Mapping[str, Any]:
    file = model / GENERATION
    return read_json(file) if file.exists() else {}


def _on_generation(model: Path) -> Iterator[str]:
    file, settings = model / GENERATION, _generation(model)
    if key := _unusable(settings):
        raise ModelError(
            f"{file} says {key}: {_quoted(settings[key])}, which transformers refuses, so that no engine "
            "would start: remove it, as Ratchet itself sets how answers are sampled"
        )
    kept = [key for key, default in _SAMPLING.items() if settings.get(key) not in (None, default)]
    if kept and settings.get("do_sample") is not True:
        yield (
            f"{file} sets {', '.join(kept)} without do_sample, which transformers refuses to save: training "
            "does not use the file, and copies it as it is"
        )


def _unusable(settings: Mapping[str, Any]) -> str:
    """The key for which transformers cannot even read a generation config; empty where it can."""
    most, beams, each = (settings.get(key) for key in ("max_new_tokens", "num_beams", "num_return_sequences"))
    if isinstance(most, int) and most <= 0:
        return "max_new_tokens"
    greedy = not settings.get("do_sample")
    limit = beams if isinstance(beams, int) and beams > 1 else 1 if greedy else None
    if limit is not None and isinstance(each, int) and each > limit:
        return "num_return_sequences"
    if settings.get("early_stopping") not in (None, True, False, "never"):
        return "early_stopping"
    if settings.get("cache_implementation") not in (None, *CACHES):
        return "cache_implementation"
    weight = settings.get("assistant_ensemble_weight")
    if weight is not None and not (isinstance(weight, int | float) and 0 < weight < 1):
        return "assistant_ensemble_weight"
    if settings.get("compile_config") is not None:
        return "compile_config"  # a class of transformers, which JSON cannot hold
    return next((key for key in _ARGUMENTS if key in settings), "")


def _quoted(value: object) -> str:
    """A value of a file as JSON, in which nothing is unprintable; a long one is cut."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
