"""Deploys a server on Ray Serve, and finds out why it does not start."""

import time
from typing import TYPE_CHECKING

from engine.failures import named_again, one_line, raised_in

if TYPE_CHECKING:
    from ray.serve import Application

_LOOK_SECONDS = 0.2


def deploy(app: "Application", name: str) -> str:
    """Deploy and wait until every deployment has its replicas. Returns why one failed; empty where all run.

    Serve starts a replica three times, whatever ended it. So this looks at what did: where a replica was
    lost, Serve may try again, and where it failed, nothing is waited for.
    """
    from ray import serve

    serve.run_many([serve.RunTarget(app, name=name)], wait_for_applications_running=False)
    while (state := serve.status().applications[name]).status != "RUNNING":
        messages = [each.message for each in state.deployments.values()]
        if reasons := [reason for each in messages if (reason := why_failed(each))]:
            return reasons[0]
        if state.status == "DEPLOY_FAILED":
            lost = [one_line(said) for each in messages if (said := each.partition("Error:\n")[2])]
            return f"{state.message} {lost[0] if lost else ''}".strip()
        time.sleep(_LOOK_SECONDS)
    return ""


def why_failed(message: str) -> str:
    """Why a replica failed to start, by what Serve says of its deployment; empty if it was lost, or runs.

    Serve gives all tracebacks on the way, the last of which is of the cause, and none of a lost process.
    """
    if not (raised := raised_in(message)):
        return ""
    name, said, _ = raised[-1]
    if named_again(name):
        return ""
    module, _, short = name.rpartition(".")
    is_ours = module.partition(".")[0] in ("engine", "serve")
    return said if is_ours and said else f"{short}: {said}"
