"""Does what the data of a message says, and counts the messages that it took. Each call is written down in the file
`runs` of its folder."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

count = 0
sent = []


def say(reply):
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def wait():
    while True:
        time.sleep(60)


def child(command):
    return subprocess.Popen(["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).pid


def act(params, reply):
    """The output of a message. What it does besides may keep it from having one."""
    global count
    words = params["message"]["Data"].split()
    what, rest = (words[0], words[1:]) if words else ("", [])
    if what == "crash" and params["attempt"] <= int(rest[0]):
        print("I end here", file=sys.stderr, flush=True)
        os._exit(3)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif what == "silent":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        wait()
    elif what == "flood":
        while True:
            os.write(1, b"x" * 65536)
    elif what == "lines":
        while True:
            os.write(1, b'{"jsonrpc":"2.0","id":1,"result":null}\n' * 1000)
    elif what == "half":
        os.write(1, b'{"jsonrpc":"2.0",')
        os._exit(0)
    elif what == "half-silent":
        os.write(1, b'{"jsonrpc":"2.0",')
        wait()
    elif what == "close":
        os.close(1)
        wait()
    elif what == "garbage":
        print("hello, is anybody there?", flush=True)
    elif what == "twice":
        say(reply | {"result": {"Output": "first"}})
    elif what == "wrong-id":
        say(reply | {"id": reply["id"] + 7, "result": {}})
    elif what == "error":
        raise ValueError(" ".join(rest))
    elif what == "big-output":
        return "x" * 100_000
    elif what == "big-state":
        count = "x" * int(rest[0])
        return None
    elif what == "gas":
        say(reply | {"result": {"GasUsed": 2_000_000_000}})
    elif what == "send":
        sent.extend([{"Target": "far", "Data": "x" * int(rest[1])}] * int(rest[0]))
    elif what == "memory":
        hoard = bytearray(200 << 20)
        for at in range(0, len(hoard), 4096):
            hoard[at] = 1
        wait()
    elif what == "family":
        # One that hears nothing, and one that has left for a session of its own.
        deaf = child("trap '' TERM HUP INT; while :; do sleep 1; done")
        away = child("exec setsid sh -c 'while :; do sleep 1; done'")
        return [os.getpid(), deaf, away]
    elif what == "hold":
        while not os.path.exists("open"):
            time.sleep(0.01)
    elif what == "stderr":
        for number in range(int(rest[0])):
            print("line", number, file=sys.stderr)
        sys.stderr.flush()
    elif what == "about":
        limits = [resource.getrlimit(which)[0] for which in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)]
        is_leader = os.getpgid(0) == os.getpid()
        return {"environment": dict(os.environ), "folder": os.getcwd(), "limits": limits, "leads": is_leader}
    elif what == "clock":
        return time.time_ns()
    elif what == "params":
        return params
    return count


def answer(method, params, reply):
    global count
    if method == "init":
        return {"dry_run": "--dry-run" in sys.argv}
    if method in ("compute", "dry_run"):
        with open("runs", "a") as runs:
            runs.write(json.dumps([method, params["slot"], params["attempt"], params["key"]]) + "\n")
        count += 1
        sent.clear()
        output = act(params, reply)
        return {"Output": output, "Messages": sent} | ({"State": count} if "--state" in sys.argv else {})
    if method == "snapshot":
        return count
    if method == "restore":
        count = params["state"]
        return None
    if os.path.exists("ill"):
        wait()
    if os.path.exists("sick"):
        raise ValueError("I am sick")
    return "pong"


for line in sys.stdin:
    request = json.loads(line)
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        reply["result"] = answer(request["method"], request["params"], reply)
    except Exception as error:
        reply["error"] = {"code": 1, "message": str(error)}
    say(reply)
