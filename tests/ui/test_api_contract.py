"""The API against its own document: whatever Schemathesis asks, no answer is a server's error or undocumented."""

from __future__ import annotations

from collections.abc import Callable

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import checks

from tests.ui.conftest import MakeClip, Ui

ENDLESS = {"/api/events", "/api/jobs/{id}/reveal"}  # the one never ends, the other opens a window
CHECKS = (checks.not_a_server_error, checks.response_schema_conformance, checks.status_code_conformance)


def test_no_request_that_the_document_allows_is_a_fault_of_the_server(
    ui: Callable[..., Ui], make_clip: MakeClip
) -> None:
    server = ui(make_clip("film.mp4"))
    schema = schemathesis.openapi.from_dict(server.ask("GET", "/openapi.json")[1])
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in ENDLESS:
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(
                base_url=server.base,
                headers={"Authorization": f"Bearer {server.token}"},
                checks=list(CHECKS),
                timeout=120,
            )

        ask()
        asked += 1
    assert asked > 20
