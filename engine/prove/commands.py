"""`ratchet prove`: a question with its proof, or the word that none was found; never an unchecked answer.

ratchet prove question.txt --samples 64
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import AsJson

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.plan.needs import Connects
    from engine.prove.model import Answering
    from engine.prove.search import Budget, Search
    from engine.verify.pool import VerifierPool


_File = Annotated[
    Path, typer.Argument(metavar="FILE", help="Premises, one a line, then the question; or JSON; `-`: stdin.")
]
_Task = Annotated[str | None, typer.Option(help="The task that reads it, or a campaign's config.")]
_Model = Annotated[
    str | None, typer.Option(help="`embedded`, a directory, a model id or a line; else a line is chosen.")
]
_Samples = Annotated[int | None, typer.Option(min=1, max=10_000, help="Most replies to a question [32].")]
_Temperature = Annotated[
    float | None, typer.Option(min=0.01, max=2, help="Of all replies but the first [0.7].")
]
_Seconds = Annotated[float | None, typer.Option(min=0, help="Draw no further replies after so long.")]
_Seed = Annotated[int, typer.Option(min=0, help="Draws the same replies again.")]


def app_with(cluster: "Connects") -> typer.Typer:
    """The command, whose model answers on a cluster."""
    app = typer.Typer()

    @app.command()
    def prove(
        file: _File,
        task: _Task = None,
        model: _Model = None,
        samples: _Samples = None,
        temperature: _Temperature = None,
        seconds: _Seconds = None,
        seed: _Seed = 0,
        as_json: AsJson = False,
    ) -> None:
        """Answer a question by a proof that both checkers accept, or say that none was found.

        The exit code is 0 if every question is answered, 1 if one is not, 2 if it cannot be asked.
        """
        from engine.disk.home import ratchet_home
        from engine.prove.model import campaign_of, chat_for, model_for
        from engine.prove.page import Page
        from engine.prove.run import checkers
        from engine.prove.search import Budget, Search
        from engine.prove.styles import posed_in, tasks_for

        home, campaign = ratchet_home(), campaign_of(task)
        posed = posed_in(file, tasks_for(task, campaign))
        answering = model_for(home, model, campaign, posed)
        searches = [
            Search(each.problem, str(number), chat_for(home, answering, each))
            for number, each in enumerate(posed)
        ]
        budget = Budget(seconds=seconds, seed=seed)
        budget = replace(budget, samples=samples or budget.samples)
        budget = replace(budget, temperature=temperature or budget.temperature)
        page, is_whole = Page(posed, searches, answering.name, budget.samples, as_json), False
        try:
            with checkers(searches, answering.asking.verify) as pool:
                if any(search.is_open for search in searches):
                    _draw(cluster, home, answering, searches, pool, budget, page.show)
            is_whole = True
        finally:
            page.close(is_whole)
        raise typer.Exit(0 if all(search.outcome().is_answered for search in searches) else 1)

    return app


def _draw(
    cluster: "Connects",
    home: Path,
    answering: "Answering",
    searches: "Sequence[Search]",
    pool: "VerifierPool",
    budget: "Budget",
    judged: "Callable[[], None]",
) -> None:
    """Start the model where it is to run, and let it answer."""
    from engine.plan.plan import plan_sampling
    from engine.plan.precision import settle
    from engine.prove.model import room_for
    from engine.prove.run import answer
    from engine.sample.group import SamplerGroup

    machine = cluster.machine(home)
    asking = settle(room_for(answering, [search.chat for search in searches]), machine)
    plan = plan_sampling(asking.sampler, asking.resources, str(answering.path), machine, home)
    cluster.connect(plan)
    place = plan.samplers
    with SamplerGroup(
        asking.sampler, answering.path, threads=place.threads, gpus=place.gpus, share_gpu=False
    ) as sampler:
        answer(searches, sampler, answering.path, pool, budget, asking.sampler.max_new_tokens, judged)
