"""The contract with Ray and vLLM: every private name that the server relies on still exists.

An upgrade that removes or renames one of them fails here, and not at the next swap of a running server.
"""

import ast
import inspect
import textwrap

import pytest

from serve import edge, internals

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def attributes(cls: type) -> set[str]:
    """Names that a class and its bases assign to `self`, in any method."""
    bases = [base for base in cls.__mro__ if base.__module__.partition(".")[0] in ("ray", "vllm")]
    nodes = [
        node
        for base in bases
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(base))))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    ]
    return {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == "self"}


def test_request_and_response_classes_exist() -> None:
    api = internals.api_models()
    chat = api.ChatCompletionRequest(model="m", messages=[{"role": "user", "content": "hi"}])
    completion = api.CompletionRequest(model="m", prompt="hi")
    assert (chat.model, completion.prompt) == ("m", "hi")
    error = api.ErrorResponse.model_fields["error"].annotation
    assert {"code", "message", "type", "param"} <= set(error.model_fields)


def test_our_engine_class_overrides_a_method_that_the_engine_calls() -> None:
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine

    ours = internals.engine_class()
    assert issubclass(ours, VLLMEngine) and ours is not VLLMEngine
    name = "_start_async_llm_engine"
    assert list(inspect.signature(getattr(VLLMEngine, name)).parameters) == [
        "self",
        "vllm_engine_args",
        "vllm_engine_config",
        "placement_group",
    ]
    assert f"self.{name}(" in inspect.getsource(VLLMEngine.start)


def test_the_parallel_config_has_an_executor_and_a_size() -> None:
    from vllm.config import ParallelConfig
    from vllm.v1.executor.abstract import Executor

    assert ParallelConfig().world_size == 1
    assert ParallelConfig(distributed_executor_backend="uni").distributed_executor_backend == "uni"
    assert '"uni"' in inspect.getsource(Executor.get_class)


def test_the_engine_holds_its_models_by_name() -> None:
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
    from ray.serve.llm.deployment import LLMServer
    from vllm.entrypoints.openai.models.protocol import BaseModelPath
    from vllm.entrypoints.openai.models.serving import OpenAIServingModels

    assert "engine" in attributes(LLMServer)
    assert {"_oai_models", "_engine_client"} <= attributes(VLLMEngine)
    assert "base_model_paths" in attributes(OpenAIServingModels)
    # `rename_model` assigns the name in place, so the paths must be shared and mutable.
    path = BaseModelPath(name="before", model_path="p")
    path.name = "after"
    assert path.name == "after"


def test_the_engine_client_counts_its_unfinished_requests() -> None:
    from vllm.v1.engine.async_llm import AsyncLLM

    assert list(inspect.signature(AsyncLLM.get_num_unfinished_requests).parameters) == ["self"]


def test_the_server_offers_what_the_engine_calls() -> None:
    from ray.serve.llm.deployment import LLMServer

    assert {"llm_config", "engine_cls"} <= set(inspect.signature(LLMServer.sync_init).parameters)
    for name in ("start", "chat", "completions", "collective_rpc", "reset_prefix_cache", "check_health"):
        assert inspect.iscoroutinefunction(getattr(LLMServer, name)), name


def test_an_ingress_class_builds_its_own_app() -> None:
    from ray.serve._private.replica import SERVE_BUILD_ASGI_APP_METHOD

    from serve.gateway import Gateway

    assert hasattr(Gateway, SERVE_BUILD_ASGI_APP_METHOD)


def test_the_edge_removes_the_headers_that_ray_reads() -> None:
    from ray.serve._private import constants

    names = [
        constants.SERVE_HTTP_REQUEST_ID_HEADER,
        constants.SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER,
        constants.SERVE_HTTP_REQUEST_DISCONNECT_DISABLED_HEADER,
        constants.SERVE_MULTIPLEXED_MODEL_ID,
        constants.SERVE_SESSION_ID,
    ]
    assert {name.replace("_", "-") for name in names} <= edge.RAY_HEADERS
