"""Thousands of requests made from the OpenAPI document: none fails, and every answer is as it is described."""

import contextlib
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from service_site import TOKEN, running, write_index

from nearbit.service.settings import ServiceOptions

schemathesis = pytest.importorskip("schemathesis", reason="the fuzz test needs schemathesis")

CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
CASES = int(os.environ.get("NEARBIT_FUZZ_CASES", "5400"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_request_made_from_the_contract_fails(tmp_path):
    options = ServiceOptions(index=write_index(tmp_path), token=TOKEN, allow_write=True)
    with running(options) as site:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        contract = site("GET", "/openapi.json", headers=bearer).json
        operations = [one.ok() for one in schemathesis.openapi.from_dict(contract).get_all_operations()]
        methods = [
            name for one in contract["paths"].values() for name in one if name in ("get", "post", "put", "delete")
        ]
        assert len(operations) == len(methods) > 18
        checks = schemathesis.checks.CHECKS.get_by_names(list(CHECKS))
        sent = [0]
        for operation in operations:
            for mode in schemathesis.GenerationMode:

                def ask(case):
                    sent[0] += 1
                    case.call_and_validate(
                        base_url=f"http://127.0.0.1:{site.port}", headers=bearer, checks=checks, timeout=20
                    )

                strategy = operation.as_strategy(generation_mode=mode)
                bounds = settings(
                    max_examples=CASES // len(operations),
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                )
                with contextlib.suppress(Unsatisfiable):  # a route without parameters has no wrong ones
                    bounds(given(strategy)(ask))()
        assert site("GET", "/livez").status == 200
    assert sent[0] >= 0.9 * CASES
