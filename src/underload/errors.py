"""The one kind of error a learner meets: a sentence, and the next thing to do."""


class UnderloadError(Exception):
    """Something the reader can put right. The message is one sentence and a next step.

    Notebooks show the message alone, since the frames above it are ours, not the learner's.
    """

    def _render_traceback_(self) -> list[str]:  # IPython's hook
        return [f"{type(self).__name__}: {self}"]
