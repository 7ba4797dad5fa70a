"""Attacks run as root and as an ordinary user, at each level, and on a kernel that lacks what the levels need."""
import os

import pytest


@pytest.fixture(params=["off", "workspace", "strict"])
def level(request):
    return request.param


@pytest.fixture(params=["workspace", "strict"])
def sandbox(request):
    """The levels that promise something about what a step can reach."""
    return request.param


@pytest.fixture(params=["root", "user", "root-old-kernel", "user-old-kernel"])
def site(request):
    """On the old kernel (no user namespaces, no Landlock, no openat2) "workspace" and "strict" can't be had:
    site.attack() then makes sure that no step has run, and returns None."""
    from env.site import site_of
    who, _, kernel = request.param.partition("-")
    if who == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    with site_of(who, request.node, old_kernel=bool(kernel)) as made:
        yield made
