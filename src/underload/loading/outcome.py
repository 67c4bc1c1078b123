"""What became of one request, as the generator notes it."""

ANSWERED = 0  # with a whole answer, of whatever status
NO_ANSWER = 1  # refused, reset, closed half-way, or not HTTP
GIVEN_UP = 2  # still without a whole answer when the timeout or the drain ended: it lasted at least so long
FAILED_HERE = 3  # in the generator itself, such as for want of files: not the service's doing
