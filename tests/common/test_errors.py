"""Sentences that several packages say alike."""

from __future__ import annotations

import errno
import os

from common.errors import unreadable


def test_what_the_system_says_of_a_file_is_passed_on() -> None:
    assert unreadable(OSError(errno.ENOENT, "No such file or directory")) == "cannot be read: No such file or directory"


def test_a_right_that_is_missing_is_said_with_whose_it_is_and_how_it_is_given() -> None:
    sentence = unreadable(PermissionError(errno.EACCES, "Permission denied"))
    assert sentence.startswith(f"cannot be read: Permission denied for user {os.geteuid()}")
    assert "SupplementaryGroups" in sentence
