"""Mixtures: which type each tensor gets, as llama.cpp's quantiser chooses it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.export.levels import Level
from engine.export.mixture import BLOCKS, Architecture, Tensor, mixture, shares

LAYERS = 32
LLAMA = Architecture(name="llama", num_layers=LAYERS)
MORE_BITS = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31}
"""Layers of 32 that `use_more_bits` names: an eighth at each end, and every third one between."""


def layer(number: int, width: int = 4096, inner: int = 11008) -> list[Tensor]:
    """The tensors of one layer of a Llama, rows first as ggml orders them."""
    shapes = {
        "attn_q": (width, width),
        "attn_k": (width, width // 4),
        "attn_v": (width, width // 4),
        "attn_output": (width, width),
        "ffn_gate": (width, inner),
        "ffn_up": (width, inner),
        "ffn_down": (inner, width),
    }
    matrices = [Tensor(f"blk.{number}.{name}.weight", shape, "BF16") for name, shape in shapes.items()]
    return [*matrices, Tensor(f"blk.{number}.attn_norm.weight", (width,), "F32")]


def model(num_layers: int = LAYERS, *, tied: bool = False, width: int = 4096) -> list[Tensor]:
    ends = [
        Tensor("token_embd.weight", (width, 32000), "BF16"),
        Tensor("output_norm.weight", (width,), "F32"),
    ]
    if not tied:
        ends.append(Tensor("output.weight", (width, 32000), "BF16"))
    # A file lists the tenth layer before the second one where names are sorted.
    layers = sorted(range(num_layers), key=str)
    return [*ends, *(tensor for number in layers for tensor in layer(number, width, 11008 // 4096 * width))]


def kinds_of(level: Level, tensors: list[Tensor], architecture: Architecture = LLAMA) -> dict[str, str]:
    return mixture(tensors, architecture, level)


def test_q4_k_m_gives_more_bits_to_half_of_what_suffers_most() -> None:
    kinds = kinds_of(Level.Q4_K_M, model())
    for name in ("attn_v", "ffn_down"):
        assert {n for n in range(LAYERS) if kinds[f"blk.{n}.{name}.weight"] == "Q6_K"} == MORE_BITS
    for name in ("attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up"):
        assert {kinds[f"blk.{n}.{name}.weight"] for n in range(LAYERS)} == {"Q4_K"}
    assert (kinds["output.weight"], kinds["token_embd.weight"]) == ("Q6_K", "Q4_K")
    assert kinds["output_norm.weight"] == kinds["blk.0.attn_norm.weight"] == "F32"


@pytest.mark.parametrize(
    ("level", "output", "others"),
    [
        (Level.F16, "F16", {"F16"}),
        (Level.Q8_0, "Q8_0", {"Q8_0"}),
        (Level.Q6_K, "Q6_K", {"Q6_K"}),
        (Level.Q5_K_M, "Q6_K", {"Q5_K", "Q6_K"}),
    ],
)
def test_the_other_levels(level: Level, output: str, others: set[str]) -> None:
    kinds = kinds_of(level, model())
    assert kinds.pop("output.weight") == output
    assert {kind for name, kind in kinds.items() if "norm" not in name} == others


def test_embeddings_that_are_also_the_output_are_stored_as_an_output() -> None:
    assert kinds_of(Level.Q4_K_M, model(tied=True))["token_embd.weight"] == "Q6_K"


def test_rows_that_fit_no_block_get_a_type_of_smaller_blocks() -> None:
    """As in SmolLM2-135M, whose rows of 576 are no multiple of 256."""
    kinds = kinds_of(Level.Q4_K_M, model(tied=True, width=576))
    assert kinds["token_embd.weight"] == "Q8_0"
    assert kinds["blk.0.attn_q.weight"] == "Q5_0"
    assert (kinds["blk.0.attn_v.weight"], kinds["blk.4.attn_v.weight"]) == ("Q8_0", "Q5_0")
    assert kinds_of(Level.Q5_K_M, model(width=576))["blk.4.attn_q.weight"] == "Q5_1"
    # Rows that fit no block at all stay in 16 bits.
    odd = layer(4, width=100, inner=200)
    for level in (Level.Q4_K_M, Level.Q8_0):
        assert kinds_of(level, odd)["blk.4.attn_q.weight"] == "F16"


def test_eight_experts_and_seventy_billion_have_rules_of_their_own() -> None:
    experts = Architecture(name="llama", num_layers=LAYERS, num_experts=8)
    kinds = kinds_of(Level.Q4_K_M, model(), experts)
    assert {kinds[f"blk.5.{name}.weight"] for name in ("attn_k", "attn_v")} == {"Q8_0"}
    assert kinds["blk.5.attn_output.weight"] == "Q5_K"
    big = Architecture(name="llama", num_layers=80, shares_heads=True)
    kinds = kinds_of(Level.Q4_K_M, model(80), big)
    assert {kinds[f"blk.{n}.attn_v.weight"] for n in range(80)} == {"Q5_K", "Q6_K"}


def test_what_is_small_or_sensitive_stays_as_it_is() -> None:
    kept = [
        Tensor("blk.0.ffn_gate_inp.weight", (256, 8), "F32"),
        Tensor("blk.0.attn_q.bias", (256,), "F32"),
        Tensor("position_embd.weight", (256, 64), "F32"),
        Tensor("blk.0.ssm_conv1d.weight", (256, 4), "F32"),
        Tensor("blk.0.single.weight", (256, 1), "F32"),
    ]
    kinds = kinds_of(Level.Q4_K_M, [*model(), *kept])
    assert {kinds[tensor.name] for tensor in kept} == {"F32"}


@given(
    st.sampled_from(Level),
    st.integers(1, 40),
    st.sampled_from([256, 512, 576, 896, 1536, 4096]),
    st.booleans(),
    st.sampled_from([0, 4, 8]),
)
def test_every_tensor_has_a_type_that_its_rows_fit(
    level: Level, num_layers: int, width: int, tied: bool, experts: int
) -> None:
    tensors = model(num_layers, tied=tied, width=width)
    architecture = Architecture(name="llama", num_layers=num_layers, num_experts=experts)
    kinds = mixture(tensors, architecture, level)
    assert kinds.keys() == {tensor.name for tensor in tensors}
    for tensor in tensors:
        if kinds[tensor.name] != tensor.kind:
            assert tensor.extents[0] % BLOCKS[kinds[tensor.name]] == 0
    assert mixture(tensors[::-1], architecture, level) == kinds, "the order of a file decides nothing"


def test_shares_tell_what_a_file_really_holds() -> None:
    tensors = [Tensor("a.weight", (256, 3), "BF16"), Tensor("b.weight", (256, 1), "F32")]
    assert shares({"a.weight": "Q4_K", "b.weight": "F32"}, tensors) == {"Q4_K": 0.75, "F32": 0.25}
