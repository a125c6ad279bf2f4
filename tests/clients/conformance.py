"""Calls of STS by botocore, without its own checks of parameters: a line of JSON in, a line of JSON out."""

import json
import re
import sys

import botocore.session
from botocore import UNSIGNED, xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

session = botocore.session.get_session()
clients = {}


def client(keys, region, endpoint):
    name = (tuple(keys) if keys else None, region, endpoint)
    if name not in clients:
        told = {"signature_version": UNSIGNED} if keys is None else {}
        config = Config(parameter_validation=False, retries={"total_max_attempts": 1}, **told)
        id, secret, token = keys or (None, None, None)
        clients[name] = session.create_client(
            "sts",
            region_name=region,
            endpoint_url=endpoint,
            aws_access_key_id=id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=config,
        )
    return clients[name]


def nested(params):
    """`Tags.member.1.Key` and the like as dictionaries in lists."""
    out = {}
    for name, value in params.items():
        parts = name.split(".")
        if parts[0] == "DurationSeconds" and re.fullmatch(r"-?(0|[1-9]\d*)", value):
            value = int(value)
        put(out, parts, value)
    return listed(out)


def put(into, parts, value):
    for part in parts[:-1]:
        into = into.setdefault(part, {})
    into[parts[-1]] = value


def listed(value):
    if not isinstance(value, dict):
        return value
    if set(value) == {"member"}:
        members = value["member"]
        return [listed(members[number]) for number in sorted(members, key=int)]
    return {name: listed(inner) for name, inner in value.items()}


def flat(value, before, out):
    for name, inner in value.items():
        if isinstance(inner, dict):
            flat(inner, f"{before}{name}.", out)
        elif hasattr(inner, "strftime"):
            out[before + name] = inner.strftime("%Y-%m-%dT%H:%M:%SZ")
        else:
            out[before + name] = str(inner)
    return out


for line in sys.stdin:
    asked = json.loads(line)
    call = getattr(client(asked["keys"], asked["region"], asked["endpoint"]), xform_name(asked["action"]))
    try:
        told = call(**nested(asked["params"]))
        status = told.pop("ResponseMetadata")["HTTPStatusCode"]
        answer = {"status": status, "members": flat(told, "", {})}
    except ClientError as error:
        told = error.response
        answer = {
            "status": told["ResponseMetadata"]["HTTPStatusCode"],
            "code": told["Error"].get("Code"),
            "message": told["Error"].get("Message"),
        }
    print(json.dumps(answer), flush=True)
