#!/usr/bin/env python3
"""Counts the words of all messages: a program as a process.

The node writes one request of JSON-RPC 2.0 a line to standard input and reads one answer a line from standard output,
which is for answers alone. What is written to standard error goes into the node's log.
"""

import json
import sys

METHOD_NOT_FOUND = -32601

state = {"words": 0}


class NoSuchMethod(Exception):
    pass


def compute(params):
    message = params["message"]
    state["words"] += len(message["Data"].split())
    # Keys that are left out are empty: Messages, Spawns, Assignments, Error, GasUsed.
    return {"Output": state["words"]}


def answer(method, params):
    global state
    if method == "init":
        # Sent to each new program, before anything else. Who can try a message on a copy says so here.
        return {"dry_run": True}
    if method in ("compute", "dry_run"):
        return compute(params)
    if method == "snapshot":
        return state
    if method == "restore":
        # The state after the last slot that went well.
        state = params["state"]
        return None
    if method == "ping":
        return "pong"
    raise NoSuchMethod(method)


for line in sys.stdin:
    request = json.loads(line)
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        reply["result"] = answer(request["method"], request["params"])
    except NoSuchMethod as error:
        reply["error"] = {"code": METHOD_NOT_FOUND, "message": f"there is no method {error}"}
    except Exception as error:
        # The outcome's error. The node puts the state back to what it was before.
        reply["error"] = {"code": 1, "message": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
