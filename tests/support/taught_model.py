"""A tiny model that was taught one reply to everything: whether it is right is for the question to say."""

from pathlib import Path

from engine.models.prompts import completion_ids, messages, prompt_ids
from tests.support.suites import suite
from tests.support.tiny_model import make_tiny_model


def make_taught_model(target: Path, reply: str) -> Path:
    """Write a model to `target` that answers any prompt of a task about proofs with `reply`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    make_tiny_model(target)
    tokenizer = AutoTokenizer.from_pretrained(target)
    model = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
    learnt = completion_ids(tokenizer, reply)
    rows = [
        prompt_ids(tokenizer, messages(system, problem.turns))[-100:] + learnt
        for system in ("Prove or refute.", "")
        for problem in suite("prontoqa").draw(16, split="taught", seed=0)
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = [1.0] * len(rows)
    for step in range(600):
        ids = torch.tensor([rows[step % len(rows)]])
        labels = ids.clone()
        labels[:, : -len(learnt)] = -100
        loss = model(input_ids=ids, labels=labels).loss
        losses[step % len(rows)] = loss.item()
        if max(losses) < 0.02:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert max(losses) < 0.05, f"it was not taught: {max(losses)}"
    model.to(torch.bfloat16).save_pretrained(target)
    return target
