"""`ratchet plan`: where a campaign would run on a cluster, and what it would need and cost.

ratchet plan configs/cluster.yaml --nodes 2 --gpus-per-node 8 --gpu-hour-price 2.5
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.terminal import AsJson, show

if TYPE_CHECKING:
    from configs.schema import Config
    from engine.preflight.workload import LoopWork


def app_with(work_of: Callable[["Config"], "LoopWork"]) -> typer.Typer:
    """The command, for which `work_of` gives the stages of a config's loop: this room knows no loop."""
    app = typer.Typer()

    @app.command()
    def plan(
        config: Annotated[Path, typer.Argument(help="A YAML file, such as configs/cluster.yaml.")],
        overrides: Annotated[list[str] | None, typer.Argument(help="Changes to it, as key=value.")] = None,
        nodes: Annotated[int, typer.Option(min=1, max=10_000, help="Number of equal nodes.")] = 1,
        gpus_per_node: Annotated[int, typer.Option(min=0, max=128, help="0 plans for CPUs.")] = 0,
        gpu_memory_gib: Annotated[float, typer.Option(min=1, max=1e4, help="Memory of each GPU.")] = 80,
        cpus_per_node: Annotated[
            int | None, typer.Option(min=1, max=10_000, help="By default 12 per GPU, or 8 without GPUs.")
        ] = None,
        memory_per_node_gib: Annotated[
            float | None,
            typer.Option(min=1, max=1e6, help="Memory of a node is checked only if this is given."),
        ] = None,
        gpu_hour_price: Annotated[
            float | None, typer.Option(min=0, max=1e6, help="Price of one GPU for one hour.")
        ] = None,
        assume: Annotated[
            list[str] | None, typer.Option(help="Replace an assumption, such as train_mfu=0.4 or 0.3..0.5.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Estimate where a campaign would run and its memory, time and cost. Nothing is started."""
        from configs.load import load
        from engine.plan.footprint import GIB
        from engine.plan.placement import Cluster
        from engine.preflight.dry_page import page
        from engine.preflight.dry_plan import make_dry_plan
        from engine.preflight.findings import print_table

        cluster = Cluster(
            nodes=nodes,
            gpus_per_node=gpus_per_node,
            gpu_memory=int(gpu_memory_gib * GIB),
            cpus_per_node=cpus_per_node or 12 * gpus_per_node or 8,
            memory_per_node=None if memory_per_node_gib is None else int(memory_per_node_gib * GIB),
        )
        settings = load(config, overrides)
        dry = make_dry_plan(
            settings, cluster, loop_work=work_of(settings), price=gpu_hour_price, assume=assume or ()
        )
        if as_json:
            show(dry, as_json)
            return
        print_table(page(dry))

    return app
