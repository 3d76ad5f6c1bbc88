"""Model directories as users bring them: a fault is one sentence with file and remedy, for every command."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from configs.load import load
from configs.serving import Serving
from engine.measure.asking import asking_of, plans_for
from engine.models.check import CACHES, check_model
from engine.models.identity import ModelError
from engine.models.native import has_own_head, has_tokenizer, is_native, writes_nothing
from engine.models.suitable import context_of
from engine.plan.machine import Machine
from engine.plan.plan import make_plan
from engine.preflight.doctor import examine_config
from engine.registry.locate import model_dir_of
from engine.registry.registry import Registry
from serve import app
from tests.support.cli import cli
from tests.support.model_dirs import (
    EMBEDDING,
    NO_SYSTEM,
    POINTER,
    SHARDED,
    WITHOUT_SYSTEM,
    Spoil,
    drop_key,
    extra_weights,
    in_shards,
    set_keys,
    sound_model,
    with_code,
    with_token,
    write,
)
from tests.support.registry import LINE, manifest

TINY = "tests/support/tiny.yaml"
HERE = Machine(num_cpus=2, memory=64 << 30, disk=100 << 30, num_gpus=0, gpu=None)
FOREIGN = {"AutoModelForCausalLM": "modeling_own.Model"}
OTHER_ROLES = (
    "{% for message in messages %}{% if message.role not in ('user', 'bot') %}"
    "{{ raise_exception('user and bot') }}{% endif %}{{ message.content }}{% endfor %}"
)


def template(text: str) -> Spoil:
    return lambda model: (model / "chat_template.jinja").write_text(text)


def pointer(name: str) -> Spoil:
    return lambda model: (model / name).write_text(POINTER)


def without_a_tensor(model: Path) -> None:
    in_shards(model, **{"model.layers.0.mlp.up_proj.weight": "model-00002-of-00002.safetensors"})


def without_index(model: Path) -> None:
    in_shards(model)
    (model / SHARDED).unlink()


def adapter_alone(model: Path) -> None:
    write(model / "adapter_config.json", peft_type="LORA", base_model_name_or_path="other")
    (model / "config.json").unlink()


def unnamed_templates(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    set_keys(model / "tokenizer_config.json", chat_template=[{"name": "rag", "template": NO_SYSTEM}])


def tokenizer_of_its_own(model: Path) -> None:
    set_keys(model / "config.json", model_type="mystery")
    own = {"AutoTokenizer": ["own.Tokenizer", None]}
    set_keys(model / "tokenizer_config.json", tokenizer_class="OwnTokenizer", auto_map=own)


def with_layers(model: Path, *names: str, width: int = 4, **keys: object) -> None:
    """Weights of two equal layers, and of further `names`; `keys` go into config.json."""
    layers = [f"model.layers.{number}.{part}.weight" for number in (0, 1) for part in ("norm", "mlp.up")]
    weights = {name: np.ones(4, dtype=np.float16) for name in (*layers, *names)}
    save_file({EMBEDDING: np.ones((8, width), dtype=np.float16), **weights}, model / "model.safetensors")
    set_keys(model / "config.json", **{"num_hidden_layers": 2, "hidden_size": 4} | keys)


def padded(model: Path) -> None:
    """More rows than tokens, as many models have."""
    save_file({EMBEDDING: np.ones((16, 4), dtype=np.float16)}, model / "model.safetensors")
    set_keys(model / "config.json", vocab_size=16)


def end_that_is_new(model: Path) -> None:
    padded(model)
    set_keys(model / "tokenizer_config.json", eos_token="<end>", pad_token="a")


def config(**keys: object) -> Spoil:
    return lambda model: set_keys(model / "config.json", **keys)


def settings(**keys: object) -> Spoil:
    return lambda model: set_keys(model / "tokenizer_config.json", **keys)


def generation(**keys: object) -> Spoil:
    return lambda model: write(model / "generation_config.json", **keys)


FAULTS: dict[str, tuple[Spoil, str, str]] = {
    "a shard is missing": (
        lambda model: in_shards(model, **{"lm_head.weight": "model-00003-of-00003.safetensors"}),
        "model-00003-of-00003.safetensors",
        "names it, so fetch it again",
    ),
    "a tensor of the index is missing": (without_a_tensor, "", "holds the tensor model.layers.0.mlp.up_proj"),
    "shards without an index": (without_index, "", "fetch the index"),
    "weights by git-lfs": (pointer("model.safetensors"), "model.safetensors", "`git lfs pull` fetches it"),
    "tokenizer by git-lfs": (pointer("tokenizer.json"), "tokenizer.json", "`git lfs pull` fetches it"),
    "template by git-lfs": (pointer("chat_template.jinja"), "chat_template.jinja", "`git lfs pull`"),
    "index by git-lfs": (pointer(SHARDED), SHARDED, "`git lfs pull` fetches it"),
    "no head": (config(tie_word_embeddings=False), "config.json", "set it to true if the embedding is the"),
    "no head by default": (
        lambda model: drop_key(model / "config.json", "tie_word_embeddings"),
        "config.json",
        "does not say tie_word_embeddings, which is false for model_type llama, but no file holds a head",
    ),
    "nothing said of a head": (config(tie_word_embeddings=None), "config.json", "but no file holds a head"),
    "a layer too few": (
        lambda model: with_layers(model, num_hidden_layers=3),
        "config.json",
        "says num_hidden_layers 3, but the files hold 2 layers: set it to 2, or take both",
    ),
    "a layer too many": (
        lambda model: with_layers(model, num_hidden_layers=1),
        "config.json",
        "says num_hidden_layers 1, but the files hold 2 layers",
    ),
    "no layer": (config(num_hidden_layers=2), "config.json", "hold 0 layers: fetch the files that are"),
    "other states": (
        lambda model: with_layers(model, width=2),
        "config.json",
        "says hidden_size 4, but model.embed_tokens.weight in model.safetensors has rows of 2 numbers",
    ),
    "another task": (
        config(architectures=["LlamaForSequenceClassification"]),
        "config.json",
        "is of the class LlamaForSequenceClassification, which writes no text",
    ),
    "padding beyond the embedding": (
        config(pad_token_id=8),
        "config.json",
        "pad_token_id 8, and the embedding has 8 rows (model.embed_tokens.weight in model.safetensors): set",
    ),
    "an end beyond it": (config(eos_token_id=[9, 8]), "config.json", "says eos_token_id 8, and the"),
    "such an end in sampling": (generation(eos_token_id=8), "generation_config.json", "says eos_token_id 8"),
    "an end that no model has seen": (
        end_that_is_new,
        "tokenizer_config.json",
        'names the eos_token "<end>", which tokenizer.json lacks: as a token that the model has never seen, '
        'it would end no answer; name "eos_token": "<eos>"',
    ),
    "vocabulary by git-lfs": (pointer("vocab.json"), "vocab.json", "`git lfs pull` fetches it"),
    "pieces by git-lfs": (pointer("tokenizer.model"), "tokenizer.model", "`git lfs pull` fetches it"),
    "another vocabulary": (config(vocab_size=9), "config.json", "set vocab_size to 8"),
    "tokens beyond the embedding": (
        lambda model: with_token(model, 8),
        "tokenizer.json",
        'up to id 8, such as "<new>", and the embedding 8 rows (model.embed_tokens.weight in',
    ),
    "a special token beyond it": (
        settings(pad_token="[PAD]"),
        "tokenizer_config.json",
        'names "[PAD]", which tokenizer.json lacks and which would become token 8',
    ),
    "an adapter beside": (
        lambda model: write(model / "adapter_config.json", peft_type="LORA"),
        "adapter_config.json",
        "remove it if they have it in them, else merge it first",
    ),
    "an adapter alone": (adapter_alone, "adapter_config.json", "merge it into its base first"),
    "no end": (settings(eos_token=None), "tokenizer_config.json", 'add "eos_token": "<eos>"'),
    "code of its own": (
        config(model_type="mystery", architectures=["Mystery"], auto_map=FOREIGN),
        "config.json",
        "which Ratchet never runs, and transformers has no language model Mystery for model_type mystery",
    ),
    "a class of its own": (
        config(architectures=["OwnForCausalLM"], auto_map=FOREIGN),
        "config.json",
        "no language model OwnForCausalLM for model_type llama: use a model of an architecture that it has",
    ),
    "a tokenizer of its own": (tokenizer_of_its_own, "tokenizer_config.json", "PreTrainedTokenizerFast"),
    "another role for the assistant": (
        template(OTHER_ROLES),
        "chat_template.jinja",
        "user and assistant: user and bot; put a template there that takes these roles",
    ),
    "no word of the assistant": (
        template("{% for message in messages if message.role == 'user' %}{{ message.content }}{% endfor %}"),
        "chat_template.jinja",
        "leaves out what the assistant says: put a template there",
    ),
    "a system message that must be": (
        template("{% if messages[0].role != 'system' %}{{ raise_exception('system first') }}{% endif %}"),
        "chat_template.jinja",
        "user and assistant: system first; put a template there",
    ),
    "a template with an error": (template("{% for %}"), "chat_template.jinja", "put a template there"),
    "templates without a default": (unnamed_templates, "tokenizer_config.json", "plain chats default"),
    "several answers to each prompt": (
        generation(num_return_sequences=3),
        "generation_config.json",
        "num_return_sequences: 3, which transformers refuses, so that no engine would start: remove it",
    ),
    "no new tokens": (generation(max_new_tokens=0), "generation_config.json", "max_new_tokens: 0"),
    "an unknown cache": (
        generation(cache_implementation="nope"),
        "generation_config.json",
        'cache_implementation: "nope", which transformers refuses',
    ),
    "a weight of one": (
        generation(assistant_ensemble_weight=1.0),
        "generation_config.json",
        "assistant_ensemble_weight: 1.0, which transformers refuses",
    ),
    "a compiler": (generation(compile_config={}), "generation_config.json", "compile_config: {}, which"),
    "a cut generation config": (
        lambda model: (model / "generation_config.json").write_text("{"),
        "generation_config.json",
        "is corrupt",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_with_file_and_remedy(tmp_path: Path, fault: str) -> None:
    model = sound_model(tmp_path / "m")
    assert check_model(model) == ()
    spoil, file, remedy = FAULTS[fault]
    spoil(model)
    with pytest.raises(ModelError) as caught:
        check_model(model)
    sentence = str(caught.value)
    assert sentence.startswith(str(model / file) if file else str(model)) and "\n" not in sentence
    assert remedy in sentence


def by_run(model: Path, home: Path, *overrides: str) -> None:
    make_plan(load(TINY, [f"base={model}", *overrides]), HERE, home)


def by_doctor(model: Path, home: Path, *overrides: str) -> None:
    examine_config(load(TINY, [f"base={model}", *overrides]), HERE, home)


def by_eval(model: Path, home: Path, *overrides: str) -> None:
    asking = asking_of(TINY)
    for override in overrides:
        key, _, value = override.removeprefix("sampler.").partition("=")
        asking = asking.model_copy(update={"sampler": asking.sampler.model_copy(update={key: int(value)})})
    plans_for(asking, {"m": model_dir_of(home, str(model))}, HERE, home)


def by_serve(model: Path, home: Path) -> None:
    registry = Registry(home)
    registry.add(model, manifest("m0"))
    registry.promote(LINE, "m0", run_id="run", round=0, expected_epoch=0, baseline=True)
    app.check(Serving(line=LINE), home, HERE)


def said_by(command: Callable[..., None], model: Path, home: Path, *overrides: str) -> str:
    with pytest.raises(ModelError) as caught:
        command(model, home, *overrides)
    return str(caught.value).replace(str(Registry(home).place("m0")), str(model))


@pytest.mark.parametrize("fault", FAULTS)
def test_every_command_says_the_same(tmp_path: Path, fault: str) -> None:
    model, home = sound_model(tmp_path / "m"), tmp_path / "home"
    FAULTS[fault][0](model)
    commands = [by_run, by_doctor, by_eval, by_serve]
    assert len({said_by(command, model, home) for command in commands}) == 1


@pytest.mark.parametrize("command", ["run", "doctor", "eval"])
def test_the_command_line_prints_it_and_starts_nothing(tmp_path: Path, command: str) -> None:
    model = sound_model(tmp_path / "m")
    pointer("model.safetensors")(model)
    arguments = [str(model), "--task", TINY] if command == "eval" else [TINY, f"base={model}", "--json"]
    done = cli(tmp_path / "home", command, *arguments)
    sentence = said_by(by_run, model, tmp_path / "home")
    if command == "doctor":
        # Among what it finds of the machine and of the rest of the config.
        findings = json.loads(done.stdout)
        assert (done.returncode, done.stderr) == (1, "")
        assert any(each["found"] == sentence and not each["ok"] for each in findings), findings
    else:
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ratchet: {sentence}\n")
    assert not (tmp_path / "home" / "runs").exists()


def test_a_longer_context_than_the_models_is_refused_before_a_start(tmp_path: Path) -> None:
    model, home = sound_model(tmp_path / "m"), tmp_path / "home"
    longer = "sampler.max_model_len=4096"
    found = {said_by(command, model, home, longer) for command in (by_run, by_doctor, by_eval)}
    assert found == {
        "sampler.max_model_len must be at most 2048, the model's own context, got 4096: see "
        f"max_position_embeddings in {model / 'config.json'}"
    }
    by_run(model, home, "sampler.max_model_len=2048")
    set_keys(model / "config.json", max_position_embeddings=1024)
    assert said_by(by_serve, model, home).startswith("engines.max_model_len must be at most 1024, the")


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (config(quantization_config={"quant_method": "awq"}), "quantised model (awq), which cannot be"),
        (config(quantization={"group_size": 64, "bits": 4}), "name the checkpoint that it was made from"),
        (lambda model: write(model / "hf_quant_config.json"), "name the checkpoint that it was made from"),
        (config(model_type="mystery"), "has no language model that could be trained"),
    ],
)
def test_what_can_only_answer_is_refused_as_a_base_and_nowhere_else(
    tmp_path: Path, spoil: Spoil, remedy: str
) -> None:
    model, home = sound_model(tmp_path / "m"), tmp_path / "home"
    spoil(model)
    sentence = said_by(by_run, model, home)
    assert remedy in sentence and str(model) in sentence and "\n" not in sentence
    assert said_by(by_doctor, model, home) == sentence
    by_eval(model, home)
    by_serve(model, home)


def whole_beside_shards(model: Path) -> None:
    in_shards(model)
    extra_weights(model, "model.safetensors")


NOTES: dict[str, tuple[Spoil, str]] = {
    "a whole model beside its shards": (
        whole_beside_shards,
        f"model.safetensors in {{}}: passed over, as {SHARDED} decides which weights are the model's",
    ),
    "consolidated weights": (
        lambda model: extra_weights(model, "consolidated.safetensors"),
        "consolidated.safetensors in {}: passed over, as model.safetensors decides",
    ),
    "code of its own that is not needed": (
        lambda model: with_code(model, model / "run"),
        "(auto_map), which is never run: transformers has its own for llama",
    ),
    "no system message": (template(NO_SYSTEM), "its text stands at the head of the first user's turn"),
    "a system message left out": (template(WITHOUT_SYSTEM), "takes no system message"),
    "nothing to pad with": (
        lambda model: drop_key(model / "tokenizer_config.json", "pad_token"),
        "tokenizer_config.json names no pad_token: training pads with the eos_token",
    ),
    "sampling without do_sample": (
        generation(do_sample=False, temperature=0.6, top_p=0.9),
        "generation_config.json sets temperature, top_p without do_sample",
    ),
}


@pytest.mark.parametrize("case", NOTES)
def test_what_is_accepted_has_a_word_said_of_it(tmp_path: Path, case: str) -> None:
    model = sound_model(tmp_path / "m")
    spoil, wanted = NOTES[case]
    spoil(model)
    (note,) = check_model(model)
    assert wanted.format(model) in note and str(model) in note
    # One round, so that no campaign is simulated.
    found = examine_config(load(TINY, [f"base={model}", "stop.rounds=1"]), HERE, tmp_path / "home")
    assert [each.found for each in found if each.section == "base"] == [note]


def more_rows(model: Path) -> None:
    padded(model)
    with_token(model, 8)


def classes_own_end(model: Path) -> None:
    drop_key(model / "tokenizer_config.json", "eos_token")
    set_keys(model / "tokenizer_config.json", tokenizer_class="LlamaTokenizerFast")


def a_head_of_its_own(model: Path) -> None:
    weights = {EMBEDDING: np.ones((8, 4), dtype=np.float16), "lm_head.weight": np.ones((8, 4))}
    save_file(weights, model / "model.safetensors")
    set_keys(model / "config.json", tie_word_embeddings=False)


@pytest.mark.parametrize(
    "usual",
    [
        more_rows,
        classes_own_end,
        a_head_of_its_own,
        in_shards,
        with_layers,
        # Layers for tokens ahead, as DeepSeek keeps them behind its own.
        lambda model: with_layers(model, "model.layers.2.norm.weight", "model.layers.2.eh_proj.weight"),
        lambda model: with_layers(model, width=2, word_embed_proj_dim=2),
        lambda model: with_layers(model, text_config={"num_hidden_layers": 2}, num_hidden_layers=24),
        config(architectures=["LLaMAForCausalLM"]),
        config(pad_token_id=-1, eos_token_id=[7, 128_009]),
        generation(pad_token_id=32_000),
        generation(cache_implementation="hybrid"),
        pointer("pytorch_model.bin"),
        config(quantization_config=None),
        generation(do_sample=True, temperature=0.6, num_return_sequences=2),
        lambda model: (model / "README.md").write_text("a model"),
    ],
)
def test_what_is_usual_is_accepted_without_a_word(tmp_path: Path, usual: Spoil) -> None:
    model = sound_model(tmp_path / "m")
    usual(model)
    assert check_model(model) == ()


def test_a_directory_is_read_again_only_when_a_file_of_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sound_model(tmp_path / "m")
    check_model(model)
    with monkeypatch.context() as patch:
        patch.setattr("engine.models.check.tensors", lambda _: pytest.fail("it was read again"))
        check_model(model)
    with_token(model, 8)
    with pytest.raises(ModelError, match="up to id 8"):
        check_model(model)


@pytest.mark.parametrize(
    ("keys", "context"),
    [
        ({"max_position_embeddings": 2048}, ("max_position_embeddings", 2048)),
        ({"n_positions": 1024}, ("n_positions", 1024)),
        ({"max_position_embeddings": 4096, "seq_length": 512}, ("seq_length", 512)),
        ({"max_position_embeddings": 4096, "model_max_length": 8192}, ("model_max_length", 8192)),
        ({"text_config": {"max_position_embeddings": 64}}, ("max_position_embeddings", 64)),
        (
            {"max_position_embeddings": 10, "rope_scaling": {"type": "linear", "factor": 4.0}},
            ("max_position_embeddings", 40),
        ),
        (
            {"max_position_embeddings": 10, "rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
            ("max_position_embeddings", 10),
        ),
        (
            {
                "max_position_embeddings": 10,
                "rope_parameters": {"full_attention": {"rope_type": "dynamic", "factor": 2.0}},
            },
            ("max_position_embeddings", 20),
        ),
        (
            {
                "max_position_embeddings": 10,
                "model_type": "gemma3_text",
                "rope_parameters": {"rope_type": "linear", "factor": 8.0},
            },
            ("max_position_embeddings", 10),
        ),
        ({}, None),
    ],
)
def test_the_context_is_the_one_that_vllm_allows(
    keys: Mapping[str, Any], context: tuple[str, int] | None
) -> None:
    assert context_of(keys) == context


@pytest.mark.slow
def test_every_architecture_of_transformers_is_known_and_no_other() -> None:
    """Importing transformers takes seconds, and it alone says what is right."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    for kind, classes in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items():
        for name in (classes,) if isinstance(classes, str) else classes:
            assert is_native({"model_type": kind, "architectures": [name]}), kind
        assert is_native({"model_type": kind}) and not is_native({"model_type": kind, "architectures": ["X"]})
    assert not is_native({"model_type": "mystery"}) and not is_native({})
    assert not writes_nothing({"model_type": "mystery", "architectures": ["MysteryModel"]})
    assert all(has_tokenizer({"model_type": kind}, {}) for kind in TOKENIZER_MAPPING_NAMES)
    assert has_tokenizer({}, {"tokenizer_class": "PreTrainedTokenizerFast"})
    assert not has_tokenizer({"model_type": "mystery"}, {"tokenizer_class": "OwnTokenizer"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sure"),
    [
        ("llama", True),
        ("qwen3", True),
        ("mistral", True),
        ("phi3", True),
        ("gpt_neox", True),
        ("deepseek_v3", True),
        ("gemma2", False),
        ("gpt2", False),
        ("dbrx", False),
        ("mystery", False),
    ],
)
def test_a_family_is_known_to_have_its_own_head_by_the_default_of_transformers(kind: str, sure: bool) -> None:
    from transformers import AutoConfig

    assert has_own_head(kind) == sure
    if sure:
        assert AutoConfig.for_model(kind).tie_word_embeddings is False


@pytest.mark.slow
def test_the_caches_of_transformers_are_known() -> None:
    from transformers.generation.configuration_utils import ALL_CACHE_IMPLEMENTATIONS

    assert {*CACHES} == {*ALL_CACHE_IMPLEMENTATIONS, "paged"}
