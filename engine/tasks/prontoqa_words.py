"""The words of PrOntoQA: fictional kinds, families of properties that exclude each other, and names."""

KINDS = """
    wumpus yumpus zumpus dumpus rompus numpus tumpus vumpus impus jompus gorpus shumpus lempus sterpus
    grimpus lorpus brimpus fompus kempus rifpus dolpus bompus
""".split()  # noqa: SIM905  a list of 22 quoted words is harder to read
PROPERTIES = [
    family.split()
    for family in (
        "blue red brown orange",
        "small large",
        "metallic wooden luminous liquid",
        "transparent opaque",
        "nervous happy feisty shy",
        "bright dull",
        "sweet sour spicy bitter",
        "floral fruity earthy",
        "hot cold temperate",
        "kind mean angry amenable aggressive",
    )
]
NAMES = ("Max", "Alex", "Sam", "Polly", "Rex", "Stella", "Wren", "Fae", "Sally")
