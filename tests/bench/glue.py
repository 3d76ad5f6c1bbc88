"""A round as a script of glue does it: every stage a process of its own that hands the next one a file.

So do the systems that Ratchet unites: SOKRATES starts vLLM anew to sample and to evaluate, TRL and the merge
between. `python -m tests.bench.glue STAGE DIRECTORY` runs one stage; `bench_round` runs all.
"""

import json
import sys
from pathlib import Path
from typing import Any

from configs.training import Sft
from tests.bench.work import train_plainly

STAGES = ("sample", "label", "train", "merge", "evaluate_champion", "evaluate_challenger")


def main() -> None:
    stage, at = sys.argv[1], Path(sys.argv[2])
    settings: dict[str, Any] = json.loads((at / "settings.json").read_text())
    match stage:
        case "sample":
            _generate(at, settings, settings["base"], "propose", samples=settings["samples"], temperature=0.5)
        case "label":
            _verify(at, "propose")
        case "train":
            train_plainly(Path(settings["base"]), at / "rows.json", at, Sft.model_validate(settings["train"]))
        case "merge":
            _merge(at, settings["base"])
        case "evaluate_champion":
            _generate(at, settings, settings["base"], "evaluate")
            _verify(at, "evaluate")
        case "evaluate_challenger":
            _generate(at, settings, str(at / "merged"), "evaluate")
            _verify(at, "evaluate")


def _generate(
    at: Path, settings: dict[str, Any], model: str, problems: str, samples: int = 1, temperature: float = 0.0
) -> None:
    from vllm import LLM, SamplingParams

    llm = LLM(model=model, **settings["engine"])
    params = SamplingParams(n=samples, temperature=temperature, max_tokens=settings["max_new_tokens"])
    rows = json.loads((at / f"{problems}.json").read_text())
    outputs = llm.chat([row["chat"] for row in rows], params, use_tqdm=False)
    texts = [[answer.text for answer in output.outputs] for output in outputs]
    (at / f"{problems}-answers.json").write_text(json.dumps(texts))


def _verify(at: Path, problems: str) -> None:
    from engine.records import Problem, from_json
    from engine.verify import rules
    from tests.support.proof_helpers import attempt

    rows = json.loads((at / f"{problems}.json").read_text())
    answers = json.loads((at / f"{problems}-answers.json").read_text())
    for row, texts in zip(rows, answers, strict=True):
        problem = from_json(Problem, row["problem"])
        for text in texts:
            rules.verify(problem, attempt(text, problem_id=problem.id))


def _merge(at: Path, base: str) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    PeftModel.from_pretrained(model, str(at / "adapter")).merge_and_unload().save_pretrained(at / "merged")
    AutoTokenizer.from_pretrained(base).save_pretrained(at / "merged")


if __name__ == "__main__":
    main()
