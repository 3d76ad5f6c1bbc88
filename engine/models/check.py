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
    tensors,
    weight_files,
)
from engine.models.native import has_tokenizer, is_native
from engine.models.suitable import CONFIG, of_text
from engine.models.templates import check_template, template_of
from engine.models.tokens import SETTINGS, TOKENIZER, Special, special_tokens, token_ids

GENERATION = "generation_config.json"
_ADAPTER = "adapter_config.json"
_HEADS = ("lm_head", "embed_out", "output", "output_layer", "output_projection", "head")
_EMBEDDINGS = ("embed_tokens", "wte", "embed_in", "word_embeddings", "tok_embeddings")
"""Names of the modules that turn states into tokens and tokens into states, by family."""
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
    config = read_json(model / CONFIG)
    yield from _on_code(model / CONFIG, config)
    held = tensors(model)
    yield from _on_weights(model)
    _require_head(model / CONFIG, config, held)
    embedding = _embedding(model / CONFIG, config, held)
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
    yield from _on_generation(model / GENERATION)


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


def _require_head(file: Path, config: Mapping[str, Any], held: list[Tensor]) -> None:
    tied = config.get("tie_word_embeddings", of_text(config).get("tie_word_embeddings"))
    if tied is False and not any(_module_of(tensor) in _HEADS for tensor in held):
        raise ModelError(
            f"{file} says tie_word_embeddings: false, but no file holds a head (lm_head.weight): set it to "
            "true if the embedding is the head, else fetch the file that is missing"
        )


def _embedding(file: Path, config: Mapping[str, Any], held: list[Tensor]) -> Tensor | None:
    """The tensor that turns tokens into states; None where the family calls it otherwise.

    Raises ModelError where its size is not the one that config.json says.
    """
    found = next((tensor for tensor in held if _is_embedding(tensor)), None)
    size = of_text(config).get("vocab_size")
    if found and isinstance(size, int) and found.shape[0] != size:
        raise ModelError(
            f"{file} says vocab_size {size}, but {found.name} in {found.file.name} has {found.shape[0]} "
            f"rows: set vocab_size to {found.shape[0]}, or take both from the same checkpoint"
        )
    return found


def _is_embedding(tensor: Tensor) -> bool:
    named = tensor.name.endswith(".weight") and _module_of(tensor) in _EMBEDDINGS
    return named and len(tensor.shape) == 2


def _module_of(tensor: Tensor) -> str:
    """The name of the module that a tensor belongs to, without those around it."""
    return tensor.name.rpartition(".")[0].rpartition(".")[2]


def _on_tokens(
    model: Path, config: Mapping[str, Any], special: Special, embedding: Tensor | None
) -> Iterator[str]:
    ids, file = token_ids(model), model / SETTINGS
    if special.has_no_eos:
        end = _end_in(model, config, ids)
        example = f'"eos_token": {_quoted(end)}' if end else "eos_token, the token that ends a turn"
        raise ModelError(f"{file} names no eos_token, so that no answer could end: add {example}")
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
        named = dict.fromkeys([*special.named.values(), *special.others])
        added = [text for text in named if text is not None and text not in ids]
        if added and ids[last] + len(added) >= size:
            raise ModelError(
                f"{file} names {_quoted(added[0])}, which {TOKENIZER} lacks and which would become token "
                f"{ids[last] + 1}, and the embedding has {size} rows ({whose}): name a token that is there"
            )
    if special.named.get("pad_token") is None and special.complete:
        yield f"{file} names no pad_token: training pads with the eos_token, and no padding is learnt"


def _end_in(model: Path, config: Mapping[str, Any], ids: Mapping[str, int]) -> str:
    """The token that ends an answer by the ids of the model's configs; empty where they name none."""
    file = model / GENERATION
    generation = read_json(file) if file.exists() else {}
    ends = generation.get("eos_token_id", config.get("eos_token_id"))
    wanted = ends[0] if isinstance(ends, list) and ends else ends
    return next((text for text, number in ids.items() if number == wanted), "")


def _on_generation(file: Path) -> Iterator[str]:
    if not file.exists():
        return
    settings = read_json(file)
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
    return next((key for key in _ARGUMENTS if key in settings), "")


def _quoted(value: object) -> str:
    """A value of a file as JSON, in which nothing is unprintable; a long one is cut."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
