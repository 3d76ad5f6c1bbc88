"""The contract with Ray and vLLM: every private name that the server relies on still exists.

An upgrade that removes or renames one of them fails here, and not at the next swap of a running server.
"""

import ast
import dataclasses
import inspect
import textwrap

import pytest

from serve import edge, internals
from serve.parsers import register_parser

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
    api.TokenizeChatRequest(model="m", messages=chat.messages)
    api.TokenizeCompletionRequest(model="m", prompt="hi")
    api.DetokenizeRequest(model="m", tokens=[1])
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


def test_nothing_is_downloaded_where_the_callback_says_so() -> None:
    from ray.llm._internal.common.callbacks.base import CallbackCtx
    from ray.llm._internal.serve.core.configs.llm_config import LLMConfig
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine

    assert CallbackCtx().run_init_node
    assert "if callback.ctx.run_init_node:" in inspect.getsource(VLLMEngine.start)
    assert "return self._callback_instance" in inspect.getsource(LLMConfig.get_or_create_callback)


def test_what_tokenizes_is_found_where_vllm_puts_it() -> None:
    from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
    from vllm.entrypoints.launchers.api_server import app_state

    assert {"_app_state", "_oai_serving_tokenization"} <= attributes(VLLMEngine)
    assert "state.serving_tokenization = ServingTokenization(" in inspect.getsource(app_state)
    looked_for = 'state, "openai_serving_tokenization", None'
    assert looked_for in inspect.getsource(VLLMEngine.start), "Ray finds it: ours need not look"


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


def test_what_forgets_prefixes_says_whether_it_did() -> None:
    from ray.serve.llm.deployment import LLMServer
    from vllm import LLM
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.engine.core_client import InprocClient

    for each in (LLM, AsyncLLM, InprocClient):
        assert inspect.signature(each.reset_prefix_cache).return_annotation in (bool, "bool"), each
    said = inspect.signature(LLMServer.reset_prefix_cache).return_annotation
    assert said in (None, "None"), "the server's own method says it: ours is not needed"


def test_the_server_offers_what_the_engine_calls() -> None:
    from ray.serve.llm.deployment import LLMServer

    assert {"llm_config", "engine_cls"} <= set(inspect.signature(LLMServer.sync_init).parameters)
    names = ("start", "chat", "completions", "tokenize", "detokenize")
    for name in (*names, "collective_rpc", "check_health"):
        assert inspect.iscoroutinefunction(getattr(LLMServer, name)), name


def test_a_parser_of_ours_reads_no_calls_but_those_that_are_demanded() -> None:
    from vllm.entrypoints.launchers.cli_args import FrontendArgs
    from vllm.parser.parser_manager import ParserManager

    fields = {field.name for field in dataclasses.fields(FrontendArgs)}
    assert {"enable_auto_tool_choice", "tool_call_parser"} <= fields
    found = ParserManager.get_tool_parser(register_parser(None), enable_auto_tools=True)
    assert found is not None and found.supports_required_and_named and not found.structural_tag_model
    parser = found(None)
    assert parser.extract_tool_calls("<tool_call>", None).content == "<tool_call>"
    assert parser.extract_tool_calls_streaming("", "a", "a", [], [], [], None).content == "a"


def test_calls_that_are_held_to_a_form_are_not_filled_with_blanks() -> None:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.parser.parser_manager import ParserManager

    found = ParserManager.get_tool_parser(register_parser("hermes"), enable_auto_tools=True)
    assert found is not None and found.structural_tag_model == "hermes"
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}
    request = ChatCompletionRequest(messages=[], tools=[tool], tool_choice="required")
    tag = found("a tokenizer", request.tools).get_structural_tag(request).model_dump_json()
    assert tag.count('"max_whitespace_cnt":1') == tag.count('"type":"json_schema"') > 0


def test_what_vllm_gives_up_is_known_from_what_breaks_it() -> None:
    from vllm.entrypoints.generate.base.serving import GenerateBaseServing
    from vllm.exceptions import GenerationError
    from vllm.sampling_params import StructuredOutputsParams

    assert internals.is_failed_generation(GenerationError())
    assert not internals.is_failed_generation(RuntimeError())
    assert 'GenerationError("Internal server error")' in inspect.getsource(
        GenerateBaseServing._raise_if_error
    )
    told = GenerateBaseServing.create_streaming_error_response
    serving = GenerateBaseServing.__new__(GenerateBaseServing)
    for error, failed in ((GenerationError(), True), (RuntimeError("the engine is dead"), False)):
        failure = internals.api_models().ErrorResponse.model_validate_json(told(serving, error)).error
        assert internals.is_failed_generation_error(failure) is failed
    as_told = GenerateBaseServing._convert_generation_error_to_streaming_response(serving, GenerationError())
    assert as_told.startswith('{"error":')
    kinds = {field.name for field in dataclasses.fields(StructuredOutputsParams)}
    assert {"json", "json_object", "regex", "choice", "grammar"} <= kinds


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
