"""Directories of models: the smallest that is sound, and ways to spoil it. No engine could run one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

SETTINGS = '{"chat_template": "{{ messages }}", "eos_token": "."}'
"""The tokenizer_config.json of a directory that is checked and never loaded."""
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
REFUSES_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
"""The beginning of a template that refuses a system message."""
NO_SYSTEM = REFUSES_SYSTEM + TEMPLATE
WITHOUT_SYSTEM = "{% for message in messages if message.role != 'system' %}{{ message.content }}{% endfor %}"
"""Templates that refuse a system message, and that leave it out without a word."""
TOOLS = """\
{% if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}{% endif %}"""
"""A template that shows a model its tools and calls, and lets a request switch its thinking off."""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146 (cut)\nsize 12345\n"
EMBEDDING, SHARDED = "model.embed_tokens.weight", "model.safetensors.index.json"
Spoil = Callable[[Path], object]


def sound_model(path: Path) -> Path:
    """Eight tokens of four numbers, whose embedding is the head as well."""
    path.mkdir(parents=True)
    save_file({EMBEDDING: np.ones((8, 4), dtype=np.float16)}, path / "model.safetensors")
    write(
        path / "config.json",
        model_type="llama",
        architectures=["LlamaForCausalLM"],
        vocab_size=8,
        eos_token_id=7,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
    )
    vocabulary = {letter: number for number, letter in enumerate("abcdefg")}
    write(
        path / "tokenizer.json",
        version="1.0",
        added_tokens=[{"id": 7, "content": "<eos>", "special": True}],
        model={"type": "BPE", "vocab": vocabulary, "merges": []},
    )
    write(
        path / "tokenizer_config.json",
        tokenizer_class="PreTrainedTokenizerFast",
        eos_token="<eos>",
        pad_token="<eos>",
    )
    (path / "chat_template.jinja").write_text(TEMPLATE)
    return path


def write(file: Path, **content: object) -> None:
    file.write_text(json.dumps(content))


def set_keys(file: Path, **content: object) -> None:
    """Change keys of a JSON file."""
    write(file, **(json.loads(file.read_text()) | content))


def drop_key(file: Path, key: str) -> None:
    content = json.loads(file.read_text())
    del content[key]
    write(file, **content)


def in_shards(model: Path, **missing: str) -> None:
    """Put the weights into two shards with an index; `missing` are tensors with files that are not there."""
    (model / "model.safetensors").unlink()
    held = dict(missing)
    for number, name in enumerate((EMBEDDING, "model.norm.weight"), 1):
        file = held[name] = f"model-0000{number}-of-00002.safetensors"
        size = (8, 4) if name == EMBEDDING else (4,)
        save_file({name: np.ones(size, dtype=np.float16)}, model / file)
    write(model / SHARDED, metadata={}, weight_map=held)


def with_token(model: Path, number: int, text: str = "<new>") -> None:
    """Give the tokenizer a further token."""
    file = model / "tokenizer.json"
    added = json.loads(file.read_text())["added_tokens"]
    set_keys(file, added_tokens=[*added, {"id": number, "content": text, "special": False}])


def with_code(model: Path, marker: Path) -> None:
    """Name code of the model's own, which leaves a file where it is run."""
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\nraise ImportError\n"
    (model / "modeling_own.py").write_text(code)
    classes = {"AutoConfig": "modeling_own.Config", "AutoModelForCausalLM": "modeling_own.Model"}
    set_keys(model / "config.json", auto_map=classes)
    set_keys(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["modeling_own.Tokenizer", None]})


def extra_weights(model: Path, name: str, value: float = 7.0) -> None:
    """Put other weights of the same names beside the model's."""
    save_file({EMBEDDING: np.full((8, 4), value, dtype=np.float16)}, model / name)


def copy_of(model: Path, target: Path) -> Path:
    shutil.copytree(model, target)
    return target
