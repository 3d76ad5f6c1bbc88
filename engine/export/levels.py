"""What a model can be exported as, and how finely a GGUF file stores it, by the names of the command line."""

from enum import StrEnum


class Form(StrEnum):
    """What an export is."""

    HF = "hf"
    """A folder as transformers reads it."""
    GGUF = "gguf"
    """Files as llama.cpp reads them."""


class Level(StrEnum):
    """How finely the weights of a GGUF file are stored, the finest first."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q6_K = "q6_k"
    Q5_K_M = "q5_k_m"
    Q4_K_M = "q4_k_m"
