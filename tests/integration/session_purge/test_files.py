# Copyright: (c) 2026, The lamp.cluster developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in files: exactly they go, one by one or with their folder at once."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lamp.cluster.plugins.module_utils._errors import LampError
from ansible_collections.lamp.cluster.plugins.module_utils._session_stores.place import Place

from tests.support.modules import run_module
from tests.support.purge import purge

COUNTS = ("changed", "before", "purged", "after", "diff")
entries = Place.entries


@pytest.fixture()
def store(tmp_path: Path) -> Path:
    """A folder of the application's own, which nobody else can write to, in one that is root's."""
    folder = tmp_path / "sessions"
    folder.mkdir()
    folder.chmod(0o1700)
    os.chown(folder, 33, 33)
    return folder


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"sess_{name}").write_text("user|i:1;")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def window(folder: Path, **options: Any) -> dict[str, Any]:
    return purge("files", save_path=str(folder), dedicated=True, leftovers="leave", **options)


def aside(folder: Path) -> list[Path]:
    return sorted(folder.parent.glob(f".{folder.name}.purged-*"))


def test_the_plan_is_what_the_run_does_and_a_second_run_does_nothing(store: Path) -> None:
    fill(store, "a", "b", "c")
    arguments = {"store": "files", "save_path": str(store)}
    plan = run_module("session_purge", arguments, check=True, diff=True)
    assert names(store) == {"sess_a", "sess_b", "sess_c"}
    done = run_module("session_purge", arguments, diff=True)
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert done["diff"] == {"before": f"files {store}: 3 sessions\n", "after": f"files {store}: 0 sessions\n"}
    assert not run_module("session_purge", arguments)["changed"]


def test_a_real_session_of_php_is_found_where_php_puts_it(store: Path) -> None:
    for level in "0123456789abcdef":
        for below in "0123456789abcdef":
            (store / level / below).mkdir(parents=True)
    for path in (str(store), f"2;0600;{store}"):
        code = f"session_save_path('{path}'); session_start(); $_SESSION['user'] = 1; session_write_close();"
        four_bits = ["-d", "session.sid_bits_per_character=4"]
        subprocess.run(["php", *four_bits, "-r", code], check=True, capture_output=True)
        assert purge("files", save_path=path)["purged"] == 1
        assert not list(store.rglob("sess_*"))


@pytest.mark.parametrize("leftovers", ["remove", "leave"])
def test_nested_folders_stay_with_owner_and_mode(store: Path, leftovers: str) -> None:
    deep = store / "a" / "b"
    fill(deep, "ab1")
    fill(store / "x", "flat")
    deep.chmod(0o730)
    os.chown(deep, 33, 33)
    (store / "c").symlink_to(deep)
    done = purge("files", save_path=f"2;0600;{store}", dedicated=True, leftovers=leftovers)
    assert done["purged"] == 1
    status = deep.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o730, 33, 33)
    assert names(deep) == set()
    assert (store / "x" / "sess_flat").exists()
    assert (store / "c").is_symlink()


def test_a_link_on_the_way_is_followed_only_where_root_alone_could_have_put_it(store: Path, tmp_path: Path) -> None:
    fill(store, "a")
    (tmp_path / "link").symlink_to(store)
    with pytest.raises(LampError, match="Give the folder itself"):
        purge("files", save_path=str(tmp_path / "link"))
    (tmp_path / "var").symlink_to(tmp_path)
    (store / "in").symlink_to(tmp_path)
    with pytest.raises(LampError, match="a link that others than root can change"):
        purge("files", save_path=str(store / "in" / "sessions"))
    assert names(store) == {"sess_a", "in"}
    assert purge("files", save_path=str(tmp_path / "var" / "sessions"))["purged"] == 1


@pytest.mark.parametrize("path", ["sessions", "/srv/current/../sessions", "2;/srv/.."])
def test_a_bad_path_is_named(path: str) -> None:
    result = run_module("session_purge", {"store": "files", "save_path": path})
    assert (result["error_code"], f"'{path}'" in result["msg"]) == ("session_purge_bad_path", True)


@pytest.fixture()
def shared(store: Path) -> Path:
    """A folder as Debian makes it, which everybody can write to."""
    os.chown(store, 0, 33)
    store.chmod(0o1733)
    return store


def test_in_a_shared_folder_only_the_files_of_the_owner_go(shared: Path) -> None:
    fill(shared, "mine", "theirs")
    os.chown(shared / "sess_mine", 33, 33)
    done = purge("files", save_path=str(shared), owner="www-data")
    assert (done["before"], done["purged"], names(shared)) == (1, 1, {"sess_theirs"})
    with pytest.raises(LampError, match="no user nobody-of-that-name"):
        purge("files", save_path=str(shared), owner="nobody-of-that-name")


@pytest.mark.parametrize("sessions", [{}, {"mine": 33}, {"theirs": 34}, {"mine": 33, "theirs": 34}], ids=str)
def test_of_a_folder_that_others_can_write_to_nothing_goes_until_it_is_said_whose(
    shared: Path, sessions: dict[str, int]
) -> None:
    """Whoever has sessions there, so that the first plan says it, and no neighbour is logged out by chance."""
    fill(shared, *sessions)
    for name, user in sessions.items():
        os.chown(shared / f"sess_{name}", user, user)
    for check in (True, False):
        with pytest.raises(LampError, match=f"{shared} .mode 1733.") as raised:
            purge("files", save_path=str(shared), check=check)
        assert raised.value.code == "session_purge_shared_folder"
    assert len(names(shared)) == len(sessions)
    assert purge("files", save_path=str(shared), owner="33")["purged"] == list(sessions.values()).count(33)
    assert purge("files", save_path=str(shared), dedicated=True)["purged"] == list(sessions.values()).count(34)


@pytest.mark.parametrize(
    ("depth", "mode", "refused"), [(0, 0o755, False), (0, 0o770, True), (1, 0o711, True), (1, 0o700, False)]
)
def test_whether_others_can_put_sessions_there_is_seen_from_the_folder(
    store: Path, depth: int, mode: int, refused: bool
) -> None:
    fill(store / "a" if depth else store, "a1")
    store.chmod(mode)
    with pytest.raises(LampError, match="may hold sessions of other") if refused else contextlib.nullcontext():
        assert purge("files", save_path=f"{depth};{store}")["purged"] == 1
    assert len(list(store.rglob("sess_*"))) == refused


def test_age_and_ids_select(store: Path) -> None:
    fill(store, "old", "new", "admin")
    os.utime(store / "sess_old", (0, 0))
    assert purge("files", save_path=str(store), older_than="1h")["purged"] == 1
    assert names(store) == {"sess_new", "sess_admin"}
    assert purge("files", save_path=str(store), keep_ids=["admin"])["after"] == 1
    assert names(store) == {"sess_admin"}


def test_what_cannot_be_read_is_an_error_that_names_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store / "a", "a1")
    opened = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if path == "a":
            raise OSError(5, "Input/output error")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(LampError, match=r"a in the session folder .* cannot be read or removed: Input/output error"):
        purge("files", save_path=f"1;{store}")


def test_a_folder_that_holds_sessions_alone_is_exchanged_and_swept_later(store: Path) -> None:
    fill(store, "a", "b", "admin")
    store.chmod(0o1733)
    before = store.stat()
    os.setxattr(store, "user.label", b"kept")
    with contextlib.suppress(PermissionError):  # SELinux's own, which a container may not set
        os.setxattr(store, "security.selinux", b"system_u:object_r:httpd_var_run_t:s0\0")
    labels = {name: os.getxattr(store, name) for name in os.listxattr(store)}
    plan = purge("files", save_path=str(store), dedicated=True, leftovers="leave", keep_ids=["admin"], check=True)
    done = window(store, keep_ids=["admin"])
    assert {key: plan[key] for key in COUNTS} == {key: done[key] for key in COUNTS}
    assert (done["before"], done["purged"], done["after"]) == (3, 2, 1)
    after = store.stat()
    assert names(store) == {"sess_admin"}
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert {name: os.getxattr(store, name) for name in os.listxattr(store)} == labels
    (old,) = aside(store)
    assert names(old) == {"sess_a", "sess_b", "sess_admin"}
    assert purge("files", save_path=str(store), leftovers="only", check=True)["swept"] == 2
    swept = purge("files", save_path=str(store), leftovers="only")
    assert (swept["swept"], swept["after"], aside(store), names(store)) == (2, 1, [], {"sess_admin"})
    assert not purge("files", save_path=str(store), leftovers="only")["changed"]


def test_an_access_list_that_the_folder_has_not_is_not_inherited(store: Path) -> None:
    """The folder above gives what is made in it an access list; this one was made before that, or freed of it."""
    user, group, mask, other, anybody = (2, 7, 33), (4, 7, -1), (16, 7, -1), (32, 5, -1), (1, 7, -1)
    entries = [struct.pack("<HHi", *entry) for entry in (anybody, user, group, mask, other)]
    os.setxattr(store.parent, "system.posix_acl_default", struct.pack("<I", 2) + b"".join(entries))
    fill(store, "a")
    assert os.listxattr(store) == []
    before = store.stat()
    assert window(store)["purged"] == 1
    assert store.stat().st_ino != before.st_ino
    assert (os.listxattr(store), store.stat().st_mode) == ([], before.st_mode)


def test_a_folder_below_one_that_cannot_be_written_to_is_purged_file_by_file(store: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(store.parent)], check=True)
    try:
        store.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1733", "none", str(store)], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(store.parent)], check=True)
        fill(store, "a")
        assert window(store)["purged"] == 1
        assert names(store) == set()
    finally:
        subprocess.run(["umount", "-R", "-l", str(store.parent)], check=True)


@pytest.mark.parametrize("depth", [0, 1])
def test_a_folder_that_is_a_file_system_of_its_own_is_purged_file_by_file(store: Path, depth: int) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1733", "none", str(store)], check=True)
    try:
        leaf = store / "a" if depth else store
        fill(leaf, "a1", "admin")
        done = purge(
            "files", save_path=f"{depth};{store}", dedicated=True, leftovers="leave", keep_ids=["admin"]
        )  # fmt: skip
        assert (done["purged"], done["after"], names(leaf)) == (1, 1, {"sess_admin"})
        assert purge("files", save_path=f"{depth};{store}", dedicated=True, leftovers="leave")["purged"] == 1
        assert os.listdir(store.parent) == [store.name], "nothing is left aside"
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)


def test_a_request_in_flight_cannot_bring_its_session_back(store: Path) -> None:
    for at_once in (True, False):
        fill(store, "a")
        with (store / "sess_a").open("w") as request:
            purge("files", save_path=str(store), dedicated=True, leftovers="leave" if at_once else "remove")
            request.write("user|i:1;")
        assert names(store) == set()


def test_counting_stops_in_the_window_and_what_lies_beyond_comes_back(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.lamp.cluster.plugins.module_utils._session_stores.files.COUNTED", 2)
    fill(store, "a", "b", "c")
    done = window(store)
    assert (done["purged"], done["exact"], done["after"]) == (2, False, 0)
    (old,) = aside(store)
    (old / "cache.db").write_text("precious")
    (old / "sess_link").symlink_to("/etc/passwd")
    assert purge("files", save_path=str(store), leftovers="only")["swept"] == 3
    assert (store / "cache.db").read_text() == "precious"
    assert (store / "sess_link").is_symlink()
    assert aside(store) == []


def test_what_cannot_come_back_is_named_and_kept(store: Path) -> None:
    fill(store, "a")
    window(store)
    (old,) = aside(store)
    (old / "cache.db").write_text("old")
    (store / "cache.db").write_text("new")
    with pytest.raises(LampError, match=r"cache\.db is no session, and cannot go back"):
        purge("files", save_path=str(store), leftovers="only")
    assert ((old / "cache.db").read_text(), (store / "cache.db").read_text()) == ("old", "new")


def test_a_folder_that_holds_more_is_purged_file_by_file(store: Path) -> None:
    fill(store, "a")
    (store / "cache.db").touch()
    done = window(store)
    assert (done["purged"], names(store), aside(store)) == (1, {"cache.db"}, [])


def test_sessions_behind_as_many_other_files_as_are_counted_are_found(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.lamp.cluster.plugins.module_utils._session_stores.files.COUNTED", 2)
    monkeypatch.setattr(Place, "entries", lambda *arguments: sorted(entries(*arguments), key=lambda entry: entry[1]))
    for name in ("cache.1", "cache.2", "cache.3"):
        (store / name).touch()
    fill(store, "a", "b", "c")
    plan = purge("files", save_path=str(store), dedicated=True, leftovers="leave", check=True)
    done = window(store)
    assert {key: plan[key] for key in (*COUNTS, "exact")} == {key: done[key] for key in (*COUNTS, "exact")}
    assert (done["purged"], done["ignored"], done["exact"]) == (3, 3, True)
    assert names(store) == {"cache.1", "cache.2", "cache.3"}


def test_nothing_is_exchanged_where_others_can_change_the_names(store: Path) -> None:
    fill(store, "a")
    store.parent.chmod(0o777)
    neighbour = store.parent / ".sessions.purged-0123456789abcdef"
    fill(neighbour, "b")
    with pytest.raises(LampError, match="others than root can write"):
        window(store)
    assert purge("files", save_path=str(store))["swept"] == 0
    assert names(neighbour) == {"sess_b"}
