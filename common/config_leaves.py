"""The leaves of the configuration: each by its option, its variables and its key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from common.config import Config
from common.settings import ENV_PREFIX, SECRETS, in_file, option_of, variable_of, word_of


@dataclass(frozen=True, slots=True)
class Leaf:
    """One ``section.key`` that options and variables can set."""

    section: str
    key: str
    field: FieldInfo

    @property
    def variable(self) -> str:
        """The setting's environment variable."""
        return variable_of(self.section, self.key)

    @property
    def file_variable(self) -> str:
        """The environment variable that names a file which holds it, if it is a secret."""
        return in_file(self.variable)

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable that sets it, the one that counts last."""
        word = word_of(self.section, self.key)
        return (f"{ENV_PREFIX}{word}".upper(), self.variable) if word else (self.variable,)

    @property
    def option(self) -> str:
        """The setting's command line option."""
        return option_of(self.section, self.key)

    @property
    def options(self) -> tuple[str, ...]:
        """Every option that sets it."""
        word = word_of(self.section, self.key)
        return (self.option, f"--{word}") if word else (self.option,)

    @property
    def is_secret(self) -> bool:
        """Whether its value must not stand on a command line, where every user of the machine can read it."""
        return (self.section, self.key) in SECRETS

    @property
    def is_list(self) -> bool:
        """Whether it takes several values: an option given repeatedly, a variable split at commas."""
        return get_origin(self.field.annotation) is tuple


def leaves() -> Iterator[Leaf]:
    """Every leaf of the model; what is kept by name, as cameras and tokens are, has none."""
    for section, field in Config.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            for key, leaf in model.model_fields.items():
                if get_origin(leaf.annotation) is not dict:
                    yield Leaf(section, key, leaf)
