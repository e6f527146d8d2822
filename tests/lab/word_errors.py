"""How far what was heard is from what was said, in words."""

import re


def words(text: str) -> list[str]:
    """The words of a text as they are compared: lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+", text.lower().replace("'", "").replace("’", ""))


def wrong_words(said: str, heard: str) -> int:
    """The fewest words to change, add or drop to make `heard` into `said` (Levenshtein 1966)."""
    target = words(said)
    costs = list(range(len(target) + 1))
    for row, other in enumerate(words(heard), start=1):
        diagonal, costs[0] = costs[0], row
        for column, word in enumerate(target, start=1):
            diagonal, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, diagonal + (word != other)),
            )
    return costs[-1]
