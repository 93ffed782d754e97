"""The one error of the set-up commands."""


class DeployError(Exception):
    """What cannot be done, as one sentence that a person can act on."""
