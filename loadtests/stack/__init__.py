"""The processes of the benchmark: private MySQL and Redis, the twins, the floor."""

from loadtests.stack.roles import ROLES_OF
from loadtests.stack.servers import StackError
from loadtests.stack.stack import Stack

__all__ = ["ROLES_OF", "Stack", "StackError"]
