"""Options whose value nobody may see: which they are, how a file gives one, and how they are kept from view.

A secret has no flag, since anybody on the machine may read a command line. It comes from its environment variable, from
the file that `<variable>_FILE` names, or from the TOML file.
"""

import re
import stat
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr

from stream.errors import UsageError
from stream.settings import Settings

HIDDEN = "***"
PREFIX = "STATECAST_"
LARGEST = 1 << 16  # bytes of a file with a secret; a larger one is another file by mistake

# Client properties that are one, or may hold one.
_SECRET_PROPERTY = re.compile(r"password|secret|token|oauthbearer|jaas|\.pem$|key\.pem")


def is_secret(kind: Any) -> bool:
    """Whether an option of this type is one."""
    return kind is SecretStr or SecretStr in get_args(kind)


def secret_options() -> Iterator[tuple[str, str]]:
    """(section, name) of each."""
    for section, outer in Settings.model_fields.items():
        for name, field in outer.annotation.model_fields.items():  # type: ignore[union-attr]
            if is_secret(field.annotation):
                yield section, name


def is_secret_property(name: str) -> bool:
    """Whether a client property may hold a secret."""
    return _SECRET_PROPERTY.search(name.lower()) is not None


def hide(value: Any) -> Any:
    """An option's value as it may be shown."""
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, Mapping):
        return {name: HIDDEN if is_secret_property(str(name)) else one for name, one in value.items()}
    return value


def variable(section: str, name: str) -> str:
    return f"{PREFIX}{section}__{name}".upper()


def with_files(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """The environment's variables, in lower case; in place of each `..._FILE` of a secret what that file holds.

    Raises UsageError that names the variable: the secret is given twice, or the file is not there, cannot be read, is
    empty, or is no text.
    """
    found = dict(variables)
    for secret in secret_options():
        name = variable(*secret)
        path = found.pop(f"{name}_file".lower(), None)
        if path is not None:
            if name.lower() in found:
                raise UsageError(f"{name} and {name}_FILE: both are given; remove one of them")
            found[name.lower()] = _content(f"{name}_FILE", Path(path))
    return found


def _content(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode()
    except OSError as error:
        raise UsageError(f"{name}: {path} cannot be read ({error.strerror}); give a readable file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: {path} is no text in UTF-8; give a file that holds the secret alone") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise UsageError(f"{name}: {path} is empty; write the secret into it")
    if len(data) > LARGEST:
        raise UsageError(f"{name}: {path} is larger than {LARGEST} bytes; give a file that holds the secret alone")
    return text


def forget(environment: MutableMapping[str, str]) -> None:
    """Take secrets out of the environment, so that no child inherits them. What has been read stays read."""
    named = {variable(*secret) for secret in secret_options()}
    whole = {f"{PREFIX}{section}".upper() for section, _ in secret_options()} | {variable("kafka", "properties")}
    for name in list(environment):
        if name.upper() in named | whole | {f"{secret}_FILE" for secret in named}:
            del environment[name]


def exposed(config: Path, held: list[str]) -> str | None:
    """What is to be said of a TOML file with secrets that everybody may read. held: their names in it."""
    if not held or not config.stat().st_mode & stat.S_IROTH:
        return None
    return (
        f"--config {config}: holds {', '.join(held)}, and everybody may read it; `chmod o-r {config}`, or give secrets "
        "by environment variables or files"
    )
