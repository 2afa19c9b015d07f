"""Sentences that several packages say alike."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from common.errors import ConfigError, NotNowError, refused, unreadable


def test_what_the_system_says_of_a_file_is_passed_on() -> None:
    assert unreadable(OSError(errno.ENOENT, "No such file or directory")) == "cannot be read: No such file or directory"


def test_a_directory_in_place_of_a_file_is_said_to_be_docker_s() -> None:
    assert "Docker creates one" in unreadable(IsADirectoryError(errno.EISDIR, "Is a directory"))


def test_a_right_that_is_missing_is_said_with_whose_it_is_and_how_it_is_given() -> None:
    sentence = unreadable(PermissionError(errno.EACCES, "Permission denied"))
    assert sentence.startswith(f"cannot be read: Permission denied for user {os.geteuid()}")
    assert "SupplementaryGroups" in sentence


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.ENOSPC, errno.EROFS, errno.EMFILE, socket.EAI_AGAIN])
def test_what_may_pass_by_itself_is_no_mistake_for_good(number: int) -> None:
    error = refused(number, "cannot be had", key="http.listen")
    assert isinstance(error, NotNowError)
    assert str(error) == "http.listen: cannot be had"


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.EINVAL, None])
def test_what_somebody_has_to_mend_is_a_mistake(number: int | None) -> None:
    assert type(refused(number, "cannot be had", key="http.listen")) is ConfigError


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EADDRNOTAVAIL, "no interface of this machine has that address"),
        (errno.EACCES, "CAP_NET_BIND_SERVICE"),
        (socket.EAI_NONAME, "an address needs no name server"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_answered_with_what_to_do(number: int, words: str) -> None:
    assert words in str(refused(number, "cannot listen on 192.0.2.1:80: no", key="http.listen"))
    assert words not in str(refused(number, "cannot be had", key="http.listen"))
