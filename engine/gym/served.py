"""Every dataset of reasoning-gym: how it serves here, or why it does not.

A dataset serves where an entry has an answer, the same seed gives the same entry in every process, full marks
mean that the reply is right, and nothing heavy has to be installed for it. Some scorers give full marks to
wrong replies as well, or pass a reply to `eval`; such a dataset serves where a condition on replies mends it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "0.1.25"
"""The release of reasoning-gym that these tables describe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How one dataset is drawn and scored."""

    reads: tuple[str, ...] = ()
    """What its scorer reads of an entry's metadata; nothing else of it travels with a problem."""
    form: str = ""
    """Regular expression that a whole reply must match before the scorer sees it; empty for any reply."""
    only_answer: bool = False
    """Whether exactly the dataset's own answer passes, blanks apart. The scorer is then not asked."""
    why: str = ""
    """What the scorer alone would do wrong, where there is such a condition on the reply."""
    answer_in: str = ""
    """What of an entry's metadata holds a right answer, where the entry itself leaves it open."""
    by_seed: bool = False
    """Whether the dataset prepares all its entries when it is made, so that each needs one of its own."""


_EVAL = "the scorer gives other replies to `eval`"
_SYMPY = "the scorer gives the reply to SymPy, which reads it by `eval`"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_POLYNOMIAL = r"(?:(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[\d\s+\-*/().])+"
"""Numbers and single letters, so that no reply calls anything."""

SERVED: Mapping[str, Served] = {
    "ab": Served(),
    "acre": Served(by_seed=True),
    "advanced_geometry": Served(
        reads=("task_type", "ortho", "incircle_radius_exact"),
        form=rf"\(?{_NUMBER}(?:\s*,\s*{_NUMBER})?\)?\s*°?",
        why="a third coordinate and what stands around a number are ignored",
    ),
    "aiw": Served(),
    "arc_1d": Served(),
    "arc_agi": Served(reads=("output",)),
    "base_conversion": Served(),
    "basic_arithmetic": Served(),
    "bf": Served(),
    "binary_alternation": Served(),
    "binary_matrix": Served(form=r"[\d\s-]+", why=_EVAL),
    "bitwise_arithmetic": Served(reads=("problem",)),
    "caesar_cipher": Served(),
    "calendar_arithmetic": Served(reads=("task",)),
    "chain_sum": Served(),
    "circuit_logic": Served(),
    "coin_flip": Served(only_answer=True, why="the first digits have full marks, such as 0 for 0.375"),
    "color_cube_rotation": Served(),
    "complex_arithmetic": Served(
        reads=("result",), form=r"[\d\s.+\-ij()]+", why="the reply `nan` has full marks"
    ),
    "count_bits": Served(),
    "count_primes": Served(),
    "countdown": Served(reads=("numbers", "target"), form=r"(?:[\d\s+\-()]|\*(?!\*)|/(?!/))+", why=_SYMPY),
    "course_schedule": Served(),
    "cryptarithm": Served(reads=("words_letters", "result_letters", "allow_leading_zero")),
    "decimal_arithmetic": Served(only_answer=True, why="the last digit may be wrong by one"),
    "decimal_chain_sum": Served(),
    "dice": Served(),
    "emoji_mystery": Served(),
    "family_relationships": Served(),
    "figlet_font": Served(only_answer=True, why="ten right letters have full marks, whatever follows"),
    "fraction_simplification": Served(
        reads=("simplified_numerator", "simplified_denominator", "numerator", "denominator"),
        form=r"\$?(?:\\d?frac\s*\{\s*\d+\s*\}\s*\{\s*\d+\s*\}|\d+\s*/\s*\d+)\$?",
        why="what follows a fraction in LaTeX is ignored",
    ),
    "futoshiki": Served(reads=("solution",)),
    "gcd": Served(),
    "graph_color": Served(reads=("puzzle",), answer_in="possible_answer"),
    "group_anagrams": Served(reads=("solution",)),
    "gsm_symbolic": Served(
        only_answer=True, why="the first number of any prose counts, without its sign", by_seed=True
    ),
    "jugs": Served(reads=("puzzle",)),
    "kakurasu": Served(
        reads=("row_sums", "col_sums", "n_rows", "n_cols"), form=r"[01\s]+", why="prose is ignored"
    ),
    "knights_knaves": Served(only_answer=True, why="prose is ignored, a denial as well"),
    "largest_island": Served(),
    "lcm": Served(),
    "leg_counting": Served(),
    "letter_counting": Served(),
    "letter_jumble": Served(only_answer=True, why="words after the right ones are ignored"),
    "mahjong_puzzle": Served(),
    "manipulate_matrix": Served(),
    "maze": Served(),
    "mini_sudoku": Served(reads=("solution",)),
    "modulo_grid": Served(),
    "n_queens": Served(reads=("valid_answers",), form=r"[Q_\s]+", why=_EVAL),
    "needle_haystack": Served(),
    "number_filtering": Served(),
    "number_format": Served(only_answer=True, why="any number within 0.01 has full marks"),
    "number_sequence": Served(),
    "number_sorting": Served(only_answer=True, why="each number may be wrong by one, or be NaN"),
    "palindrome_generation": Served(reads=("letters",)),
    "palindrome_partitioning": Served(reads=("solution",)),
    "path_star": Served(),
    "polynomial_equations": Served(
        form=rf"{_NUMBER}(?:\s*,\s*{_NUMBER})*", why="what is not a number is ignored"
    ),
    "power_function": Served(),
    "prime_factorization": Served(),
    "products": Served(),
    "quantum_lock": Served(
        reads=("initial_value", "initial_state", "target_value", "buttons"),
        form=r"[A-Ca-c\s→]+",
        why="the letters of any prose count",
    ),
    "rearc": Served(reads=("output",)),
    "rectangle_count": Served(),
    "rotate_matrix": Served(),
    "rotten_oranges": Served(),
    "rubiks_cube": Served(
        reads=("cube_size", "scramble_moves"),
        form=r"[A-Za-z]'?\d?(?:\s+[A-Za-z]'?\d?)*",
        why="a move is repeated as often as the number after it says",
        answer_in="example_correct_answer",
    ),
    "self_reference": Served(),
    "sentence_reordering": Served(),
    "shortest_path": Served(reads=("matrix",)),
    "simple_equations": Served(),
    "simple_geometry": Served(),
    "simple_integration": Served(reads=("variable", "integrand"), form=_POLYNOMIAL, why=_SYMPY),
    "sokoban": Served(reads=("gamestr",), form=r"[UDLR]+", why="other letters are ignored"),
    "spell_backward": Served(),
    "spiral_matrix": Served(form=r"[\d\s-]+", why=_EVAL),
    "string_insertion": Served(form=r"[A-Z]+", why=_EVAL),
    "string_manipulation": Served(),
    "string_splitting": Served(),
    "string_synthesis": Served(),
    "sudoku": Served(reads=("solution",)),
    "survo": Served(reads=("board_size", "solution"), form=r"[\d\s-]+", why="prose is ignored"),
    "syllogism": Served(),
    "time_intervals": Served(
        only_answer=True, why="what follows a number is ignored: 12 bananas are 12 days"
    ),
    "tower_of_hanoi": Served(
        reads=("num_disks", "num_pegs", "start_peg", "target_peg", "solution_length"),
        form=r"(?:Move disk \d+ from Peg \d+ to Peg \d+\s*)+",
        why="prose around a move is ignored",
    ),
    "tsumego": Served(),
    "word_sequence_reversal": Served(),
    "word_sorting": Served(only_answer=True, why="words after the right ones are ignored"),
}

_BY_HASH = "the same seed gives another entry in another process, because it goes through a set"
NOT_SERVED: Mapping[str, str] = {
    "boxnet": "its entries have no answer",
    "codeio": "the same seed gives another entry in another process; it takes NumPy's own random numbers",
    "composite": "it mixes other datasets: name those",
    "game_of_life": "it needs cellpylib, and for that Matplotlib with six more packages",
    "game_of_life_halting": "its scorer gives full marks to any reply; it needs cellpylib as well",
    "intermediate_integration": "SymPy gives the same answer in another form in another process",
    "isomorphic_strings": _BY_HASH,
    "knight_swap": _BY_HASH,
    "list_functions": "it takes the process's own random numbers",
    "polynomial_multiplication": _BY_HASH,
    "pool_matrix": "it sets the seed of NumPy's random numbers for the whole process",
    "propositional_logic": "its scorer gives full marks to any premise, copied",
    "puzzle24": "its scorer gives full marks to any four numbers that make 24, whichever were given",
    "ransom_note": _BY_HASH,
    "rush_hour": "its entries have no answer",
    "word_ladder": _BY_HASH,
    "zebra_puzzles": "it needs pycosat, which has no wheel, so that installing it takes a compiler",
}
