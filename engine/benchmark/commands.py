"""`ratchet benchmark`: tasks of lm-evaluation-harness, a user's own, and perplexity, here or served.

ratchet benchmark embedded prontoqa/smollm2-135m --tasks arc_easy -n 200
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import AsJson

if TYPE_CHECKING:
    from engine.benchmark.orders import Done, Terms
    from engine.benchmark.tasks import Chosen
    from engine.plan.needs import Connects

_Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL…", help="Each `embedded`, a directory, a model id or a line; with --url a served name."
    ),
]
_Tasks = Annotated[list[str] | None, typer.Option(help="Tasks or groups by name, separated by commas.")]
_Include = Annotated[list[Path] | None, typer.Option(help="Directory with YAML files of tasks of your own.")]
_Texts = Annotated[list[Path] | None, typer.Option(help="A .txt, .md or JSONL file of plain documents.")]
_Shots = Annotated[int | None, typer.Option(min=0, help="Solved examples before each question.")]
_Num = Annotated[int | None, typer.Option("-n", min=1, help="Documents of each task; by default all.")]
_Chat = Annotated[bool, typer.Option("--chat", help="Put questions as chats, by the model's template.")]
_System = Annotated[str, typer.Option(help="System message, or what stands before every question.")]
_Url = Annotated[str, typer.Option(help="Ask an OpenAI-compatible API, such as http://127.0.0.1:8000/v1.")]
_KeyEnv = Annotated[
    str, typer.Option(help="Environment variable that holds the API's key; else none is sent.")
]
_Tokenizer = Annotated[str, typer.Option(help="Model whose tokenizer the served one has; ours is found.")]
_Parallel = Annotated[int, typer.Option(min=1, max=256, help="Requests to an API at once.")]
_Length = Annotated[int | None, typer.Option(min=16, help="Tokens of a prompt and its answer [2048].")]
_Metric = Annotated[str, typer.Option(help="What two models are compared by; by default a task's first.")]
_Margin = Annotated[float | None, typer.Option(help="No worse by this? 0.02 is a drop of 2 points.")]
_Alpha = Annotated[float, typer.Option(help="Chance that any verdict of the comparisons is wrong.")]
_Out = Annotated[Path | None, typer.Option(help="Directory for figures and samples, a folder a model.")]
_Again = Annotated[bool, typer.Option("--again", help="Ask anew what was answered before, too.")]
_Suite = Annotated[Path | None, typer.Option(help="Write the tasks as a suite of sentinels instead.")]


def app_with(cluster: "Connects") -> typer.Typer:
    """The command, which starts samplers on a cluster."""
    app = typer.Typer()

    @app.command()
    def benchmark(
        models: _Models = None,
        tasks: _Tasks = None,
        include_path: _Include = None,
        perplexity: _Texts = None,
        shots: _Shots = None,
        num: _Num = None,
        chat: _Chat = False,
        system: _System = "",
        url: _Url = "",
        key_env: _KeyEnv = "",
        tokenizer: _Tokenizer = "",
        parallel: _Parallel = 4,
        max_model_len: _Length = None,
        metric: _Metric = "",
        margin: _Margin = None,
        alpha: _Alpha = 0.05,
        out: _Out = None,
        again: _Again = False,
        suite: _Suite = None,
        as_json: AsJson = False,
    ) -> None:
        """Measure models on public or own benchmarks, and compare the later ones with the first, paired."""
        from engine.benchmark.package import require_harness

        require_harness()
        from engine.benchmark.orders import Order, Terms, here, require_sound, there
        from engine.benchmark.served import Api, key_of
        from engine.benchmark.tasks import Chosen

        chosen = Chosen(
            tasks=tuple(dict.fromkeys(name for each in tasks or () for name in each.split(",") if name)),
            include=tuple(include_path or ()),
            texts=tuple(perplexity or ()),
            shots=shots,
            num=num,
            chat=chat,
            system=system,
        )
        if suite is not None:
            _write_suite(chosen, suite, models)
            return
        order = Order(tuple(dict.fromkeys(models or ())), chosen, max_model_len, out, again)
        require_sound(order, terms := Terms(alpha, margin, metric), "" if url else tokenizer)
        done = there(order, Api(url, key_of(key_env), parallel), tokenizer) if url else here(order, cluster)
        _print(done, terms, as_json)

    return app


def _write_suite(chosen: "Chosen", file: Path, models: list[str] | None) -> None:
    from engine.benchmark.package import BenchmarkError
    from engine.benchmark.suites import write_suite
    from engine.benchmark.tasks import open_tasks
    from engine.terminal import counted

    if models or chosen.chat:
        given = "a model" if models else "--chat"
        raise BenchmarkError(f"--suite writes what any model is asked, as plain text: {given} has no effect")
    num = write_suite(open_tasks(chosen)["tasks"], chosen, file)
    print(f"{counted(num, 'row')} in {file}")


def _print(done: "Done", terms: "Terms", as_json: bool) -> None:
    from engine.benchmark.comparison import compare_all
    from engine.benchmark.run import Benchmark
    from engine.benchmark.table import print_benchmark

    compared = compare_all(done.measured, **terms._asdict())
    found = Benchmark(out=str(done.out), models=tuple(done.measured), comparisons=compared, alpha=terms.alpha)
    print_benchmark(found, as_json)
