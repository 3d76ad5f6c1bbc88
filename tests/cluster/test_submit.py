"""`ratchet submit`: it refuses mistakes before it sends anything, and finds the jobs that belong to a run."""

import http.server
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray._private.ray_constants import WORKER_PROCESS_SETUP_HOOK_ENV_VAR, get_runtime_env_default_excludes
from ray._private.runtime_env.setup_hook import load_and_execute_setup_hook
from ray.exceptions import AuthenticationError

from cluster.follow import Following, exit_code
from cluster.order import Kind, Order, OrderError, order_resume, order_run
from cluster.submit import _PROXIES, SubmitError, open_client, send
from cluster.upload import refusal
from configs.experiment import load_experiment
from tests.support.cli import QUICKSTART, ROOT, cli

EXPERIMENT = "tests/support/tiny_experiment.yaml"
ORDER = Order(
    run_id="night", command=["run", "c.yaml"], config="abc", working_dir=Path("/somewhere"), home="/shared"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "submit needs a config, or --resume RUN to continue a run, got neither"),
        ([QUICKSTART, "--resume", "night"], "--resume RUN takes no config, --submission-id, --sweep or"),
        (["--resume", "night", "--submission-id", "other"], "--resume RUN takes no config, --submission-id"),
        (["--resume", "night", "--sweep"], "--resume RUN takes no config, --submission-id, --sweep or"),
        (["--resume", "night", "--experiment"], "--sweep or --experiment: the run has its own"),
        ([EXPERIMENT, "--experiment", "--sweep"], "a file describes a sweep or an experiment, got both"),
        ([EXPERIMENT], f"and on a cluster `ratchet submit --experiment {EXPERIMENT}`"),
        ([EXPERIMENT, "--experiment", "control=gentel"], "control must be one of the arms usual, gentle"),
        (
            ["--resume", "latest"],
            "--resume: run_id: 'latest' is the link to the newest run and cannot be a run's id",
        ),
        (["--resume", "../a"], "--resume: run_id must match"),
        ([QUICKSTART, "loop.train.learning_rat=1"], "unknown key loop.train.learning_rat"),
        ([QUICKSTART, "--submission-id", "a b"], "run_id must match"),
        ([QUICKSTART, "--submission-id", "latest"], "run_id: 'latest' is the link to the newest run"),
        ([QUICKSTART, "--submission-id", "a" * 101], "run_id must have at most 100 characters"),
        (["/etc/hostname"], "config /etc/hostname must be in the working directory"),
        ([QUICKSTART, "--working-dir", "/no/such"], "--working-dir /no/such cannot be used: No such file"),
        (["configs/sweeps/quick.yaml", "--sweep", "trials=0"], "trials must be"),
        ([QUICKSTART, "--address", "auto"], "--address must be that of a Ray dashboard"),
        ([QUICKSTART, "--address", "ray://me:secret@there"], "a Ray dashboard, such as"),
        ([QUICKSTART, "--address", "http://[::1"], "no Ray dashboard answers at http://[::1:"),
        ([QUICKSTART, "--address", "http://me:secret@127.0.0.1:1"], "answers at http://127.0.0.1:1:"),
        ([QUICKSTART, "--address", "http://me:sec/secret@127.0.0.1:1"], "answers at http://127.0.0.1:1:"),
        ([QUICKSTART, "--address", "http://127.0.0.1:1"], "no Ray dashboard answers at http://127.0.0.1:1"),
        ([QUICKSTART, "--address", "http://127.0.0.1:x"], "no Ray dashboard answers at http://127.0.0.1:x"),
        ([QUICKSTART, "--address", "http://me:secret@::1:8265"], "an IPv6 address must stand in brackets"),
        ([QUICKSTART, "--address", "http://[::1]:1"], "no Ray dashboard answers at http://[::1]:1"),
    ],
)
def test_a_mistake_is_a_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    done = cli(tmp_path, "submit", *arguments)
    assert done.returncode == 2 and sentence in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not done.stdout
    assert "secret" not in done.stderr


@pytest.mark.parametrize("kind", ["sweep", "experiment"])
def test_the_campaign_of_its_trials_is_sent_with_it(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("RATCHET_HOME", raising=False)
    (tmp_path / "there").mkdir()
    (tmp_path / "tiny.yaml").write_text((ROOT / "tests" / "support" / "tiny.yaml").read_text())
    text = (ROOT / "tests" / "support" / f"tiny_{kind}.yaml").read_text().replace("tiny.yaml", "../tiny.yaml")
    (tmp_path / "there" / "file.yaml").write_text(text)

    def order(working_dir: Path) -> Order:
        return order_run(
            tmp_path / "there" / "file.yaml",
            [],
            kind=kind,
            submission_id="night",
            new_id=str,
            working_dir=working_dir,
        )

    assert order(tmp_path).command == [kind, "there/file.yaml", 'run_id="night"']
    with pytest.raises(OrderError, match=r"campaign \.\./tiny.yaml must be in the working directory"):
        order(tmp_path / "there")


def test_an_experiment_is_known_by_its_arms_and_its_campaign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RATCHET_HOME", "/shared/ratchet")

    def order(*overrides: str, submission_id: str | None = None) -> Order:
        return order_run(
            ROOT / EXPERIMENT,
            overrides,
            kind="experiment",
            submission_id=submission_id,
            new_id=lambda name: f"new-{name}",
            working_dir=ROOT,
        )

    found = order("seeds=3")
    assert found.run_id == "new-tiny-experiment" and found.home == "/shared/ratchet"
    assert found.command == ["experiment", EXPERIMENT, "seeds=3", 'run_id="new-tiny-experiment"']
    _, path, *overrides = found.command
    settings = load_experiment(path, overrides).settings
    assert (settings.run_id, settings.seeds) == ("new-tiny-experiment", 3), "as the job will read it"
    digests = [
        order(*changes).config
        for changes in ((), ("seeds=3",), ("set.seed=1",), ("arms.more={loop: {samples: 3}}",))
    ]
    assert len({*digests}) == 4, "a changed arm, seed or campaign is another experiment"
    assert order(submission_id="7").config == order("run_id=mine").config == digests[0]


def test_a_server_that_accepts_and_stays_silent_is_no_dashboard(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setattr("cluster.submit._ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        hangs_up = threading.Timer(120, mute.close)
        hangs_up.start()
        with pytest.raises(SubmitError, match=f"the server at http://{address} gave no answer within 0.2 s"):
            open_client(f"http://me:secret@{address}")
        hangs_up.cancel()


class SlowDashboard(http.server.BaseHTTPRequestHandler):
    """Answers GET after `delay` seconds, and POST later than the time limit of GET.

    It answers as well where it is asked as a proxy: for the whole address of a dashboard.
    """

    delay = 0.0

    def do_GET(self) -> None:
        time.sleep(self.delay)
        self.reply({"ray_version": "2.60.0"} if "version" in self.path else [])

    def do_POST(self) -> None:
        time.sleep(2.5)
        self.reply({"stopped": True})

    def reply(self, content: object) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


class IPv6Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def refusing(status: int, said: str) -> type[http.server.BaseHTTPRequestHandler]:
    """A server that answers every question with one refusal."""

    class Refusing(SlowDashboard):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(said.encode())

    return Refusing


@contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler],
    kind: type[http.server.ThreadingHTTPServer] = http.server.ThreadingHTTPServer,
    host: str = "127.0.0.1",
) -> Iterator[str]:
    """The address of a server that runs until the context ends."""
    server = kind((host, 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process's environment, as that of a test alone and without a proxy."""
    of_proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    kept = {name: value for name, value in os.environ.items() if name.lower() not in of_proxies}
    monkeypatch.setattr("os.environ", kept)
    monkeypatch.setattr("cluster.submit._CONNECT_SECONDS", 0.5)
    return kept


@pytest.mark.slow
def test_questions_have_a_time_limit_and_orders_none(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setattr("cluster.submit._ANSWER_SECONDS", 1.5)
    with serving(SlowDashboard) as address:
        client = open_client(address)
        assert client.stop_job("night")
        monkeypatch.setattr(SlowDashboard, "delay", 2.5)
        with pytest.raises(SubmitError, match="gave no answer within 1.5 s"):
            send(client, ORDER, as_json=True)


ELSEWHERE = "http://me:secret@192.0.2.1:8265"
"""An address of documentation, which only a proxy reaches."""


def test_a_dashboard_that_answers_is_asked_past_the_proxy(environment: dict[str, str]) -> None:
    with serving(SlowDashboard) as address, serving(refusing(403, "no")) as proxy:
        for environment["http_proxy"] in ("http://127.0.0.1:1", proxy):
            assert open_client(address).list_jobs() == []


def test_a_dashboard_behind_a_proxy_is_asked_through_it(environment: dict[str, str]) -> None:
    with serving(SlowDashboard) as environment["all_proxy"]:
        assert open_client(ELSEWHERE).list_jobs() == []


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (403, "answers 403 Forbidden, and not for a token of Ray"),
        (401, "answers 401 Unauthorized, and not for a token of Ray"),
        (407, "answers 407 Proxy Authentication Required"),
        (502, "answers 502 Bad Gateway: give another --address, or try again later"),
    ],
)
def test_what_a_proxy_refuses_is_told_as_its_refusal(
    status: int, sentence: str, environment: dict[str, str]
) -> None:
    with (
        serving(refusing(status, "<html>\n<p>The authentication token of the proxy is invalid</p>")) as proxy,
        pytest.raises(SubmitError, match=f"the proxy {proxy} on the way to it, {sentence}") as refused,
    ):
        environment["http_proxy"] = proxy
        open_client(ELSEWHERE)
    assert "secret" not in str(refused.value)


def test_a_dead_proxy_is_named(environment: dict[str, str]) -> None:
    environment["http_proxy"] = "me:secret@127.0.0.1:1"
    with pytest.raises(SubmitError, match=r"neither http://192\.0\.2\.1:8265 answers nor the proxy") as dead:
        open_client(ELSEWHERE)
    assert "all_proxy), http://127.0.0.1:1:" in str(dead.value) and "secret" not in str(dead.value)


@pytest.mark.parametrize(
    ("status", "said", "sentence"),
    [
        (401, "Unauthorized: Missing authentication token", "wants a token: set RAY_AUTH_TOKEN_PATH"),
        (403, "Forbidden: Invalid authentication token", "refuses this token: set RAY_AUTH_TOKEN_PATH"),
    ],
)
def test_a_token_that_ray_refuses_is_told_as_such(
    status: int, said: str, sentence: str, environment: dict[str, str]
) -> None:
    with serving(refusing(status, said)) as address, pytest.raises(SubmitError, match=sentence):
        open_client(address)


def test_an_ipv6_address_is_taken(environment: dict[str, str]) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(SlowDashboard, IPv6Server, "::1") as address:
        assert open_client(address).list_jobs() == []


@pytest.mark.parametrize("home", ["relative", str(ROOT / "inner")])
def test_home_must_outlive_the_job(home: str) -> None:
    done = cli(Path(home), "submit", QUICKSTART)
    assert done.returncode == 2 and "outside the working directory" in done.stderr


@pytest.mark.parametrize(("said", "home"), [("", None), (" ", None), ("~/ratchet", "/home/me/ratchet")])
def test_home_is_read_as_a_shell_reads_it(
    said: str, home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of environment variables is read by no shell, and may name a variable without a value."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("RATCHET_HOME", said)
    assert order_resume("night", working_dir=Path()).home == home


def test_another_server_is_no_dashboard(tmp_path: Path) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    done = cli(tmp_path, "submit", QUICKSTART, "--address", f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    assert done.returncode == 2 and "404" in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_every_source_of_a_name_names_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("RATCHET_HOME", raising=False)

    def order(*overrides: str, submission_id: str | None = None) -> Order:
        return order_run(
            ROOT / QUICKSTART,
            overrides,
            kind="run",
            submission_id=submission_id,
            new_id=lambda name: f"new-{name}",
            working_dir=ROOT,
        )

    assert order().run_id == "new-quickstart"
    assert order().command == ["run", QUICKSTART, 'run_id="new-quickstart"']
    assert order("run_id=mine").run_id == "mine"
    assert order(submission_id="7").command[-1] == 'run_id="7"'
    # The config's hash does not depend on the name of the run.
    assert order(submission_id="7").config == order("run_id=mine").config != order("seed=1").config


class Jobs:
    """A cluster's jobs, as Ray lists them to its clients."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.sent: list[dict[str, Any]] = []

    def add(self, id: str, status: str, **metadata: str) -> None:
        self.all.append(SimpleNamespace(submission_id=id, status=status, metadata=metadata or None))

    def get_address(self) -> str:
        return "http://ray"

    def list_jobs(self) -> Sequence[Any]:
        return self.all

    def submit_job(self, *, submission_id: str, metadata: dict[str, str], **job: Any) -> None:
        if any(job.submission_id == submission_id for job in self.all):
            raise RuntimeError(f"failed:\nJob with submission_id {submission_id} already exists.")
        self.sent.append(job)
        self.add(submission_id, "PENDING", **metadata)


def test_a_second_submit_joins_or_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: Any = Jobs()
    assert send(jobs, ORDER, as_json=True) == ("night", True)
    assert jobs.sent[0]["entrypoint"] == "python -m ratchet run c.yaml --json"
    assert jobs.sent[0]["runtime_env"]["env_vars"]["RATCHET_HOME"] == "/shared"
    assert send(jobs, ORDER, as_json=False) == ("night", False)
    for number, status in enumerate(("STOPPED", "FAILED"), start=2):
        jobs.all[-1].status = status
        assert send(jobs, ORDER, as_json=False) == (f"night.{number}", True)
        assert send(jobs, ORDER, as_json=False) == (f"night.{number}", False)
    jobs.all[-1].status = "SUCCEEDED"
    assert send(jobs, ORDER, as_json=False) == ("night.3", False)
    with pytest.raises(SubmitError, match="run night exists with another config"):
        send(jobs, replace(ORDER, config="def"), as_json=False)
    # The hash of the config survives a resume, which does not name the config.
    jobs.all[-1].status = "STOPPED"
    assert send(jobs, replace(ORDER, config=""), as_json=False) == ("night.4", True)
    with pytest.raises(SubmitError, match="with another config"):
        send(jobs, replace(ORDER, config="def"), as_json=False)


def test_the_python_of_a_job_is_that_of_rays_environment(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's own code takes the hook from the job's variables, also in the process that starts its command."""
    jobs: Any = Jobs()
    send(jobs, ORDER, as_json=False)
    hook = jobs.sent[0]["runtime_env"]["env_vars"][WORKER_PROCESS_SETUP_HOOK_ENV_VAR]
    monkeypatch.setattr("sys.executable", str(tmp_path / "mit Leerzeichen" / "bin" / "python"))
    environment["PATH"] = "/usr/bin:/bin"
    for _ in range(2):
        assert load_and_execute_setup_hook(hook) is None
        assert environment["PATH"] == f"{tmp_path}/mit Leerzeichen/bin:/usr/bin:/bin"


def make_files(at: Path, **sizes: int) -> None:
    for name, size in sizes.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        with open(at / name, "wb") as file:
            file.truncate(size)


def test_an_upload_is_weighed_as_ray_packs_it(tmp_path: Path) -> None:
    from ray._private.runtime_env.packaging import create_package

    there = tmp_path / "dir"
    make_files(there, **{"a.py": 10, "mit Leerzeichen ü/daten.jsonl": 3000, "b/.ratchet/weights": 9000})
    make_files(there, **{".git/objects/pack": 500, "out/x": 700})
    (there / ".gitignore").write_text("out/\n")
    excludes = [*get_runtime_env_default_excludes(), ".ratchet/"]
    create_package(str(there), tmp_path / "package.zip", include_gitignore=True, excludes=excludes)
    size = (tmp_path / "package.zip").stat().st_size

    def refused(limit: int) -> str | None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ray._private.ray_constants.DASHBOARD_CLIENT_MAX_SIZE", limit)
            return refusal(there, [".ratchet/"])

    assert refused(size) is None and refused(size - 1) is not None


def test_an_upload_above_the_limit_names_the_largest_files(tmp_path: Path) -> None:
    mib = 2**20
    make_files(tmp_path, **{"data/large.jsonl": 70 * mib, "model.bin": 50 * mib, "small.py": 7})
    jobs: Any = Jobs()
    with pytest.raises(SubmitError) as refused:
        send(jobs, replace(ORDER, working_dir=tmp_path), as_json=False)
    assert "has 120.0 MiB to send, but a Ray dashboard takes 100.0 MiB" in str(refused.value)
    assert "largest files are data/large.jsonl (70.0 MiB), model.bin (50.0 MiB), sm" in str(refused.value)
    assert f"name what the job does not need in {tmp_path}/.rayignore" in str(refused.value)
    assert not jobs.sent
    (tmp_path / ".rayignore").write_text("*.bin\n")
    send(jobs, replace(ORDER, working_dir=tmp_path), as_json=False)
    assert len(jobs.sent) == 1


def test_jobs_of_other_runs_are_left_alone() -> None:
    jobs: Any = Jobs()
    jobs.add("night.2", "RUNNING", ratchet_run="night.2")
    jobs.add("raysubmit_1", "RUNNING")
    # `ray job submit` sent this one; its submission id names the run as well.
    jobs.add("night", "STOPPED")
    assert send(jobs, ORDER, as_json=False) == ("night.3", True)
    assert send(jobs, replace(ORDER, run_id="night.2", config=""), as_json=False) == ("night.2", False)


def test_the_second_of_two_concurrent_submits_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: Any = Jobs()
    seen = [[], jobs.all]
    monkeypatch.setattr(jobs, "list_jobs", lambda: seen.pop(0) if len(seen) > 1 else jobs.all)
    jobs.add("night", "RUNNING", ratchet_run="night", ratchet_config="abc")
    assert send(jobs, ORDER, as_json=False) == ("night", False)


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        ("SUCCEEDED", 0, 0),
        ("FAILED", 2, 2),
        ("FAILED", 130, 130),
        ("FAILED", -9, 137),
        ("FAILED", None, 1),
        ("STOPPED", None, 130),
    ],
)
def test_the_exit_code_is_the_jobs_own(status: str, code: int | None, ours: int) -> None:
    assert exit_code(SimpleNamespace(status=status, driver_exit_code=code)) == ours  # type: ignore[arg-type]


def test_output_is_shown_once_though_the_dashboard_is_lost_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cluster.follow._POLL_SECONDS", 0)
    text, ends = "one\ntwo\nthree\n", iter([5, 0, 9, 14, 14])  # while it is pending there is nothing to read
    statuses = iter(["PENDING", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED", "SUCCEEDED"])

    class Client:
        def get_address(self) -> str:
            return "http://ray"

        def get_job_info(self, job: str) -> Any:
            return SimpleNamespace(status=next(statuses))

        async def tail_job_logs(self, job: str) -> Any:
            end = next(ends)
            yield text[: end // 2]
            yield text[end // 2 : end]
            if end < 9:
                raise RuntimeError("WebSocket connection closed unexpectedly")

    written: list[str] = []
    client: Any = Client()
    assert Following(client, "night", written.append).to_end().status == "SUCCEEDED"
    assert "".join(written) == text


def test_people_are_told_once_why_a_job_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.follow._POLL_SECONDS", 0)
    monkeypatch.setattr("cluster.follow._PENDING_SECONDS", -1)
    statuses = iter(["PENDING", "PENDING", "FAILED"])
    why = "Job has not started yet."

    class Client:
        def get_job_info(self, job: str) -> Any:
            return SimpleNamespace(status=next(statuses), message=why)

        async def tail_job_logs(self, job: str) -> Any:
            for text in ():
                yield text

    told: list[str] = []
    client: Any = Client()
    assert Following(client, "night", print, told.append).to_end().status == "FAILED"
    assert told == [why]


class Away:
    """A dashboard that answered once, and then fails as `error` says."""

    def __init__(self, error: Exception) -> None:
        self.error, self.asked = error, 0

    def get_address(self) -> str:
        return ELSEWHERE

    def get_job_info(self, job: str) -> Any:
        self.asked += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "asked", "said"),
    [
        (
            AuthenticationError("the proxy said: Forbidden"),
            1,
            "answers 401 Unauthorized, and not for a token",
        ),
        (
            AuthenticationError("failed: Forbidden: Invalid authentication token"),
            1,
            "the cluster at http://192.0.2.1:8265 refuses this token",
        ),
        (RuntimeError("status code 502: <html>"), 3, "cannot be reached any more: it answers 502"),
        (ConnectionError("Failed to connect."), 3, "cannot be reached any more: Failed to connect"),
    ],
)
def test_who_loses_a_dashboard_on_the_way_learns_of_the_proxy(
    error: Exception, asked: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused is told at once; what can pass is waited for."""
    monkeypatch.setattr("cluster.follow._POLL_SECONDS", 0.02)
    monkeypatch.setattr("cluster.follow._AWAY_SECONDS", 0.03)
    monkeypatch.setitem(_PROXIES, ELSEWHERE, "http://me:secret@proxy:3128")
    client: Any = Away(error)
    with pytest.raises(SubmitError) as caught:
        Following(client, "night", print).to_end()
    told, whose = str(caught.value), "the server at http://192.0.2.1:8265, or the proxy http://proxy:3128 on"
    assert said in told and "secret" not in told and (client.asked == 1) == (asked == 1)
    assert told.startswith(whose) or "refuses this token" in told
