"""Which events belong to one issue."""

from hashlib import sha256

DEFAULT_SERVICE = "default"
PATTERN = "[0-9a-f]{64}"


def fingerprint(message: str, service: str = DEFAULT_SERVICE) -> str:
    """Hex SHA-256 of the grouping key: the message within its service, 64 characters.

    For the default service it is sha256(message) alone, so that counts can be compared with other
    implementations of the contract. The NUL between service and message can be in neither of them.
    """
    key = message if service == DEFAULT_SERVICE else f"{service}\0{message}"
    return sha256(key.encode()).hexdigest()
