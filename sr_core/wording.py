"""How a count is written: '1 frame', '2 frames'."""


def counted(number: int, noun: str, *, verb: str = "") -> str:
    """`number` and `noun`, in the plural where it is one.

    Args:
        verb: 'one/many', such as 'is/are': which of the two follows.
    """
    one, _, many = verb.partition("/")
    chosen = one if number == 1 else many
    return f"{number} {noun}{'' if number == 1 else 's'}" + (f" {chosen}" if verb else "")
