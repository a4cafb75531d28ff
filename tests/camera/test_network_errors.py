"""The sentences about what is wrong with a network camera."""

from __future__ import annotations

import socket

from edge.camera.network_errors import connection_problem, status_problem


def test_failures_have_sentences_of_their_own() -> None:
    errors = [
        socket.gaierror(),
        ConnectionRefusedError(),
        ConnectionResetError(),
        TimeoutError(),
        OSError(101, "No route"),
    ]
    problems = [connection_problem(error, 554)[0] for error in errors]
    problems += [status_problem(code, "Reason", "")[0] for code in (400, 401, 403, 404, 453, 503)]
    problems.append(status_problem(401, "Reason", "me")[0])
    assert len(set(problems)) == len(problems)


def test_a_reason_that_would_fill_the_log_is_left_out() -> None:
    assert status_problem(453, "a" * 60_000, "")[0] == "reports an error (453)"
