"""`ratchet export`: a model of the registry as a folder, or as GGUF files that are judged again.

ratchet export prontoqa/smollm2-135m --to out --format gguf --quant q8_0 --quant q4_k_m
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.export.levels import Form, Level
from engine.terminal import AsJson, follow, printable, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from configs.asking import Asking
    from engine.export.exported import Exported
    from engine.export.quantised import AskChampion, GgufOrder
    from engine.measure.readings import Asked
    from engine.models.identity import Model
    from engine.plan.machine import Machine
    from engine.plan.needs import Connects
    from engine.records import Answer, Problem


LineName = Annotated[str, typer.Argument(metavar="LINE", help="A line, for its champion, or a model's id.")]
To = Annotated[Path, typer.Option(help="A directory that is not there yet.")]
Format = Annotated[Form, typer.Option("--format", help="A folder for transformers, or files for llama.cpp.")]
Quant = Annotated[list[Level] | None, typer.Option(help="Level of a GGUF file (q4_k_m); may be repeated.")]
TaskName = Annotated[
    str | None, typer.Option(help="Task or config to judge by; else that of the model's run.")
]
Num = Annotated[int | None, typer.Option("-n", min=1, help="Problems to judge by; 300 by default.")]
Seed = Annotated[int | None, typer.Option(help="Draws the same problems of the task again.")]
Margin = Annotated[float, typer.Option(min=0.001, max=0.5, help="Largest tolerated drop of what passes.")]
Unjudged = Annotated[bool, typer.Option("--unjudged", help="Do not let GGUF files answer again.")]
KeepRefused = Annotated[bool, typer.Option("--keep-refused", help="Keep files that are refused, too.")]


def app_with(cluster: "Connects") -> typer.Typer:
    """The command, whose champion answers on a cluster."""
    app = typer.Typer()

    @app.command()
    def export(
        model: LineName,
        to: To,
        form: Format = Form.HF,
        quant: Quant = None,
        task: TaskName = None,
        num: Num = None,
        seed: Seed = None,
        margin: Margin = 0.05,
        unjudged: Unjudged = False,
        keep_refused: KeepRefused = False,
        as_json: AsJson = False,
    ) -> None:
        """Export a model with its card; GGUF files answer again, and must be as good as the champion.

        The exit code is 1 where a file is refused.
        """
        from engine.disk.home import ratchet_home
        from engine.export.merged import export_folder, stored_id
        from engine.export.place import require_new

        home, to = ratchet_home(), to.absolute()
        require_new(to)
        model_id, line = stored_id(home, model)
        judging = {"--task": task, "-n": num, "--seed": seed}
        if form is Form.HF:
            judges = {"--unjudged": unjudged or None, "--keep-refused": keep_refused or None}
            _require_none(f"with --format {form}", {"--quant": quant or None, **judging, **judges})
            exported = export_folder(home, to, model_id, line)
        else:
            from engine.export.quantised import GgufOrder, export_gguf

            if unjudged:
                _require_none("with --unjudged", judging)
            _follow()
            asking, machine = _settled(cluster, home, model_id, task, unjudged)
            order = GgufOrder(
                model=model_id,
                line=line,
                levels=tuple(dict.fromkeys(quant or [Level.Q4_K_M])),
                asking=asking,
                num=num,
                seed=seed,
                margin=margin,
                threads=machine.num_cpus,
                memory=machine.memory,
                keeps_refused=keep_refused,
            )
            with _resumable():
                exported = export_gguf(home, to, order, _asker(cluster, home, order))
        _print(exported, to, as_json)
        if any(file.judged and not file.judged.accepted for file in exported.files):
            raise typer.Exit(1)

    return app


@contextmanager
def _resumable() -> Iterator[None]:
    """Work that SIGTERM interrupts as Ctrl-C does, and that the same command continues: exit code 130."""
    from engine.disk.interruption import interruptible

    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        print("ratchet: interrupted; the same command goes on from there", file=sys.stderr)
        raise typer.Exit(130) from None


def _require_none(where: str, options: Mapping[str, object]) -> None:
    """Refuse options that would do nothing. Raises ExportError."""
    from engine.export.exported import ExportError

    for option, value in options.items():
        if value is not None:
            raise ExportError(f"{option} has no effect {where}")


def _settled(
    cluster: "Connects", home: Path, model: str, task: str | None, unjudged: bool
) -> "tuple[Asking | None, Machine]":
    """How the files are judged, decided for the machine that the champion answers on; and this machine."""
    from engine.export.asking import asking_for
    from engine.plan.machine import detect_machine
    from engine.plan.precision import settle

    here = detect_machine(home)
    return None if unjudged else settle(asking_for(home, model, task), cluster.machine(home)), here


def _asker(cluster: "Connects", home: Path, order: "GgufOrder") -> "AskChampion":
    """Lets the champion answer as at the gate. What cannot be placed is refused before anything is made."""
    from engine.plan.plan import plan_sampling
    from engine.registry.registry import Registry

    asking = order.asking
    plan = asking and plan_sampling(
        asking.sampler,
        asking.resources,
        str(Registry(home).path(order.model)),
        cluster.machine(home),
        home,
    )

    def ask(champion: "Model", asked: "Asked", shots: "Sequence[Problem]") -> "Sequence[Answer]":
        from engine.disk.interruption import interruptible
        from engine.export.judged import answered_exam, answers_in
        from engine.measure.bench import open_benches
        from engine.models.reference import References
        from engine.sample.protocol import Sampling
        from engine.tasks import load_task

        assert asking and plan, "files are judged"
        suite = load_task(asking.task.name).open(asking.task)
        cluster.connect(plan)
        # After Ray has started, which replaces the handler of SIGTERM with its own.
        with (
            interruptible(),
            open_benches(
                asking.sampler,
                asking.verify,
                asking.system,
                plan,
                suite,
                champion.path,
                References(home),
            ) as benches,
        ):
            sampling = Sampling(max_new_tokens=asking.sampler.max_new_tokens)
            exam = answered_exam(suite.task)
            return answers_in(exam.ask(benches.gate, champion, asked.problems, sampling, shots))

    return ask


def _follow() -> None:
    """Let people follow the work on standard error, without what packages say of their own."""
    follow()
    for package in ("gguf", "httpx", "httpcore"):
        logging.getLogger(package).setLevel(logging.WARNING)


def _print(exported: "Exported", to: Path, as_json: bool) -> None:
    if as_json:
        show(exported, as_json)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from engine.export.table import parts_of, sentences

    for rows in parts_of(exported):
        table = Table(box=None, pad_edge=False)
        for head in rows[0]:
            table.add_column(Text(printable(head)), overflow="fold")
        for row in rows[1:]:
            table.add_row(*(Text(printable(cell)) for cell in row))
        Console().print(table)
        print()
    for sentence in sentences(exported):
        print(printable(sentence))
    print(printable(f"model {exported.model_id} is exported to {to}"))
