"""DPO on preference pairs, with an SFT term on the chosen answer."""

from typing import TYPE_CHECKING

from configs.training import Dpo, Train
from engine.records import Role, TrainFault, TrainingRow
from engine.train.faults import Stopped
from engine.train.job import Job
from engine.train.methods import TokenisedText, tokenised
from engine.train.order import Material

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer


def tokens(row: TrainingRow, tokenizer: "PreTrainedTokenizerBase", config: Train) -> list[TokenisedText]:
    """The chat with each of the two answers."""
    return [
        tokenised(row, row.chosen, tokenizer, "preferred"),
        tokenised(row, row.rejected, tokenizer, "rejected"),
    ]


def trainer(
    job: Job, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", material: Material
) -> tuple["Trainer", int]:
    """TRL's DPO trainer over pairs of ids: see `engine.train.methods.Method`."""
    config = job.config
    assert isinstance(config, Dpo)
    for row in (*material.learn, *material.hold, *material.validation):
        _require_pair(row)
    from trl import DPOConfig

    from engine.train.arguments import adapter, arguments
    from engine.train.pairs import PairTrainer, shared_pairs

    def pairs(rows: list[TrainingRow]) -> list[dict[str, list[int]]]:
        return [_pair(*tokens(row, tokenizer, config)) for row in rows]

    learn, validation = shared_pairs(
        job.scratch / "pairs", lambda: (pairs(material.learn), pairs(material.validation))
    )
    dpo = PairTrainer(
        model,
        args=DPOConfig(
            **arguments(job, material),
            beta=config.beta,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, config.sft_weight],
            precompute_ref_log_probs=True,
        ),
        train_dataset=learn,
        eval_dataset=validation,
        processing_class=tokenizer,
        peft_config=adapter(config),
    )
    once = sum(2 * len(d["prompt_ids"]) + len(d["chosen_ids"]) + len(d["rejected_ids"]) for d in learn)
    return dpo, int(once * config.epochs)


def _pair(chosen: TokenisedText, rejected: TokenisedText) -> dict[str, list[int]]:
    """Two texts of one prompt as TRL's trainer takes them once it has tokenized."""
    return {
        "prompt_ids": chosen.ids[: chosen.learnt_from],
        "chosen_ids": chosen.ids[chosen.learnt_from :],
        "rejected_ids": rejected.ids[rejected.learnt_from :],
    }


def _require_pair(row: TrainingRow) -> None:
    """Raises Stopped for a row that TRL's loss cannot take: it is a mean over the pairs of a batch."""
    wrong = ""
    if row.role is Role.HOLD:
        wrong = "only holds the model"
    elif not row.chat:
        wrong = "has no chat"
    elif row.weight != 1:
        wrong = f"has weight {row.weight:g}"
    if wrong:
        reason = (
            f"DPO learns from two answers to a chat, of weight 1, and the row of {row.problem_id!r} {wrong}"
        )
        raise Stopped(TrainFault.NOTHING_TO_LEARN, reason)
