"""The later notebooks run: in a file of their own, which another worker may take."""

import pytest
from test_walkthrough import SCRIPTS, assert_runs


@pytest.mark.parametrize("path", SCRIPTS[2:], ids=lambda path: path.stem)
def test_the_notebook_runs(path):
    assert_runs(path)
