"""Configuration files: strict YAML, substitution, binding to frozen models, errors with their place.

    text --reading--> Document --substitution--> Document --binding--> model

`load` does the three for any model; `gateway.config.gateway_file.parse` is the gateway's own file.
"""

from gateway.config.binding import MisplacedError, Section, bind, load, nearest
from gateway.config.errors import ConfigError, Path, Position, dotted
from gateway.config.fields import (
    Address,
    ByteSize,
    Duration,
    StringOrList,
    Text,
    UniqueStrings,
    at_least,
    at_most,
    shown,
    written,
)
from gateway.config.reading import Document, decode, read_file, read_yaml
from gateway.config.substitution import secret_files, substitute
from gateway.host_port import HostPort

__all__ = [
    "Address",
    "ByteSize",
    "ConfigError",
    "Document",
    "Duration",
    "HostPort",
    "MisplacedError",
    "Path",
    "Position",
    "Section",
    "StringOrList",
    "Text",
    "UniqueStrings",
    "at_least",
    "at_most",
    "bind",
    "decode",
    "dotted",
    "load",
    "nearest",
    "read_file",
    "read_yaml",
    "secret_files",
    "shown",
    "substitute",
    "written",
]
