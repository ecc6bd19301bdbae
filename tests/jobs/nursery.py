"""A process that has imported what a worker needs, and forks one whenever it is asked: `python -m tests.jobs.nursery`.

To import it takes a worker longer than most of what tests have it do. Nothing is connected to before the fork, and
nothing of the environment read.
"""

import json
import os
import socket
import sys

import worker
from devicehub.features import doors
from tests.jobs import deeds

MOST = 1 << 17


def main(line: socket.socket) -> None:
    """Become a worker for each environment that comes; wait for the end of one whose number comes."""
    list(doors("jobs"))
    deeds.declare()
    while True:
        asked, outputs, _, _ = socket.recv_fds(line, MOST, 2)
        if not asked:
            return
        wish = json.loads(asked)
        if isinstance(wish, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(wish, 0)[1])
        elif (answer := os.fork()) == 0:
            break
        for output in outputs:
            os.close(output)
        line.send(b"%d" % answer)
    line.close()
    for number, output in enumerate(outputs, 1):
        os.dup2(output, number)
        os.close(output)
    os.environ.clear()
    os.environ.update(wish)
    worker.main()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
