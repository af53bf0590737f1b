"""A container that starts processes or threads without end hurts nobody but itself.

Held by: the pids limit of its cgroup, 4096, which counts threads too.
"""

from __future__ import annotations

import pytest

#: More than a container may have.
COUNT = 5000

PROCESSES = """
    #include <errno.h>
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
        int made = 0, refused = 0;
        while (made < atoi(argv[1])) {
            pid_t child = fork();
            if (child == 0) { pause(); _exit(0); }
            if (child < 0) { refused = errno; break; }
            made++;
        }
        printf("%d %s\\n", made, refused ? strerrorname_np(refused) : "none");
        fflush(stdout);
        getchar();
        signal(SIGTERM, SIG_IGN);
        kill(0, SIGTERM);
        return 0;
    }
"""

THREADS = """
    #include <errno.h>
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    static void *stay(void *nothing) { pause(); return nothing; }
    int main(int argc, char **argv) {
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 16384);
        int made = 0, refused = 0;
        while (made < atoi(argv[1])) {
            pthread_t thread;
            if ((refused = pthread_create(&thread, &small, stay, 0))) break;
            made++;
        }
        printf("%d %s\\n", made, refused ? strerrorname_np(refused) : "none");
        fflush(stdout);
        getchar();
        _exit(0);
    }
"""

RUN = f"""
    ends = {{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}}
    made = subprocess.Popen([here + "/bomb", "{COUNT}"], start_new_session=True, **ends)
    number, error = made.stdout.readline().split()
    result = [int(number), error]
"""

END = """
    made.communicate("\\n")
"""


# Beyond the attempt: the snippet's own names go with it.
KEEP = """
    import builtins
    builtins.bomb = made
"""

STOP = """
    import builtins
    builtins.bomb.communicate("\\n")
    result = True
"""


@pytest.mark.parametrize("source", [PROCESSES, THREADS], ids=["processes", "threads"])
def test_processes_without_end_are_their_owners_alone(bounded, outside, compiled, source) -> None:
    bomb = compiled("#define _GNU_SOURCE\n" + source, "-pthread")
    assert outside(RUN + END, bomb=bomb) == [COUNT, "none"]
    sibling = bounded.unharmed()
    # The bomb stays until its standard input ends, with the container's process that started it.
    with bounded.owner.held(RUN + KEEP, own=True, bomb=bomb) as (number, error):
        assert error == "EAGAIN" and 1000 < number < 4096
        assert bounded.unharmed() == sibling
        assert bounded.sibling("result = subprocess.run(['true']).returncode") == 0
    assert bounded.owner(STOP, own=True)
