"""Options of a program that most people start with `make`: its errors name the variable, not the option."""

import argparse
import re
from difflib import get_close_matches
from typing import NoReturn

CHOICE = re.compile(r"argument --(\S+): invalid choice: '(.*)' \(choose from (.*)\)")
TYPE = re.compile(r"argument --(\S+): invalid (\w+) value: '(.*)'")
OPTION = re.compile(r"argument --(\S+): ")
KINDS = {"int": "a whole number", "float": "a number"}


class MakeParser(argparse.ArgumentParser):
    """Ends with status 2 and one line: "bench: PROFILE=smok: choose from ramp, smoke; smoke?"."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {in_words_of_make(message)}\n")


def in_words_of_make(message: str) -> str:
    if found := CHOICE.fullmatch(message):
        option, given, choices = found.groups()
        known = [choice.strip(" '") for choice in choices.split(",")]
        nearest = "".join(f" (did you mean {near}?)" for near in get_close_matches(given, known, 1))
        return f"{_variable(option)}={given}: choose from {', '.join(known)}{nearest}"
    if found := TYPE.fullmatch(message):
        option, kind, given = found.groups()
        return f"{_variable(option)}={given}: {KINDS.get(kind, kind)} is needed"
    return OPTION.sub(lambda option: f"{_variable(option[1])}: ", message)


def _variable(option: str) -> str:
    return option.upper().replace("-", "_")
