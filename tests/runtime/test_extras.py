"""A missing extra is named with the line that installs it."""

import sys

import pytest

from thinkport.runtime.errors import MissingExtraError
from thinkport.runtime.extras import install_line, require


def test_a_missing_module_is_named_with_the_install_line() -> None:
    with pytest.raises(MissingExtraError) as caught:
        require("export", "json", "no_such_module", "nor_this_one")
    assert str(caught.value) == 'no_such_module, nor_this_one not installed: run pip install "thinkport[export,cpu]"'
    assert caught.value.exit_code == 4


def test_an_extra_that_needs_no_other_is_installed_alone() -> None:
    assert install_line("genai") == 'pip install "thinkport[genai]"'


def test_present_modules_pass_and_are_not_imported() -> None:
    sys.modules.pop("this", None)
    require("export", "this", "json")
    assert "this" not in sys.modules
