"""Hidden states and log-probabilities of lines, read in batches, are those of each reply read alone."""

from pathlib import Path

import numpy as np
import pytest

from engine.models.load import load_model
from engine.models.prompts import messages, placed_ids, prompt_ids, tokenizer_of
from engine.predict import states
from engine.predict.states import Marked, states_by

REPLIES = (
    "Max is a tumpus. [1 4 mp] [5]\nMax is not sour. [2 5 mp] [6]\nAnswer: False",
    "Yes.",
    "Ünïcödé 🦊 is a vumpus. [3 mp] [4]\n\n  Sam. \nAnswer: True",
    "Max is a wumpus. [12 13 mp] [14]\n" * 6 + "Answer: True",
)


def marked() -> list[Marked]:
    found = []
    for number, reply in enumerate(REPLIES):
        lines, start = [], 0
        for row in reply.split("\n"):
            if row.strip():
                lines.append((start, start + len(row)))
            start += len(row) + 1
        chat = messages("Prove.", ("Each tumpus is sour. [1]\n" * (1 + 7 * number),))
        found.append(Marked(chat, reply, tuple(lines)))
    return found


def test_a_line_begins_and_ends_with_the_tokens_that_hold_its_ends(tiny_model: Path) -> None:
    tokenizer = tokenizer_of(tiny_model)
    for each in marked():
        row = states._tokens(tokenizer, each)
        ids, starts = placed_ids(tokenizer, each.reply)
        assert row.tokens == prompt_ids(tokenizer, each.chat) + ids
        assert row.first == len(row.tokens) - len(ids) and len(starts) == len(ids)
        for (start, end), (first, last) in zip(each.lines, row.lines, strict=True):
            text = tokenizer.decode(row.tokens[first : last + 1])
            assert each.reply[start:end].strip() in text, "and at most the token's other characters"
            assert len(text.strip()) <= end - start


@pytest.mark.parametrize("tokens", [100_000, 1])
def test_padding_and_batches_change_nothing(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tokens: int
) -> None:
    import torch

    monkeypatch.setattr(states, "_TOKENS", tokens)
    tokenizer, model = tokenizer_of(tiny_model), load_model(tiny_model, torch.float32).eval()
    found = states_by(model, tokenizer, marked(), [0.5, 1.0])
    for layer, hidden in ((1, found.hidden[0]), (2, found.hidden[1])):
        place = 0
        for each in marked():
            prompt = prompt_ids(tokenizer, each.chat)
            reply, starts = placed_ids(tokenizer, each.reply)
            ids = torch.tensor([prompt + reply])
            with torch.no_grad():
                alone = model(input_ids=ids, output_hidden_states=True)
            logprobs = torch.log_softmax(alone.logits[0, :-1], dim=-1).gather(1, ids[0, 1:, None])[:, 0]
            for start, end in each.lines:
                held = max(begin for begin in starts if begin <= start)
                first = len(prompt) + starts.index(held)
                last = len(prompt) + max(i for i, begin in enumerate(starts) if begin <= end - 1)
                wanted = alone.hidden_states[layer][0, last].numpy()
                assert np.allclose(hidden[place], wanted, atol=1e-4)
                assert found.logprob[place] == pytest.approx(
                    logprobs[first - 1 : last].mean().item(), abs=1e-4
                )
                place += 1
        assert place == len(hidden) == len(found.logprob)
        assert hidden.dtype == np.float32 and hidden.shape[1] == 64


def test_batches_hold_every_row_once_and_no_more_tokens_than_they_may() -> None:
    rows = [states._Row([0] * num, [(0, 0)], 0) for num in (5, 9000, 40, 40, 41, 3, 8000)]
    batches = list(states._batches(rows))
    assert sorted(place for batch in batches for place in batch) == list(range(7))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(len(rows[place].tokens) for place in batch) <= 4096
