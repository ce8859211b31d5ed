"""A client that is missing is a skipped test here, and a failure in CI."""

import pytest

from tests.interop.requirements import need


def test_a_missing_client_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt install no-such-package"):
        need("no-such-package", programs=("no-such-program",))


def test_a_missing_client_is_skipped_elsewhere_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is missing: apt install no-such-package"):
        need("no-such-package", programs=("no-such-program",))
    with pytest.raises(pytest.skip.Exception, match=r"no-such\.so is missing"):
        need("no-such-package", anywhere=("usr/lib/*/no-such.so",))
