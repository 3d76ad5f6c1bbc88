"""Text for terminals: what a model wrote, or an error quotes, must not steer one."""


def printable(text: str) -> str:
    """The text with control characters (and other unprintable ones, but line breaks) shown as escapes."""
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)
