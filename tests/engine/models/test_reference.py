"""References: what a model says by transformers, kept by its id."""

from pathlib import Path

import pytest

from engine.models import reference
from engine.models.evidence import off_by
from engine.models.identity import ModelError
from engine.models.reference import (
    Reference,
    References,
    Text,
    computed,
    general_texts,
    joined,
    logprobs,
    of_parent,
)
from tests.support.model_dirs import copy_of, set_keys

OWN = Reference(
    texts=(
        Text(ids=(1, 2, 3), logprobs=(-0.5, -2.25), before=(-0.75, -2.0)),
        Text(ids=(4, 5), logprobs=(-1.0,)),
    ),
    rounding=0.05,
    parent_id="parent",
)


def test_the_general_texts_are_all_different_and_none_is_long() -> None:
    texts = general_texts()
    assert len(texts) == len(set(texts)) == 96
    assert all(60 <= len(text) <= 200 and "\\n" not in text for text in texts)
    assert sum("\n" in text for text in texts) > 10


def test_what_is_kept_is_read_back_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    for kept in (References(tmp_path), References()):
        assert kept.get("abc") is None
        kept.keep("abc", OWN)
        fewer = Reference(texts=OWN.texts[:1], rounding=0.1)
        kept.keep("abc", fewer)
        assert kept.get("abc") == OWN and kept.get("other") is None
        kept.keep("other", fewer)
        kept.keep("other", OWN)
        assert kept.get("other") == OWN
    assert References(tmp_path).get("abc") == OWN
    file = tmp_path / "references" / "abc.json"
    file.write_text(file.read_text()[:-5])
    with pytest.raises(ModelError, match=rf"reference {file} is damaged: delete it, and it is computed anew"):
        References(tmp_path).get("abc")


def test_a_training_may_leave_none(tmp_path: Path) -> None:
    kept = References(tmp_path)
    kept.adopt("abc", tmp_path / "out" / "model")
    assert kept.get("abc") is None


def test_a_childs_reference_is_one_of_its_parent_too() -> None:
    its = of_parent(OWN)
    assert its == Reference(texts=(Text(ids=(1, 2, 3), logprobs=(-0.75, -2.0)),), rounding=0.05)
    assert of_parent(its) is None
    assert joined(its, OWN) == Reference(texts=(*its.texts, OWN.texts[1]), rounding=0.05)
    assert joined(None, its) == joined(its, None) == its


def test_it_is_computed_from_the_files_and_completed_with_all_texts(tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    first = computed(tiny_model)
    assert first and len(first.texts) == reference.NUM_FIRST and 0 < first.rounding < 0.1
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    ids = torch.tensor([first.texts[0].ids])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss.item()
    assert loss == pytest.approx(-sum(first.texts[0].logprobs) / (ids.shape[1] - 1), abs=1e-5)
    whole = computed(tiny_model, first)
    assert whole and whole.texts[: len(first.texts)] == first.texts and len(whole.texts) == 96
    assert computed(tiny_model, whole) is whole


def test_rounding_is_what_arithmetic_in_bfloat16_would_make(tiny_model: Path) -> None:
    """Of texts of unequal length, which are read together and must not see the padding behind them."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    found = computed(tiny_model)
    assert found
    texts = [text.ids for text in found.texts[:4]]
    assert len({len(ids) for ids in texts}) > 1
    alone = [logprobs(model, [ids])[0] for ids in texts]
    for own, text in zip(alone, found.texts[:4], strict=True):
        assert own == pytest.approx(text.logprobs, abs=2e-6)
    true = off_by(logprobs(model.to(torch.bfloat16), texts), alone)
    assert true / 2 < found.rounding < true * 2


def test_a_quantised_model_has_none(tiny_model: Path, tmp_path: Path) -> None:
    model = copy_of(tiny_model, tmp_path / "model")
    set_keys(model / "config.json", quantization_config={"quant_method": "awq"})
    assert computed(model) is None
